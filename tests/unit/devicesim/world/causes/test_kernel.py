from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.world.causes.book import NOTHING, CauseBook
from devicesim.world.causes.kernel import CausalKernel, actor_of
from devicesim.world.kernel import Kernel


def script(kernel):
    """Calls, alarms put off and armed anew, and a drawer; returns what happened, in order."""
    done = []

    def ring(now):
        done.append(("ring", now))
        if now < 3 * MINUTE:
            alarm.arm(now + 70 * SECOND)

    alarm = kernel.alarm(ring)
    alarm.arm(5)
    alarm.arm(10)
    for at in (10, 10, 2 * MINUTE, 7):
        kernel.at(at, lambda now, what: done.append((what, now)), f"call {at}")
    kernel.run(5 * MINUTE)
    return done, kernel.events, kernel.now


def test_the_order_of_steps_is_the_kernels():
    assert script(CausalKernel(CauseBook())) == script(Kernel())


def test_each_step_begins_with_the_cause_of_whoever_put_it_there():
    book = CauseBook()
    kernel = CausalKernel(book)
    seen = []

    def third(now, _):
        seen.append(book.chain(book.add(now, 0, "third"))[0].kind)

    def second(now, _):
        kernel.at(now + MINUTE, third)

    def first(now, _):
        book.add(now, 0, "first")
        kernel.at(now + 1, second)

    kernel.at(1, first)
    kernel.at(2, lambda now, _: seen.append(book.here))
    kernel.run(5 * MINUTE)
    assert seen == [NOTHING, "first"], "a silent step passes its cause on"


def test_an_alarm_has_the_cause_of_its_present_instant():
    book = CauseBook()
    kernel = CausalKernel(book)
    seen = []
    alarm = kernel.alarm(lambda now: seen.append(book.moment(book.here).kind))

    def arm(now, word):
        book.add(now, 0, word)
        alarm.arm(100)

    kernel.at(1, arm, "who armed it")
    kernel.at(2, arm, "who changed nothing")
    kernel.run(200)
    assert seen == ["who armed it"]


def test_after_each_step_somebody_may_look():
    kernel = CausalKernel(CauseBook())
    looks = []
    kernel.after = looks.append
    kernel.at(3, lambda now, _: None)
    kernel.at(3, lambda now, _: None)
    kernel.run(10)
    assert looks == [3, 3]


def test_the_owner_of_a_callback_that_is_nobodys_is_not_known():
    assert actor_of(None) is None
    assert actor_of([]) is None
