import pytest

from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.checks import MEASURES, read_measured
from devicesim.world.checks import holdouts
from devicesim.world.checks.holdouts import Holdout
from tests_kit import worlds

OFF = "timeline: [{at: 20m, do: power.cut, for: 2h, target: 'share(all, 0%..50%)'}, "
DARK = "{at: 30m, do: partition, for: 2h, target: all}]\n"


@pytest.fixture(scope="module")
def drill():
    text = worlds.scenario_text(worlds.ROLLOUT.replace("30m", "25m") + OFF + DARK, count=6)
    made = worlds.make_drill(text)
    made.world.run(45 * MINUTE)
    return made


def found(drill, measure, sign):
    return holdouts.find(drill.world, drill.meter, read_measured({measure: sign}))


def test_those_offline_are_named_with_since_when_the_longest_first(drill):
    names = found(drill, "online_ratio", ">= 99%")
    assert {one.who for one in names} == {host.device for host in drill.world.hosts}
    known = [one.since_ns for one in names if one.since_ns is not None]
    assert known == sorted(known)
    assert all(30 * MINUTE < at < 35 * MINUTE for at in known), (
        "a dark path is noticed by keep-alive"
    )
    assert [one.since_ns for one in names][-1] is None, (
        "one without power has not lost a connection"
    )


def test_whom_a_share_of_updated_devices_misses(drill):
    off = {host.device for host in drill.world.hosts if not host.on}
    assert off
    assert {one.who for one in found(drill, "updated_ratio", "== 1")} == off
    on = {host.device for host in drill.world.hosts} - off
    assert {one.who for one in found(drill, "exposed_ratio", "<= 0%")} == on


def test_the_gateway_and_the_broker_answer_for_what_is_theirs(drill):
    assert found(drill, "open_rollouts", "== 0") == [Holdout("gateway")]
    assert found(drill, "queue_peak", "<= 0") == [Holdout("broker")]
    assert found(drill, "kill_p99", "< 1s") == [], "a percentile is nobody's"


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_can_be_asked(drill, measure):
    unit = {"duration": "1s", "share": "1%"}.get(MEASURES[measure][0].name.lower(), "1")
    assert isinstance(found(drill, measure, f"< {unit}"), list)


def test_since_when_a_share_is_too_low_is_when_one_more_was_missing_than_may_be():
    names = [Holdout("a", 10), Holdout("b", 20), Holdout("c", 30), Holdout("d", None)]
    assert holdouts.since(read_measured({"online_ratio": ">= 80%"}), names, 10) == 20
    assert holdouts.since(read_measured({"online_ratio": ">= 99%"}), names, 10) == 10
    assert holdouts.since(read_measured({"online_ratio": ">= 50%"}), names, 10) is None
    assert holdouts.since(read_measured({"stuck": "== 0"}), names, 10) == 10
    assert holdouts.since(read_measured({"stuck": "<= 1"}), names, 10) == 20
