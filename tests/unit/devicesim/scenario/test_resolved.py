"""A resolved scenario names every value, defaults included, by the path of its file."""

from pathlib import Path

import pytest

from devicesim.scenario import load
from devicesim.scenario.resolved import flatten
from tests_kit import worlds

FILES = sorted((Path(__file__).parents[4] / "scenarios").glob("*.yaml"))


def resolved(rest=""):
    return flatten(load(worlds.scenario_text(rest), (), None))


def test_values_are_spelled_as_in_a_file():
    found = resolved("agent: {backoff: {cap: 90s, jitter: none}}\n" + worlds.ROLLOUT)
    assert found["agent.backoff.cap"] == "1m30s"
    assert found["agent.backoff.jitter"] == "none"
    assert found["clock.start"] == "2024-07-16T00:00:00Z"
    assert found["rollouts.r1.soak"] == "1m"
    assert found["bundles.gauge@1.1.0.path"] == "models/gauge/1.1.0"


def test_defaults_are_there():
    assert resolved()["agent.backoff.base"] == "1s"


def test_of_a_back_off_by_name_only_what_was_said_is_told():
    found = resolved("agent: {backoff: {policy: hivemq, cap: 90s}}\n")
    told = {path: text for path, text in found.items() if path.startswith("agent.backoff")}
    assert told == {"agent.backoff.policy": "hivemq", "agent.backoff.cap": "1m30s"}, (
        "defaults of ours are not what that library does"
    )


def test_items_without_a_name_go_by_their_verb_and_number():
    faults = (
        "timeline: [{at: 1m, for: 1m, do: gateway.crash}, {at: 5m, for: 1m, do: gateway.crash}]\n"
    )
    found = resolved(faults)
    assert found["timeline.gateway.crash.at"] == "1m"
    assert found["timeline.gateway.crash#2.at"] == "5m"


def test_checks_go_by_their_measure():
    found = resolved("checks: {finally: [{stuck: '== 0'}], slo: [{reconnect_p99: '< 5m'}]}\n")
    assert found["checks.finally.stuck"] == "stuck == 0"
    assert found["checks.slo.reconnect_p99"] == "reconnect_p99 < 5m"


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.stem)
def test_no_value_of_a_shipped_scenario_is_an_object_of_ours(file):
    found = flatten(load(file.name, (), lambda name: (file.parent / name).read_text()))
    odd = {path: text for path, text in found.items() if "object at" in text or "=(" in text}
    assert odd == {}, "a value is spelled by its repr: teach `_spell` its kind"
