"""Scenario time that waits for a process that was late."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import SECOND
from devicesim.live.clock import STEP_S, HeldClock
from devicesim.world.kernel import Kernel

SPEED = 60
STEP = round(STEP_S * SPEED * SECOND)


class Wall(HeldClock):
    """The machine's clock is set by hand, in scenario time."""

    at = 0

    def _scaled(self) -> int:
        return self.at


@pytest.fixture
def clock():
    return Wall(SPEED, 0)


@pytest.fixture
def kernel():
    return Kernel()


def test_until_it_is_held_it_is_the_walls(clock):
    clock.at = 3600 * SECOND
    assert clock.now() == 3600 * SECOND
    assert clock.held_ns == 0
    assert clock.held_share == 0.0


def test_a_pause_of_the_process_is_no_time(clock, kernel):
    with clock.held(kernel):
        clock.at = STEP
        assert clock.now() == STEP
        clock.at += 20 * STEP
        assert clock.now() == 2 * STEP, "a step, and no more"
        clock.at += STEP // 2
        assert clock.now() == 2 * STEP + STEP // 2
    assert clock.held_ns == 19 * STEP
    assert clock.judged_ns == 21 * STEP + STEP // 2
    assert clock.held_share == clock.held_ns / clock.judged_ns
    clock.at += 20 * STEP
    assert clock.now() == 22 * STEP + STEP // 2, "held no longer, and nothing is made up for"


def test_it_stands_still_a_step_beyond_what_was_not_executed(clock, kernel):
    ran = []
    kernel.at(STEP, lambda now, _: ran.append(now))
    with clock.held(kernel):
        for tenth in range(1, 50):
            clock.at = tenth * STEP // 10
            assert clock.now() == min(clock.at, 2 * STEP)
        kernel.step()
        clock.at += STEP // 10
        assert clock.now() == 2 * STEP + STEP // 10
    assert ran == [STEP]
    assert clock.held_ns == clock.at - clock.now()


def test_it_stands_while_a_process_is_being_started(clock, kernel):
    with clock.held(kernel):
        clock.at = STEP // 2
        with clock.standing(), clock.standing():
            clock.at += 3 * STEP
            assert clock.now() == STEP // 2
        clock.at += STEP // 2
        assert clock.now() == STEP
    with clock.standing():
        clock.at += 3 * STEP
        assert clock.now() == 4 * STEP, "only a run that is held waits"


def test_it_never_runs_backwards(clock, kernel):
    clock.at = 100 * STEP
    before = clock.now()
    kernel.at(1, lambda now, _: None)  # late by far when the run begins
    with clock.held(kernel):
        clock.at += STEP // 2
        assert clock.now() == before


def test_at_the_walls_own_speed_nothing_is_held(kernel):
    clock = Wall(1.0, 0)
    with clock.held(kernel):
        clock.at = 3600 * SECOND
        assert clock.now() == 3600 * SECOND


def test_timers_and_the_calendar_go_by_what_it_says(clock, kernel):
    with clock.held(kernel):
        clock.at = 100 * STEP
        assert clock.wait_s(clock.now() + SPEED * SECOND) == pytest.approx(1.0)
        assert clock.wall_ms() == clock.now() // 1_000_000
