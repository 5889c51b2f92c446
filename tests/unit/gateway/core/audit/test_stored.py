"""Stored bytes of entries, of which none is trusted."""

import msgspec

from gateway.core import rows as core_rows
from gateway.core.audit.stored import read_entries, read_head_row
from tests_kit.audit_logs import log_of


def read(stored):
    found = []
    return list(read_entries(stored, found)), [(f.kind, f.number) for f in found]


def test_what_we_wrote_is_read():
    log = log_of(3)
    assert read(log.stored) == (log.rows, [])
    found = []
    assert read_head_row(core_rows.encode(log.head), found) == log.head
    assert read_head_row(None, found) is None
    assert found == []


def test_bytes_that_are_no_entry_are_named_and_leave_a_hole():
    stored = log_of(3).stored
    stored[1] = (stored[1][0], b"\xc1")
    rows, found = read(stored)
    assert ([row.number for row in rows], found) == ([1, 3], [("edited", 2)])


def test_an_entry_that_says_the_same_in_other_bytes_was_edited():
    log = log_of(2)
    stored = log.stored
    more = msgspec.msgpack.encode([*msgspec.msgpack.decode(stored[0][1]), "a word more"])
    rows, found = read([(stored[0][0], more), stored[1]])
    assert (rows, found) == (log.rows, [("edited", 1)])


def test_an_entry_under_anothers_key_was_moved():
    stored = log_of(2).stored
    assert read([stored[0], ("000000000007", stored[1][1])])[1] == [("order", 2)]


def test_a_head_that_cannot_be_read_is_said():
    found = []
    assert read_head_row(b"\xc1", found) is None
    assert [f.kind for f in found] == ["signature"]
