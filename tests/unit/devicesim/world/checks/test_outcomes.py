import pytest

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.scenario.checks import read_eventually, read_measured
from devicesim.world.checks.outcomes import EventuallyCheck, Finally, spell
from tests_kit import worlds

HEAL = "timeline: [{id: back, at: 40m, do: heal, target: all}]\n"


class Dial:
    """A meter whose every measure is one value."""

    def __init__(self, value):
        self.value = value

    def read(self, measure):
        return self.value


@pytest.fixture
def world():
    return worlds.make_world(worlds.scenario_text(HEAL, count=1))


def eventually(world, dial, after="heal"):
    must = {"online_ratio": ">= .9", "within": "10m"}
    return EventuallyCheck(world, dial, read_eventually(must | ({"after": after} if after else {})))


def test_values_are_spelt_in_their_unit():
    assert spell("online_ratio", 0.985) == "98.50 %"
    assert spell("kill_p99", 1_500_000_000) == "1.5s"
    assert spell("stuck", 3) == "3"


@pytest.mark.parametrize(("value", "verdict"), [(0, True), (1, False), (None, None)])
def test_at_the_end_a_measure_is_compared(world, value, verdict):
    check = Finally(world, Dial(value), read_measured({"stuck": "== 0"}))
    check.ended(5)
    assert check.verdict is verdict
    assert check.title == "stuck == 0"
    assert check.story()


@pytest.mark.parametrize("after", ["heal", "back"])
def test_time_counts_from_the_end_of_the_action_by_verb_or_id(world, after):
    dial = Dial(0.5)
    check = eventually(world, dial, after)
    check.checkpoint(39 * MINUTE)
    check.faulted("back", "begin", 1, 40 * MINUTE)
    assert check.verdict is None
    check.faulted("back", "end", 1, 45 * MINUTE)
    check.checkpoint(54 * MINUTE)
    assert check.verdict is None
    dial.value = 0.95
    check.checkpoint(55 * MINUTE)
    assert check.verdict is True
    assert check.story() == "held after 10m at the latest"


def test_too_late_is_too_late(world):
    dial = Dial(0.5)
    check = eventually(world, dial)
    check.faulted("back", "end", 1, 40 * MINUTE)
    check.checkpoint(50 * MINUTE)
    dial.value = 1.0
    check.checkpoint(51 * MINUTE)
    assert check.verdict is False
    assert "found 50.00 % after 10m" in check.story()


def test_without_an_action_time_counts_from_the_start(world):
    check = eventually(world, Dial(0.5), None)
    check.checkpoint(11 * MINUTE)
    assert check.verdict is False


def test_a_wait_that_the_end_cuts_short_is_not_judged(world):
    check = eventually(world, Dial(0.5))
    check.faulted("back", "end", 1, 40 * MINUTE)
    check.ended(45 * MINUTE + SECOND)
    assert check.verdict is None
