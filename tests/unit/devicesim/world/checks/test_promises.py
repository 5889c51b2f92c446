from __future__ import annotations

import pytest

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.scenario.checks import KNOWN
from devicesim.scenario.promises import read_promise
from devicesim.world.checks import promises
from tests_kit import worlds


class Dials:
    """Readings that the test sets."""

    def __init__(self, **values):
        self.values = values

    def read(self, reading):
        return self.values.get(str(reading).replace(".", "_"))


@pytest.fixture
def world():
    return worlds.make_world(worlds.scenario_text(count=1))


def promise(part="always", **item):
    item.setdefault("expect", "fleet.online_ratio >= .5")
    return read_promise(item, part, KNOWN)


def test_a_stretch_in_which_it_is_broken_is_one_failure(world):
    dials = Dials(fleet_online_ratio=0.4)
    check = promises.AlwaysPromise(world, dials, promise(name="half-stay"))
    check.checkpoint(19 * MINUTE)
    assert check.verdict is None, "the fleet boots within its first window"
    for minute, value in ((20, 0.5), (21, 0.4), (22, 0.3), (23, 0.9), (24, 0.49)):
        dials.values["fleet_online_ratio"] = value
        check.checkpoint(minute * MINUTE)
    assert (check.verdict, check.failures, check.title) == (False, 2, "half-stay")
    assert check.first.at_ns == 21 * MINUTE
    expected = "expected fleet.online_ratio >= .5, found fleet.online_ratio 40.00 % (1 more)"
    assert check.story() == expected


def test_it_is_looked_at_from_and_until(world):
    dials = Dials(fleet_online_ratio=0.4)
    check = promises.AlwaysPromise(world, dials, promise(**{"from": "1h", "until": "2h"}))
    for now in (59 * MINUTE, 121 * MINUTE, 3 * HOUR):
        check.checkpoint(now)
    assert check.verdict is None
    check.checkpoint(2 * HOUR)
    assert check.verdict is False


def test_the_end_of_a_fault_and_of_the_run_are_looked_at(world):
    for moment in ("fault", "run"):
        check = promises.AlwaysPromise(world, Dials(fleet_online_ratio=0.4), promise())
        if moment == "fault":
            check.faulted("cut", "begin", 1, HOUR)
            assert check.verdict is None
            check.faulted("cut", "end", 0, HOUR)
        else:
            check.ended(HOUR)
        assert check.verdict is False, moment


def test_what_looks_at_the_whole_fleet_is_looked_at_every_five_minutes(world):
    check = promises.AlwaysPromise(world, Dials(stuck=1), promise(expect="stuck == 0"))
    check.checkpoint(HOUR + MINUTE)
    assert check.verdict is None
    check.checkpoint(HOUR + 5 * MINUTE)
    assert check.verdict is False


def test_what_nobody_knows_is_not_judged(world):
    check = promises.AlwaysPromise(world, Dials(), promise(expect="kill_p99 < 2s"))
    check.checkpoint(HOUR)
    assert check.verdict is None
    end = promises.EndPromise(world, Dials(), promise("finally", expect="kill_p99 < 2s"))
    end.ended(HOUR)
    assert (end.verdict, end.story()) == (None, "kill_p99 unknown")


def test_sometimes_counts_how_often_it_became_true(world):
    dials = Dials(fleet_online_ratio=0.4)
    check = promises.SometimesPromise(world, dials, promise("sometimes", name="half is there"))
    assert not check.held
    for minute, value in ((1, 0.4), (2, 0.6), (3, 0.7), (4, 0.1), (5, 0.8)):
        dials.values["fleet_online_ratio"] = value
        check.checkpoint(minute * MINUTE)
    row = check.row()
    assert (row.held, row.count, row.at_s, row.name) == (True, 2, 120.0, "half is there")


@pytest.mark.parametrize("make", [promises.EndPromise, promises.LevelPromise])
@pytest.mark.parametrize(("bricked", "verdict"), [(0, True), (2, False)])
def test_at_the_end_only_what_fails_is_told(world, make, bricked, verdict):
    must = promise("finally", expect="stuck == 0 and bricked == 0")
    check = make(world, Dials(stuck=0, bricked=bricked), must)
    check.ended(HOUR)
    assert check.verdict is verdict
    expected = "stuck 0, bricked 0"
    if bricked:
        expected = "expected stuck == 0 and bricked == 0, found bricked 2"
    assert check.story() == expected


def test_in_time_or_with_the_values_that_were_there_instead(world):
    must = promise("eventually", within="10m", expect="fleet.online >= .9 * fleet.devices")
    check = promises.EventuallyPromise(world, Dials(fleet_online=8, fleet_devices=10), must)
    check.checkpoint(10 * MINUTE)
    assert check.story() == (f"expected {must}, found fleet.online 8, fleet.devices 10 after 10m")
