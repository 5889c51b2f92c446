"""Where a log goes on that somebody has been at: never so that what was done looks whole."""

import pytest
from msgspec.structs import replace

from gateway.core.audit.chain import GENESIS, digest_of, verify
from gateway.core.audit.journal import Journal
from gateway.core.audit.tail import Tail, tail_of
from tests_kit.audit_logs import AUDITOR, STRANGER, begun, entry, log_of


def at(log, number):
    return next((row for row in log.rows if row.number == number), None)


def ends(log, head="own", kept=None):
    last = log.rows[-1] if log.entries else None
    there = None if kept is None else at(log, kept.number)
    return tail_of(last, log.head if head == "own" else head, AUDITOR, kept, there)


def go_on(log, tail):
    """Three more entries by a gateway that begins there."""
    journal = begun(tail)
    for number in range(3):
        log.take(journal.write(entry(number), 1))
    return verify(log.rows, log.head, AUDITOR)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_sound_log_goes_on(count):
    log = log_of(count)
    tail = ends(log, kept=log.heads[-1] if count else None)
    assert tail == Tail(count, digest_of(log.rows[-1]) if count else GENESIS)
    assert go_on(log, tail) == []


def test_a_log_that_was_cut_keeps_its_hole():
    log = log_of(5)
    for number in (4, 5):
        del log.entries[f"{number:012d}"]
    tail = ends(log)
    assert (tail.number, [f.kind for f in tail.findings]) == (5, ["cut"])
    assert [f.kind for f in go_on(log, tail)] == ["missing"]


def test_a_head_that_was_taken_away_does_not_begin_the_log_anew():
    log = log_of(5)
    tail = ends(log, head=None)
    assert tail.number == 5, "entries would be overwritten"
    assert [f.kind for f in go_on(log, tail)] == ["edited"]


def test_a_head_that_was_turned_back_does_not_make_the_gateway_sign_the_cut():
    log = log_of(5)
    for number in (4, 5):
        del log.entries[f"{number:012d}"]
    log.head = replace(log.head, number=3, digest=digest_of(log.rows[-1]))
    tail = ends(log)
    assert [f.kind for f in tail.findings] == ["edited"]
    assert [f.kind for f in go_on(log, tail)] == ["missing"]


def test_entries_that_somebody_added_are_not_vouched_for():
    log = log_of(3)
    forger = Journal(STRANGER)
    forger.restore(Tail(3, digest_of(log.rows[-1])), ())
    for number in (4, 5):
        row = forger.write(entry(number, actor="admin"), 1)[0]
        log.entries[row.key] = row.row
    tail = ends(log)
    assert tail.findings[0].kind == "forked"
    assert tail.number == 5, "evidence would be overwritten"
    assert [f.kind for f in go_on(log, tail)] == ["edited"]


def test_an_edited_last_entry_is_not_followed():
    log = log_of(3)
    log.entries["000000000003"] = replace(log.rows[-1], actor="eve")
    tail = ends(log)
    assert tail.findings[0].kind == "edited"
    assert [f.number for f in go_on(log, tail)] == [3]


def test_a_log_that_was_rolled_back_head_and_all_goes_on_past_what_was_kept():
    log, later = log_of(2), log_of(5)
    tail = ends(log, kept=later.heads[-1])
    assert (tail.number, tail.findings[0].kind) == (5, "cut")
    assert [f.kind for f in go_on(log, tail)] == ["missing"]


def test_a_log_that_was_forked_before_what_was_kept_is_found():
    log, fork = log_of(4), log_of(2)
    fork.write(entry(3, actor="eve"), entry(4), entry(5))
    tail = ends(fork, kept=log.heads[3])
    assert [f.kind for f in tail.findings] == ["forked"]


def test_a_log_that_vanished_does_not_begin_anew():
    log, later = log_of(0), log_of(5)
    tail = ends(log, head=None, kept=later.heads[-1])
    assert (tail.number, tail.findings[0].kind) == (5, "cut")
    broken = replace(later.head, envelope=b"x")
    assert ends(later, head=broken).findings[0].kind == "signature"
