"""The kernel under the wall clock: order, monotonic instants, turns for the sockets."""

from __future__ import annotations

import asyncio

import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.wire.timebase import DAY, SECOND
from devicesim.live.pacer import SLICE_EVENTS_MAX, Pacer
from devicesim.world.kernel import Kernel


class HandClock:
    """A clock that a test sets by hand: a `Clock`."""

    def __init__(self) -> None:
        self.instant = 0

    def now(self) -> int:
        return self.instant

    def wall_ms(self) -> int:
        return self.instant // 1_000_000

    def wait_s(self, instant: int) -> float:
        return max(0.0, (instant - self.instant) / 1e9)


async def test_what_was_due_happens_before_what_comes_from_outside():
    kernel, clock, order = Kernel(), HandClock(), []
    pacer = Pacer(kernel, clock, asyncio.get_running_loop())
    kernel.at(50, lambda now, _: order.append(("due", now)))
    kernel.at(150, lambda now, _: order.append(("later", now)))
    clock.instant = 100
    pacer.tell(lambda now: order.append(("socket", now)))
    assert order == [("due", 50), ("socket", 100)]
    clock.instant = 200
    pacer.catch_up()
    assert order[-1] == ("later", 150), "an event keeps its own instant, however late it runs"
    assert pacer.lag_ns_max == 50


async def test_a_backlog_is_executed_in_slices_and_instants_wait_for_it():
    kernel, clock, ran = Kernel(), HandClock(), []
    pacer = Pacer(kernel, clock, asyncio.get_running_loop())
    for instant in range(3 * SLICE_EVENTS_MAX):
        kernel.at(instant, lambda now, _: ran.append(now))
    clock.instant = 10_000
    pacer.catch_up()
    assert len(ran) == SLICE_EVENTS_MAX, "sockets must have their turn between slices"
    seen = []
    pacer.tell(lambda now: seen.append(now))
    assert seen[0] >= ran[-1], "what comes from outside may not be told before what it follows"
    assert seen[0] < 10_000, "nor at an instant that earlier events have not reached"
    while kernel.queue:
        pacer.catch_up()
    assert ran == sorted(ran)


async def test_an_effect_that_comes_back_at_once_stays_at_its_events_instant():
    kernel, clock, seen = Kernel(), HandClock(), []
    pacer = Pacer(kernel, clock, asyncio.get_running_loop())
    kernel.at(5, lambda _now, _: pacer.tell(lambda now: seen.append(now)))
    clock.instant = 1_000
    pacer.catch_up()
    assert seen == [5]


async def test_nothing_happens_after_the_end():
    kernel, clock, ran = Kernel(), HandClock(), []
    pacer = Pacer(kernel, clock, asyncio.get_running_loop())
    pacer.until = 100
    kernel.at(50, lambda now, _: ran.append(now))
    kernel.at(101, lambda now, _: ran.append(now))
    clock.instant = 500
    pacer.catch_up()
    pacer.tell(lambda now: ran.append(("late socket", now)))
    assert ran == [50]
    assert kernel.now == 100


@pytest.mark.parametrize("earlier", [False, True], ids=["the next", "an earlier one"])
async def test_the_loops_timer_wakes_it_for_the_next_event_and_for_an_earlier_one(earlier):
    kernel, done = Kernel(), asyncio.Event()
    pacer = Pacer(kernel, RealClock(speed=1000.0), asyncio.get_running_loop())
    heard = []
    kernel.at(DAY if earlier else SECOND, lambda now, _: (heard.append(now), done.set()))
    pacer.start()
    if earlier:  # the timer stands at a minute and a half of real time
        pacer.tell(lambda now: kernel.at(now + 1, lambda at, _: (heard.append(at), done.set())))
    await asyncio.wait_for(done.wait(), 60)
    pacer.stop()
    assert len(heard) == 1
    assert heard[0] == SECOND or earlier
