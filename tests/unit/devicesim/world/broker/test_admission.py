from __future__ import annotations

from devicesdk.wire.timebase import MS, SECOND
from devicesim.world.broker.admission import Admission


def test_without_a_rate_everyone_is_served_at_once() -> None:
    admission = Admission(None, 1)
    assert [admission.admit(7) for _ in range(1000)] == [7] * 1000
    assert admission.waiting(7) == 0


def test_a_burst_is_served_one_by_one_and_the_overflow_is_dropped() -> None:
    admission = Admission(100.0, 3)
    assert [admission.admit(SECOND) for _ in range(5)] == [
        SECOND + 10 * MS,
        SECOND + 20 * MS,
        SECOND + 30 * MS,
        None,
        None,
    ]
    assert admission.dropped_syns == 2
    assert admission.waiting(SECOND) == 3
    assert admission.waiting(SECOND + 11 * MS) == 2


def test_a_place_is_free_when_somebody_was_served() -> None:
    admission = Admission(100.0, 1)
    assert admission.admit(0) == 10 * MS
    assert admission.admit(9 * MS) is None
    assert admission.admit(10 * MS) == 20 * MS


def test_an_idle_server_starts_at_once_and_a_reset_forgets() -> None:
    admission = Admission(1.0, 5)
    admission.admit(0)
    assert admission.admit(10 * SECOND) == 11 * SECOND
    admission.reset()
    assert admission.waiting(10 * SECOND) == 0
    assert admission.admit(10 * SECOND) == 11 * SECOND


def test_a_new_rate_holds_for_those_who_come_after_it():
    admission = Admission(10.0, 5)
    assert admission.admit(0) == SECOND // 10
    admission.change_rate(1.0, 5)
    assert admission.admit(0) == SECOND // 10 + SECOND
    admission.change_rate(None, 5)
    assert admission.admit(5 * SECOND) == 5 * SECOND
