from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.promises import read_wait
from devicesim.world.checks.waiting import Waiting
from tests_kit import worlds

TIMELINE = """timeline:
  - {id: cut, at: 40m, for: 5m, do: partition, target: all}
  - {id: slow, at: 42m, for: 30m, do: latency, add: 1s, target: all}
"""


class Told(Waiting):
    """Waits for what the test says."""

    true = False

    @property
    def title(self):
        return "it"

    def holds(self):
        return self.true

    def found(self):
        return "something else"


@pytest.fixture
def world():
    text = "broker: {accept_rate: 1/m}\n" + TIMELINE
    return worlds.make_world(worlds.scenario_text(text, count=3))


def waiting(world, **keys):
    return Told(world, read_wait({"within": "10m", **keys}), costly=False)


def look(check, *minutes, true=None):
    if true is not None:
        check.true = true
    for minute in minutes:
        check.checkpoint(minute * MINUTE)


def test_a_quiet_period_begins_anew_when_it_is_interrupted(world):
    check = waiting(world, after="cut", quiet="5m")
    check.faulted("cut", "end", 0, 45 * MINUTE)
    look(check, 46, 47, 48, true=True)
    look(check, 49, true=False)
    look(check, 50, 51, 52, 53, 54, true=True)
    assert check.verdict is None, "four minutes of quiet are not five"
    look(check, 55)
    assert check.verdict is True
    assert check.story() == "held after 5m at the latest"
    look(check, 56, true=False)
    assert check.verdict is True, "once judged true, it is"


def test_quiet_may_end_after_the_deadline_but_must_begin_before(world):
    check = waiting(world, after="cut", quiet="5m")
    check.faulted("cut", "end", 0, 45 * MINUTE)
    look(check, 54, 55, 58, true=True)
    look(check, 59, true=False)
    assert check.verdict is False
    assert check.story() == "expected it, found something else after 14m"
    late = waiting(world, after="cut", quiet="5m")
    late.faulted("cut", "end", 0, 45 * MINUTE)
    look(late, 54, 55, true=False)
    assert late.verdict is False


def test_quiet_that_the_end_cuts_short_is_not_judged(world):
    check = waiting(world, quiet="5m")
    look(check, 1, 2, true=True)
    check.ended(3 * MINUTE)
    assert check.verdict is None


def test_a_wait_counts_from_the_calm_after_the_last_fault(world):
    check = waiting(world, quiet_after="15m")
    look(check, 39, true=True)
    check.faulted("cut", "begin", 3, 40 * MINUTE)
    check.faulted("slow", "begin", 3, 42 * MINUTE)
    check.faulted("cut", "end", 0, 45 * MINUTE)
    look(check, 61, true=False)
    assert check.verdict is None, "one fault lasts still"
    check.faulted("slow", "end", 0, 72 * MINUTE)
    look(check, 86, 87, 96)
    assert check.verdict is None, "the wait is from 87 to 97"
    look(check, 97)
    assert check.verdict is False


def test_a_fault_takes_a_wait_back(world):
    check = waiting(world, quiet_after="5m")
    check.faulted("cut", "begin", 3, 40 * MINUTE)
    check.faulted("cut", "end", 0, 45 * MINUTE)
    look(check, 50, 51, true=False)
    check.faulted("slow", "begin", 3, 52 * MINUTE)
    look(check, 61)
    assert check.verdict is None


@pytest.mark.parametrize(("minute", "verdict"), [(12, None), (13, False)])
def test_the_whole_fleet_needs_its_time_to_be_accepted(world, minute, verdict):
    check = waiting(world, within="N/accept_rate + 10m")
    look(check, minute, true=False)
    assert check.verdict is verdict, "three devices, one a minute, and ten minutes"
