"""Small worlds for simulation tests: real cores, real broker, real models, few devices."""

from __future__ import annotations

import functools
from pathlib import Path

from devicesim.models.link_class import LinkBook, LinkSpec, QualityClass, Rates
from devicesim.scenario import load
from devicesim.stock import load_profiles, load_sources
from devicesim.world.assemble import Stock, assemble
from devicesim.world.drill import Drill

ROOT = Path(__file__).parents[2]
HEAD = """
scenario: lab
seed: 7
clock: {{start: 2024-07-16T00:00:00Z, duration: {duration}}}
telemetry: {{window: 15m, frames: 2}}
fleet:
{fleet}
bundles:
  - {{id: gauge, version: 1.0.0, path: models/gauge/1.0.0}}
  - {{id: gauge, version: 1.1.0, path: models/gauge/1.1.0}}
"""
KIOSKS = "  - {{group: kiosk, count: {count}, profile: rpi4-kiosk, link: {link}}}"
ROLLOUT = "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 30m, waves: [100%], soak: 1m}]\n"


def lab_link(rtt_ms=40.0, kbit_s=10_000.0, loss=0.0):
    """A link that never changes, as a class of its own."""
    rates = Rates(p50=kbit_s)
    quality = QualityClass(rtt_ms_p50=rtt_ms, down_kbit_s=rates, up_kbit_s=rates, loss=loss)
    return LinkBook(classes={"lab": quality}, links={"lab": LinkSpec(mix={"lab": 1.0})})


@functools.cache
def _files():
    return load_profiles(ROOT / "scenarios" / "lab.yaml")


@functools.cache
def _sources(text):
    scenario = load(text, (), None)
    return load_sources(scenario, ROOT / "scenarios" / "lab.yaml")


def scenario_text(rest="", *, count=5, duration="2h", link="fcc-dsl", fleet=None):
    return (
        HEAD.format(duration=duration, fleet=fleet or KIOSKS.format(count=count, link=link)) + rest
    )


def make_world(text, *, links=None, seed=None, make_gateway=None, stage=None, overrides=()):
    """A world from scenario text, not watched by anybody yet."""
    profiles, book = _files()
    scenario = load(text, overrides, None)
    stock = Stock(profiles, links or book, _sources(text))
    return assemble(scenario, stock, seed=seed, make_gateway=make_gateway, stage=stage)


def make_drill(text, **more):
    """The same with checks, measures and timeline."""
    return Drill(make_world(text, **more))


def broken(drill, but=()):
    """The stories of the always-checks that do not hold, `but` those named."""
    failed = [c for c in drill.checks if c.kind == "always" and not c.held and c.name not in but]
    return [f"{c.name}: {c.stories()}" for c in failed]
