from types import SimpleNamespace

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.world.checks.check import STORIES_MAX, Check, SweepingCheck, sweep_every_ns


class Never(Check):
    name = "never"


class Counting(SweepingCheck):
    name = "counting"

    def __init__(self, world):
        super().__init__(world)
        self.swept = []

    def sweep(self, now):
        self.swept.append(now)


def world(devices=1):
    return SimpleNamespace(hosts=[None] * devices)


def test_what_was_never_judged_did_neither_hold_nor_fail():
    check = Never(world())
    assert check.held
    assert check.verdict is None
    check.judged = 1
    assert check.verdict is True


def test_the_first_failures_are_kept_and_all_are_counted():
    check = Never(world())
    host = SimpleNamespace(device="kiosk-0001")
    for n in range(STORIES_MAX + 3):
        check.fail(n * SECOND, f"expected nothing, found {n}", host)
    assert not check.held
    assert check.failures == STORIES_MAX + 3
    assert len(check.failed) == STORIES_MAX
    row = check.row()
    assert (row.held, row.at_s, row.kind) == (False, 0.0, "always")
    assert row.story == f"kiosk-0001: expected nothing, found 0 ({STORIES_MAX + 2} more)"
    assert check.stories()[1] == "+0:00:01 kiosk-0001: expected nothing, found 1"


def test_the_whole_fleet_is_looked_at_every_ten_minutes_and_at_the_end():
    check = Counting(world())
    for minute in range(1, 26):
        check.checkpoint(minute * MINUTE)
    check.ended(25 * MINUTE)
    assert check.swept == [10 * MINUTE, 20 * MINUTE, 25 * MINUTE]
    assert sweep_every_ns(10_000) == 30 * MINUTE
