from __future__ import annotations

import msgspec
import pytest

from gateway.core.collect import rows

SAMPLES = {
    rows.JOURNAL: rows.JournalRow(
        (rows.Entry("d", 1, 2, "c", bytes(132), 4, 0, -1, {"E": 1}),
         rows.Entry("e", 1, 2, "c", bytes(132), 4, 0, 12, None))
    ),
    rows.CURSORS: rows.CursorPage(
        (rows.Cursor("d", 3, 2, 0, 2**53, 2**64 - 1, -1, 0, 0, 0),)
    ),
    rows.OPEN: rows.OpenRow(bytes(16), {"E": 2}),
    rows.WINDOW: rows.WindowRow(
        7, 10, 20,
        (rows.CohortWindow("c", 1, 4, 0, 0, 0, bytes(132), {}, 9, "data",
                           (rows.Score("f", 0.5, 1e-9, 1.2, True),)),),
        (rows.Alarm("c", "f", 2, 0, 15),),
    ),
    rows.DEBUG: rows.DebugWindowRow("d", 41, 1, 2, b"bundle-1", 4, bytes(32), 10**18),
}  # fmt: skip


def test_every_table_is_ours_and_has_a_sample():
    assert set(rows.TABLES) == set(SAMPLES)
    assert all(table.startswith("collect.") for table in rows.TABLES)


@pytest.mark.parametrize("table", sorted(rows.TABLES))
def test_rows_survive_their_bytes(table):
    sample = SAMPLES[table]
    assert type(sample) is rows.TABLES[table]
    packed = msgspec.msgpack.encode(sample)
    assert msgspec.msgpack.decode(packed, type=rows.TABLES[table]) == sample
