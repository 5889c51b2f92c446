"""Keys of rows, and the bytes of entries, which must never change: digests are over them."""

from gateway.core import rows as core_rows
from gateway.core.audit import rows
from gateway.core.audit.rows import AuditRow


def test_keys_sort_like_numbers():
    keys = [rows.entry_key(number) for number in (1, 2, 10, 999, 1_000_000)]
    assert keys == sorted(keys)


def test_keys_of_answers_tell_actors_apart():
    assert rows.answer_key("ana", "b") != rows.answer_key("an", "ab")
    assert "\0" not in rows.answer_key("ana", "b"), "PostgreSQL's text takes no NUL"


def test_the_bytes_of_an_entry_stay_what_they_are():
    row = AuditRow(1, 2, "a", "r", "v", "s", b"{}", "done", ("x",), bytes(4))
    written = bytes.fromhex("9a0102a161a172a176a173c4027b7da4646f6e6591a178c40400000000")
    assert core_rows.encode(row) == written, "old digests would not be found again"
    assert core_rows.decode(AuditRow, written) == row
