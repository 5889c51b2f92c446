"""The book of rehearsals: what waits, what counts, what is forgotten."""

from __future__ import annotations

import pytest

from gateway.core.rehearsals import book as module
from gateway.core.rehearsals.book import (
    BROKEN,
    CANCELLED,
    LOST,
    RUNS,
    WAITING_MAX,
    WAITS,
    Book,
    BookFullError,
    RehearsalRow,
    rehearsal_key,
)
from gateway.core.rehearsals.job import FAILED, HELD, REFUSED, Verdict

PLAN, BUNDLE, HOUR_MS = b"p" * 32, b"b" * 32, 3_600_000


def ask(book, plan=PLAN, bundle=BUNDLE):
    row, kept = book.ask(
        RehearsalRow(0, "ana", 1_000, "spring", "gauge@1.1.0", b"{}", plan, bundle, (1, 2), 12)
    )
    assert [persist.key for persist in kept][:1] == [rehearsal_key(row.number)]
    return row.number


def end(book, number, outcome, at=2_000):
    book.begin(number, at)
    return book.end(number, Verdict(outcome=outcome, why=f"it {outcome}"), at)


def test_they_are_numbered_run_in_order_and_end():
    book = Book()
    assert (ask(book), ask(book)) == (1, 2)
    assert book.first_waiting.number == 1
    book.begin(1, 1_500)
    assert (book.get(1).state, book.first_waiting.number) == (RUNS, 2)
    (kept,) = book.end(1, Verdict(outcome=FAILED, why="no"), 2_000)
    assert (kept.row.state, kept.row.ended_ms, kept.row.why) == (FAILED, 2_000, "no")
    assert b'"outcome":"failed"' in kept.row.verdict
    book.fail(2, 3_000, "no memory")
    assert (book.get(2).state, book.get(2).verdict, book.first_waiting) == (BROKEN, b"", None)
    assert [row.number for row in book.rows()] == [1, 2]


def test_only_the_newest_of_exactly_this_plan_and_bundle_counts_and_not_for_ever():
    book = Book()
    refusal = book.refusal
    assert refusal(PLAN, BUNDLE, 0, HOUR_MS) == "found none"
    end(book, ask(book), HELD)
    assert refusal(PLAN, BUNDLE, HOUR_MS, HOUR_MS) == ""
    assert refusal(b"q" * 32, BUNDLE, 3_000, HOUR_MS) == "found none"
    assert refusal(PLAN, b"c" * 32, 3_000, HOUR_MS) == "found none"
    assert "held 5 h ago" in refusal(PLAN, BUNDLE, 5 * HOUR_MS + 2_000, HOUR_MS)
    ask(book)
    assert refusal(PLAN, BUNDLE, 3_000, HOUR_MS) == "", "one that waits takes nothing away"
    end(book, 2, FAILED)
    assert "rehearsal 2 failed: it failed" in refusal(PLAN, BUNDLE, 3_000, HOUR_MS)
    end(book, ask(book), REFUSED)
    assert "3 could not be done" in refusal(PLAN, BUNDLE, 3_000, HOUR_MS)


def test_a_restart_loses_what_was_under_way_and_says_so():
    before = Book()
    end(before, ask(before), HELD)
    before.begin(ask(before), 1)
    ask(before)
    after = Book()
    changed = after.restore([(rehearsal_key(r.number), r) for r in before.rows()], 9_000)
    assert [(p.row.number, p.row.state, p.row.ended_ms) for p in changed] == [
        (2, LOST, 9_000),
        (3, LOST, 9_000),
    ]
    assert after.refusal(PLAN, BUNDLE, 9_000, HOUR_MS).startswith("found that rehearsal 3 was lost")
    assert ask(after) == 4


def test_the_queue_is_bounded_and_so_is_the_book(monkeypatch):
    book = Book()
    for _ in range(WAITING_MAX):
        ask(book)
    with pytest.raises(BookFullError, match=f"fewer than {WAITING_MAX}"):
        ask(book)
    assert {row.state for row in book.rows()} == {WAITS}
    monkeypatch.setattr(module, "KEPT_MAX", 4)
    for number in range(1, WAITING_MAX + 1):
        end(book, number, HELD)
    _, kept = book.ask(book.get(1))
    gone = [persist.key for persist in kept if persist.row is None]
    assert gone == [rehearsal_key(number) for number in range(1, 6)]
    assert [row.number for row in book.rows()] == [6, 7, 8, 9]


def test_one_that_is_cancelled_ends_once_and_speaks_against_its_plan_if_it_ran():
    book = Book()
    end(book, ask(book), HELD)
    waits = ask(book)
    (kept,) = book.cancel(waits, 2_500, "cancelled by ana")
    assert (kept.row.state, kept.row.ended_ms, kept.row.why) == (
        CANCELLED,
        2_500,
        "cancelled by ana",
    )
    assert book.refusal(PLAN, BUNDLE, 3_000, HOUR_MS) == "", "it never began, and says nothing"
    assert book.begin(waits, 2_600) == []
    assert book.first_waiting is None

    runs = ask(book)
    book.begin(runs, 3_000)
    assert book.cancel(runs, 3_100, "cancelled by ana: too slow")
    found = book.refusal(PLAN, BUNDLE, 3_200, HOUR_MS)
    assert (
        found
        == f"found that rehearsal {runs} was cancelled while it ran: cancelled by ana: too slow"
    )
    assert book.end(runs, Verdict(outcome=HELD, why="yes"), 3_300) == []
    assert book.fail(runs, 3_300, "no memory") == []
    assert book.cancel(runs, 3_300, "again") == []
    assert (book.get(runs).state, book.get(runs).verdict) == (CANCELLED, b"")
    end(book, ask(book), HELD, 3_400)
    assert book.refusal(PLAN, BUNDLE, 3_500, HOUR_MS) == ""


def test_those_that_are_cancelled_before_they_begin_push_none_out_that_says_something(monkeypatch):
    monkeypatch.setattr(module, "KEPT_MAX", 4)
    book = Book()
    end(book, ask(book), HELD)
    for _ in range(10):
        book.cancel(ask(book, plan=b"q" * 32), 2_500, "cancelled by ana")
    assert [row.number for row in book.rows()] == [1, 9, 10, 11]
    assert book.begun(1) == [1], "its files go"
    assert book.refusal(PLAN, BUNDLE, 3_000, HOUR_MS) == "", "forgotten for those that never ran"
    runs = ask(book)
    book.begin(runs, 3_000)
    book.cancel(runs, 3_100, "cancelled by ana")
    assert (book.begun(2), book.begun(1)) == ([1, runs], [runs])
    for _ in range(3):
        end(book, ask(book, plan=b"q" * 32), HELD)
    assert [row.number for row in book.rows()] == [runs, 13, 14, 15], "the oldest of those that ran"
