"""Whom a promise of a verdict is about, and when it is broken."""

from __future__ import annotations

import pytest

from devicesim.scenario.verdicts import Told
from devicesim.world.checks.verdicts import VerdictCheck
from devicesim.world.measures import Meter
from gateway.core.collect import rows
from gateway.core.effects import Persist
from tests_kit import worlds

WORDS = (
    "regions: {north: {share: 50%}, south: {share: 50%}}\n"
    "timeline: [{id: dusk, at: 1h, do: data.drift, what: dim(.5), target: all}]\n"
)


class Watched:
    def __init__(self, **words):
        self.world = worlds.make_world(worlds.scenario_text(WORDS, count=8))
        self.meter = Meter(self.world)
        must = Told.model_validate({"within": "10s", "after": "dusk", **words})
        self.check = VerdictCheck(self.world, self.meter, must)
        self.number = 0
        digest = self.world.hosts[0].manifest[:8].hex()
        hardware = self.world.hosts[0].parts.labels["hardware"]
        self.cohorts = {r: f"{digest}/{hardware}/{r}" for r in ("north", "south")}

    def closes(self, seconds, singles=(), **drifts):
        self.number += 1
        said = tuple(
            rows.CohortWindow(
                self.cohorts[region], 4, 400, 0, 0, 0, b"", {}, 0, drift, (), "unknown", singles, 4
            )
            for region, drift in drifts.items()
        )
        row = rows.WindowRow(self.number, 0, 1, said, ())
        for part in (self.meter.drift, self.check):
            part.persisted(Persist(rows.WINDOW, str(self.number), row), seconds * 10**9)

    def dusk(self, seconds=0):
        self.check.faulted("dusk", "begin", 8, seconds * 10**9)


def test_a_verdict_in_time_keeps_it():
    one = Watched(who="region=north", verdict="data")
    one.dusk()
    one.closes(4, north="none", south="none")
    one.closes(8, north="data", south="none")
    one.closes(12, north="none", south="none")
    one.check.ended(20 * 10**9)
    assert one.check.held, one.check.stories()
    assert "the last 8s after" in one.check.story()


@pytest.mark.parametrize("said", ["none", "hardware", "both"])
def test_none_in_time_or_another_one_breaks_it(said):
    one = Watched(who="region=north", verdict="data")
    one.dusk()
    one.closes(4, north=said, south="data")
    assert one.check.failures == 0, "it may still be kept"
    one.closes(11, north=said, south="data")
    north = sum(host.parts.labels["region"] == "north" for host in one.world.hosts)
    assert one.check.failures == north, "each device that was not told"
    assert f"expected data, found {said}" in one.check.story()


def test_time_counts_from_its_action():
    one = Watched(who="region=north", verdict="data")
    one.closes(100, north="none")
    assert (one.check.judged, one.check.failures) == (0, 0)
    one.dusk(100)
    one.closes(109, north="data")
    assert (one.check.failures, one.check.held) == (0, True)


def test_never_is_broken_by_any_verdict_about_them_and_by_no_other():
    one = Watched(who="region=south", verdict="none", within=None, after=None)
    one.closes(1, north="data", south="none")
    assert one.check.held
    one.closes(2, north="data", south="hardware")
    assert not one.check.held


def test_one_device_is_told_of_its_sensor_and_its_neighbours_nothing():
    alone, others = "kiosk-0003", "!id=kiosk-0003"
    told = Watched(who=f"id={alone}", verdict="sensor")
    spared = Watched(who=others, verdict="none", within=None, after=None)
    region = told.world.hosts[3].parts.labels["region"]
    told.dusk()
    for one in (told, spared):
        one.closes(5, singles=((alone, "feature1"),), **{region: "sensor"})
        one.check.ended(9 * 10**9)
        assert one.check.held, one.check.stories()


def test_a_promise_about_nobody_is_broken():
    one = Watched(who="group=nobody", verdict="data")
    one.check.ended(5)
    assert "found none" in one.check.story()
