"""Numbers and links of entries, what is cut, and when a key is forgotten."""

import json
from hashlib import sha256

from gateway.core.audit import rows
from gateway.core.audit.chain import GENESIS, digest_of, read_head
from gateway.core.audit.journal import Journal, JournalLimits
from gateway.core.audit.rows import AnswerRow
from gateway.core.audit.tail import Tail
from tests_kit.audit_logs import AUDITOR, SIGNER, entry

HOUR_MS = 3_600_000


def answer(at_ms=1, body=b"{}"):
    return AnswerRow(at_ms, b"f", 200, body)


def test_entries_follow_on_each_other_and_the_head_is_signed_for_the_last():
    journal = Journal(SIGNER)
    first, _ = journal.write(entry(1), 5)
    second, head = journal.write(entry(2), 6)
    assert (first.key, first.row.previous) == ("000000000001", GENESIS)
    assert (second.row.number, second.row.previous) == (2, digest_of(first.row))
    signed = read_head(head.row.envelope, AUDITOR)
    assert (signed.number, signed.digest, signed.at_ms) == (2, digest_of(second.row), 6)
    assert (head.row.number, head.row.digest) == (2, signed.digest)
    assert journal.number == 2


def test_a_journal_goes_on_where_it_is_told():
    journal = Journal(SIGNER)
    journal.restore(Tail(41, b"d" * 32), ())
    row = journal.write(entry(), 1)[0].row
    assert (row.number, row.previous) == (42, b"d" * 32)


def test_a_long_request_is_cut_and_its_digest_says_what_it_was():
    journal = Journal(SIGNER, JournalLimits(arguments_bytes_max=100))
    long = json.dumps({"definition": "x" * 200}).encode()
    kept = json.loads(journal.write(entry(arguments=long), 1)[0].row.arguments)
    assert kept == {
        "cut": len(long), "sha256": sha256(long).hexdigest(), "begins": long[:50].decode(),
    }  # fmt: skip
    assert journal.write(entry(arguments=b"{}"), 1)[0].row.arguments == b"{}"


def test_more_sentences_than_are_kept_are_counted():
    journal = Journal(SIGNER, JournalLimits(said_max=2))
    assert journal.write(entry(said=("a", "b", "c", "d")), 1)[0].row.said == (
        "a",
        "b",
        "and 2 more",
    )


def test_an_answer_is_found_by_its_actor_alone():
    journal = Journal(SIGNER)
    (kept,) = journal.remember("ana", "k", answer())
    assert (kept.table, kept.key) == (rows.ANSWER, "ana\nk")
    assert journal.answered("ana", "k", 1) == answer()
    assert journal.answered("bob", "k", 1) is None
    assert journal.answered("ana", "other", 1) is None


def test_an_old_key_is_forgotten():
    journal = Journal(SIGNER, JournalLimits(answer_ms_max=HOUR_MS))
    journal.remember("ana", "k", answer(1))
    assert journal.answered("ana", "k", HOUR_MS + 1) is not None
    assert journal.answered("ana", "k", HOUR_MS + 2) is None
    kept, gone = journal.remember("ana", "new", answer(HOUR_MS + 2))
    assert (gone.key, gone.row) == ("ana\nk", None)
    assert kept.key == "ana\nnew"


def test_when_it_is_full_the_oldest_key_is_forgotten():
    journal = Journal(SIGNER, JournalLimits(answers_max=2))
    journal.remember("ana", "a", answer(1))
    journal.remember("ana", "b", answer(2))
    journal.remember("ana", "a", answer(3))
    out = journal.remember("ana", "c", answer(4))
    assert [(row.key, row.row is None) for row in out] == [("ana\nc", False), ("ana\nb", True)]
    assert journal.answered("ana", "a", 4) == answer(3)


def test_answers_are_restored_in_the_order_of_their_age():
    journal = Journal(SIGNER, JournalLimits(answers_max=2))
    journal.restore(Tail(), [("ana\nb", answer(2)), ("ana\na", answer(1))])
    out = journal.remember("ana", "c", answer(3))
    assert out[1].key == "ana\na"
