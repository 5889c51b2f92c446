"""What `verify` finds, one attack at a time; tests/property/test_audit_logs.py tries them at random."""

import pytest
from msgspec.structs import replace

from devicesdk.bundle.trust import Ed25519Signer
from devicesdk.wire.errors import ProtocolError
from gateway.core.audit.chain import (
    GENESIS,
    ROLE_AUDIT,
    Head,
    digest_of,
    read_head,
    verify,
    verify_end,
)
from tests_kit.audit_logs import AUDITOR, STRANGER, Log, entry, log_of


def found(log, rows=None, head="own", witnesses=()):
    entries = log.rows if rows is None else rows
    return verify(entries, log.head if head == "own" else head, AUDITOR, witnesses)


def kinds(findings):
    return [finding.kind for finding in findings]


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_a_sound_log_is_not_accused_by_anybody_who_watched_it(count):
    log = log_of(count)
    assert found(log, witnesses=log.heads) == []


@pytest.mark.parametrize("place", [0, 2, 4])
def test_an_edited_entry_is_named(place):
    log = log_of(5)
    rows = log.rows
    rows[place] = replace(rows[place], outcome="refused")
    (finding,) = found(log, rows)
    assert (finding.kind, finding.number) == ("edited", place + 1)


def test_an_entry_that_is_gone_is_named():
    log = log_of(5)
    (finding,) = found(log, [row for row in log.rows if row.number != 3])
    assert (finding.kind, finding.number) == ("missing", 3)
    assert "3 gone" in finding.story
    gone = [row for row in log.rows if row.number not in (2, 3, 4)]
    assert "2 to 4 gone" in found(log, gone)[0].story


def test_a_log_that_was_cut_does_not_reach_its_head():
    log = log_of(5)
    (finding,) = found(log, log.rows[:3])
    assert (finding.kind, finding.number) == ("cut", 4)
    assert kinds(found(log, log.rows, head=None)) == ["cut"]
    assert kinds(found(log, [])) == ["cut"]


def test_entries_after_the_head_are_nobodys():
    log = log_of(3)
    head = log.head
    log.write(entry(4))
    assert kinds(found(log, head=head)) == ["forked"]


def test_moved_and_doubled_entries_are_out_of_order():
    rows = log_of(4).rows
    assert "order" in kinds(found(log_of(4), [rows[0], rows[2], rows[1], rows[3]]))
    assert "order" in kinds(found(log_of(4), [*rows[:2], *rows[1:]]))


def test_another_history_that_nobody_of_us_signed_is_found():
    log, other = log_of(4), Log(STRANGER)
    for number in range(1, 5):
        rows = other.journal.write(entry(number, actor="eve"), 1)
        other.entries[rows[0].key], other.head = rows[0].row, rows[1].row
    assert kinds(found(log, other.rows, other.head)) == ["signature"]
    assert kinds(found(log, other.rows)) == ["edited"]


def test_a_head_whose_words_are_not_what_was_signed_is_found():
    log = log_of(4)
    three = log.rows[2]
    lying = replace(log.head, number=3, digest=digest_of(three))
    assert kinds(found(log, log.rows[:3], lying)) == ["edited"]
    assert "signed for entry 4" in found(log, head=lying)[0].story


def test_a_log_that_was_rolled_back_head_and_all_is_found_by_whoever_kept_a_head():
    log = log_of(3)
    early = log_of(2)
    assert verify(early.rows, early.head, AUDITOR) == []
    (finding,) = verify(early.rows, early.head, AUDITOR, log.heads)
    assert (finding.kind, finding.number) == ("cut", 3)


def test_an_entry_that_is_gone_is_missed_by_whoever_kept_its_head():
    log = log_of(5)
    rows = [row for row in log.rows if row.number != 3]
    assert kinds(found(log, rows, witnesses=[log.heads[2]])) == ["missing", "missing"]


def test_a_log_that_was_forked_by_whoever_has_the_key_is_found_by_whoever_kept_a_head():
    log, fork = log_of(4), log_of(2)
    fork.write(entry(3, actor="eve"), entry(4), entry(5))
    assert verify(fork.rows, fork.head, AUDITOR) == []
    assert kinds(verify(fork.rows, fork.head, AUDITOR, log.heads)) == ["forked", "forked"]
    assert verify(fork.rows, fork.head, AUDITOR, log.heads[:2]) == []


def test_only_heads_of_the_audit_key_are_read():
    log = log_of(1)
    assert read_head(log.head.envelope, AUDITOR) == Head(
        1, digest_of(log.rows[0]), log.rows[0].at_ms
    )
    for envelope in (b"", b"nonsense", STRANGER.seal(b"x"), log.head.envelope + b"x"):
        with pytest.raises(ProtocolError):
            read_head(envelope, AUDITOR)
    same_key = Ed25519Signer(ROLE_AUDIT, bytes([7]) * 32)
    with pytest.raises(ProtocolError, match="head of an audit log"):
        read_head(same_key.seal(b"not a head"), AUDITOR)
    other_role = Ed25519Signer("director", bytes([7]) * 32)
    with pytest.raises(ProtocolError):
        read_head(other_role.seal(b""), AUDITOR)


def test_an_empty_log_needs_no_head():
    assert verify_end(0, GENESIS, None, AUDITOR) == []
