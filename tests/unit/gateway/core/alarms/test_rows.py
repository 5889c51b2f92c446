"""Rows survive being written, also by an older gateway."""

import msgspec

from gateway.core import rows as core
from gateway.core.alarms.rows import TABLES, AlarmRow, DeliveryRow, State, key_of
from gateway.core.alarms.rules import Severity

ROW = AlarmRow(7, "disk", "/var", State.RAISED, Severity.WARNING, 9, "1 GiB", 1, 10, 10, 10)


def test_a_row_is_read_as_it_was_written():
    for row in (ROW, DeliveryRow(3, b"{}", 5)):
        assert core.decode(type(row), core.encode(row)) == row
    assert set(TABLES.values()) == {AlarmRow, DeliveryRow}


def test_an_older_row_without_later_fields_is_read():
    short = msgspec.msgpack.encode(msgspec.msgpack.decode(core.encode(ROW))[:11])
    assert core.decode(AlarmRow, short) == ROW


def test_open_is_what_is_not_cleared():
    states = {s: msgspec.structs.replace(ROW, state=s).open for s in State}
    assert states == {State.RAISED: True, State.ACKNOWLEDGED: True, State.CLEARED: False}


def test_keys_sort_as_their_numbers():
    numbers = [1, 99, 1_790_000_000_000, 10**15]
    assert sorted(map(key_of, numbers)) == [key_of(number) for number in numbers]
