"""Requests for a second person: asked, decided once, lapsed, forgotten."""

import pytest

from devicesdk.wire import limits
from gateway.core.access import approvals as module
from gateway.core.access.approvals import (
    APPROVAL,
    APPROVED,
    DENIED,
    LAPSED,
    LIFE_MS,
    WAITING_EACH_MAX,
    WAITING_MAX,
    WAITS,
    Approvals,
)
from gateway.core.access.tokens import AccessError


def ask(approvals, by="ana", now_ms=1_000):
    return approvals.ask(b'{"verb":"kill","feature":"x"}', by, "releaser", now_ms)


def refused(code, work):
    with pytest.raises(AccessError) as caught:
        work()
    assert caught.value.code == code, str(caught.value)
    return str(caught.value)


def decide(approvals, number, by="bob", now_ms=2_000, approve=True, why=""):
    return approvals.decide(number, by, now_ms, approve=approve, why=why)


def test_a_request_waits_and_is_decided_by_somebody_else():
    approvals = Approvals()
    row, (kept,) = ask(approvals)
    assert (row.number, row.state, kept.table, kept.key) == (1, WAITS, APPROVAL, "000000000001")
    refused("forbidden", lambda: decide(approvals, 1, by="ana"))
    row, (kept,) = decide(approvals, 1, why="looked at it")
    assert kept.row == row
    assert (row.state, row.decided_by, row.decided_ms, row.why) == (
        APPROVED,
        "bob",
        2_000,
        "looked at it",
    )


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("then", [True, False])
def test_what_was_decided_stays_decided(first, then):
    approvals = Approvals()
    ask(approvals)
    decide(approvals, 1, approve=first)
    refused("invalid", lambda: decide(approvals, 1, by="cid", approve=then))
    assert approvals.rows(3_000)[0].state == (APPROVED if first else DENIED)


def test_a_request_lapses():
    approvals = Approvals()
    ask(approvals)
    assert approvals.rows(1_000 + LIFE_MS - 1)[0].state == WAITS
    assert approvals.waiting(1_000 + LIFE_MS - 1) == 1
    assert approvals.rows(1_000 + LIFE_MS)[0].state == LAPSED
    assert approvals.waiting(1_000 + LIFE_MS) == 0
    assert LAPSED in refused("invalid", lambda: decide(approvals, 1, now_ms=1_000 + LIFE_MS))


def test_nobody_decides_what_nobody_asked():
    refused("unknown", lambda: decide(Approvals(), 1))


def test_a_reason_is_bounded_and_a_check_changes_nothing():
    approvals = Approvals()
    ask(approvals)
    long = "x" * (limits.REASON_CHARS_MAX + 1)
    refused("invalid", lambda: decide(approvals, 1, why=long))
    refused("invalid", lambda: approvals.check(1, "bob", 2_000, long))
    assert approvals.check(1, "bob", 2_000).state == WAITS
    assert approvals.rows(2_000)[0].state == WAITS


def test_nobody_alone_keeps_all_others_from_asking():
    approvals = Approvals()
    for _ in range(WAITING_EACH_MAX):
        ask(approvals)
    refused("invalid", lambda: ask(approvals))
    ask(approvals, by="bob")
    decide(approvals, 1)
    ask(approvals)


def test_no_more_wait_than_somebody_can_look_at():
    approvals = Approvals()
    for number in range(WAITING_MAX):
        ask(approvals, by=f"n{number}")
    refused("invalid", lambda: ask(approvals, by="late"))
    ask(approvals, by="later", now_ms=1_000 + LIFE_MS)


def test_old_decided_requests_are_forgotten_and_waiting_ones_are_not(monkeypatch):
    monkeypatch.setattr(module, "KEPT_MAX", 3)
    approvals = Approvals()
    for _ in range(3):
        ask(approvals)
    decide(approvals, 2)
    _, rows = ask(approvals)
    assert [(row.key, row.row is None) for row in rows] == [
        ("000000000004", False),
        ("000000000002", True),
    ]
    assert [row.number for row in approvals.rows(2_000)] == [1, 3, 4]
    _, rows = ask(approvals)
    assert len(rows) == 1, "a request that waits was forgotten"


def test_requests_are_restored_and_numbers_go_on():
    approvals = Approvals()
    ask(approvals)
    row, (kept,) = ask(approvals)
    again = Approvals()
    again.restore([(kept.key, row)])
    assert ask(again)[0].number == 3
    assert [one.number for one in again.rows(2_000)] == [2, 3]
