from devicesdk.wire.timebase import NEVER
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
