"""What time it is, as far as it is proved."""

from devicesdk.agent.proved_time import ProvedTime
from devicesdk.wire.timebase import MS, SECOND
from tests_kit.agent_bundles import shared_of

T0 = 1_750_000_000_000


def test_nothing_is_proved_before_somebody_said_something():
    time = ProvedTime(shared_of())
    assert time.proved_ms(SECOND) == 0
    assert time.is_past(T0, None, 0) is False
    assert time.is_past(T0, T0 - 1, 0) is False


def test_proved_time_runs_on_from_its_floor_and_falls_with_it():
    time = ProvedTime(shared_of())
    time.floor(T0, SECOND)
    assert time.proved_ms(3 * SECOND) == T0 + 2000
    time.floor(T0, 9 * SECOND)
    assert time.proved_ms(9 * SECOND) == T0 + 8000, "the same floor does not begin anew"
    time.floor(T0 - 5000, 9 * SECOND)
    assert time.proved_ms(9 * SECOND) == T0 - 5000
    time.floor(0, 9 * SECOND)
    assert time.proved_ms(10 * SECOND) == 0


def test_a_clock_behind_is_not_looked_at_and_one_ahead_is_in_doubt():
    time = ProvedTime(shared_of())
    time.floor(T0, 0)
    assert time.doubt_ms(None, 0) is None
    assert time.doubt_ms(T0, 0) is None
    assert time.doubt_ms(T0 + 1, 0) == T0 + 1


def test_only_doubt_asks_and_only_its_answer_settles():
    shared = shared_of()
    time = ProvedTime(shared)
    time.floor(T0, 0)
    assert time.is_past(T0 - 1, None, 0) is True
    assert time.is_past(T0 + 5000, T0 + 4000, 0) is False
    assert time.nonce == 0
    assert time.is_past(T0 + 5000, T0 + 9000, 0) is None
    asked = time.nonce
    assert 0 < asked < 2**53
    assert shared.report_due
    time.ask()
    assert time.nonce == asked, "one question at a time"
    assert not time.told(asked + 1, T0, 0)
    assert not time.told(0, T0, 0)
    assert not time.told(asked, 0, 0)
    assert time.told(asked, T0 + 6000, 10 * MS)
    assert time.nonce == 0
    assert not time.told(asked, T0, 0), "a question is answered once"
    assert time.proved_ms(10 * MS) == T0 + 6000
    assert time.is_past(T0 + 5000, None, 10 * MS) is True
    assert time.is_past(T0 + 7000, T0 + 9_000_000, 10 * MS) is False
    assert time.proved_ms(2 * SECOND + 10 * MS) == T0 + 8000


def test_questions_of_two_boots_differ():
    one, other = shared_of(seed=1), shared_of(seed=1)
    other.booted(2, None, 0)
    asks = [ProvedTime(one), ProvedTime(other)]
    for time in asks:
        time.ask()
    assert asks[0].nonce != asks[1].nonce
