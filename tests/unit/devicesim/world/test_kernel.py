"""The order of everything, and a clock that moves on."""

import pytest

from devicesdk.wire.timebase import DAY, HOUR, MINUTE, NEVER, SECOND
from devicesim.world.kernel import STANDSTILL_CALLS_MAX, Kernel, StandstillError


def test_calls_come_in_order_of_instant_then_of_asking():
    kernel, seen = Kernel(), []
    for name, at in (("c", 30), ("a", 10), ("b", 10), ("d", 40)):
        kernel.at(at, lambda now, n: seen.append((now, n)), name)
    kernel.run(30)
    assert seen == [(10, "a"), (10, "b"), (30, "c")]
    assert kernel.now == 30
    kernel.run(100)
    assert seen[-1] == (40, "d")


def test_an_alarm_rings_once_at_its_latest_wish():
    kernel, rings = Kernel(), []
    alarm = kernel.alarm(rings.append)
    alarm.arm(50)
    alarm.arm(80)
    kernel.run(200)
    assert rings == [80]
    alarm.arm(300)
    alarm.arm(250)
    kernel.run(400)
    assert rings == [80, 250]


def test_a_cancelled_alarm_stays_silent_and_can_be_armed_again():
    kernel, rings = Kernel(), []
    alarm = kernel.alarm(rings.append)
    alarm.arm(50)
    alarm.arm(NEVER)
    kernel.run(100)
    alarm.arm(150)
    kernel.run(200)
    assert rings == [150]


def test_an_alarm_may_arm_itself_again_and_every_ring_is_counted():
    kernel, rings = Kernel(), []

    def ring(now):
        rings.append(now)
        if now < 50:
            alarm.arm(now + 10)

    alarm = kernel.alarm(ring)
    alarm.arm(10)
    kernel.run(1000)
    assert rings == [10, 20, 30, 40, 50]
    assert kernel.events == 5


def test_the_pulse_comes_between_events():
    kernel, pulses = Kernel(), []
    for at in range(100):
        kernel.at(at, lambda *_: None)
    kernel.run(99, pulses.append, every=25)
    assert len(pulses) == 4


def test_what_is_due_much_later_keeps_its_place_in_the_order():
    kernel, seen = Kernel(), []

    def say(now, name):
        seen.append((now, name))
        if name == "first":
            kernel.at(5 * MINUTE, say, "asked later for the same instant")

    kernel.at(5 * MINUTE, say, "asked early")
    kernel.at(5 * MINUTE - 1, say, "just before")
    kernel.at(4 * MINUTE + 30 * SECOND, say, "first")
    kernel.at(DAY, say, "last")
    kernel.run(2 * DAY)
    assert seen == [
        (4 * MINUTE + 30 * SECOND, "first"),
        (5 * MINUTE - 1, "just before"),
        (5 * MINUTE, "asked early"),
        (5 * MINUTE, "asked later for the same instant"),
        (DAY, "last"),
    ]
    assert kernel.events == 5
    assert not kernel.queue


def test_a_step_never_goes_past_the_head_of_the_queue():
    kernel, seen = Kernel(), []
    kernel.at(3 * MINUTE + SECOND, lambda now, _: seen.append(now))
    assert kernel.queue[0][0] == 3 * MINUTE, "the drawer's minute begins"
    kernel.step()
    assert not seen
    assert kernel.queue[0][0] == 3 * MINUTE + SECOND
    kernel.step()
    assert seen == [3 * MINUTE + SECOND]


def test_simpy_events_stand_in_the_same_order():
    kernel, seen = Kernel(), []
    for at in (30 * SECOND, 10 * MINUTE):
        kernel.env.timeout(at).callbacks.append(lambda _: seen.append(("simpy", kernel.env.now)))
        kernel.at(at + 1, lambda now, _: seen.append(("ours", now)))
    kernel.run(HOUR)
    assert seen == [
        ("simpy", 30 * SECOND),
        ("ours", 30 * SECOND + 1),
        ("simpy", 10 * MINUTE),
        ("ours", 10 * MINUTE + 1),
    ]


class _Restless:
    """Rings again and again at the same instant, up to a number of times."""

    def __init__(self, kernel, times=None):
        self.kernel, self.left, self.device = kernel, times, "kiosk-0001"
        self.alarm = kernel.alarm(self.rings)

    def rings(self, now):
        if self.left is None or self.left:
            self.left = None if self.left is None else self.left - 1
            self.alarm.arm(now)


def test_a_clock_that_stands_still_is_an_error_that_names_the_callbacks():
    kernel = Kernel()
    restless = _Restless(kernel)
    kernel.at(5, lambda now, _: restless.alarm.arm(now))
    with pytest.raises(StandstillError, match=r"_Restless\.rings of kiosk-0001") as caught:
        kernel.run(10)
    assert "move on from 5 ns" in str(caught.value)
    assert STANDSTILL_CALLS_MAX <= kernel.events < STANDSTILL_CALLS_MAX * 1.01


def test_a_busy_instant_is_none():
    kernel = Kernel()
    times = STANDSTILL_CALLS_MAX - 10_000
    restless = _Restless(kernel, times)
    kernel.at(5, lambda now, _: restless.alarm.arm(now))
    kernel.run(10)
    assert kernel.events == times + 2
    assert kernel.now == 10


def test_busy_instants_in_a_row_are_none():
    kernel = Kernel()
    for at in range(3):
        restless = _Restless(kernel, STANDSTILL_CALLS_MAX // 2)
        restless.alarm.arm(at)
    kernel.run(10)
    assert kernel.now == 10
