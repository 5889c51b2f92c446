from devicesdk.wire.timebase import DAY, HOUR, MINUTE, NEVER, SECOND
from devicesim.world.kernel import Kernel


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
