from __future__ import annotations

import pytest

from devicesdk.sketches import histogram as h
from gateway.core.collect import totals as t
from gateway.core.collect.intake import histograms_of


def one(lab, slot=0, frames=4, probe=-1, **fields):
    message = lab.telemetry(frames=frames, **fields)
    return slot, histograms_of(message), frames, 1, probe


def test_a_block_is_added_by_slot(lab):
    sums = t.Totals(20, 8)
    assert [sums.open_slot() for _ in range(2)] == [0, 1]
    sums.fold([])
    sums.fold([one(lab, 1, look=2), one(lab, 0), one(lab, 1, look=3, probe=5, frames=6),
               one(lab, 1, look=3, probe=21)])  # fmt: skip
    row = sums.row(1)
    assert row[:4] == [0, 0, 4, 10]
    assert [row[c] for c in (t.WINDOWS, t.FRAMES, t.THROTTLED, t.PROBES, t.PROBES_FAILED)] == [
        3, 14, 3, 2, 1,
    ]  # fmt: skip
    assert row[t.BINS + 3] == 6 * 6 + 4 * 4
    assert row[2 * t.BINS + 3] == 6 * 6 + 4 * 4
    assert row[t.SIZES_SQUARED] == 4 * 4 + 6 * 6 + 4 * 4
    assert sums.scalar(0, t.FRAMES) == 4
    assert sums.latency(1) == lab.one_hot(16, 5, 14)


def test_messages_that_contradict_themselves_are_counted_and_left_out(lab):
    sums = t.Totals(20, 8)
    sums.open_slot()
    lying = one(lab)
    too_few = (0, lying[1], 3, 0, -1)
    sums.fold([too_few, lying])
    assert (sums.inconsistent, sums.inconsistent_frames) == (1, 3)
    assert sums.scalar(0, t.FRAMES) == sum(sums.row(0)[:20]) == 4
    sums.fold([too_few])
    assert sums.inconsistent == 2


def test_a_frame_in_error_has_no_confidence_and_counts_all_the_same(lab):
    sums = t.Totals(20, 8)
    sums.open_slot()
    sums.fold([(0, one(lab)[1], 5, 0, -1)])
    assert sums.inconsistent == 0
    assert (sums.scalar(0, t.FRAMES), sum(sums.row(0)[:20])) == (5, 4)


def test_without_a_confidence_histogram_the_frames_still_count(lab):
    sums = t.Totals(20, 8)
    sums.open_slot()
    sums.fold([one(lab, confidence=b""), one(lab, confidence=b"", features=b"")])
    assert sums.scalar(0, t.FRAMES) == 8
    assert sums.inconsistent == 0


def test_the_table_grows_and_begins_anew(lab):
    sums = t.Totals(20, 8)
    for slot in range(100):
        assert sums.open_slot() == slot
    sums.fold([one(lab, slot) for slot in (0, 99)])
    assert sums.scalar(99, t.FRAMES) == 4
    sums.clear()
    assert sums.used == 0
    assert sums.open_slot() == 0
    assert not any(sums.row(0))


def test_a_packed_row_adds_up(lab):
    one_process, other = t.Totals(20, 8), t.Totals(20, 8)
    for sums in (one_process, other):
        sums.open_slot()
    one_process.fold([one(lab, look=2)])
    other.fold([one(lab, look=7, probe=30)])
    one_process.add_row(0, other.pack_row(0))
    pooled = t.Totals(20, 8)
    pooled.open_slot()
    pooled.fold([one(lab, look=7, probe=30), one(lab, look=2)])
    assert one_process.row(0) == pooled.row(0)


def test_counts_for_storage_saturate():
    row = [0] * t.COLUMNS
    row[3], row[131] = 2**40, 5
    counts = h.unpack(t.pack_counts(row), t.BINS)
    assert (counts[3], counts[131], sum(counts)) == (h.COUNT_MAX, 5, h.COUNT_MAX + 5)


def test_columns_follow_the_wire():
    assert t.BINS == 132
    assert t.HISTOGRAMS[0] == (0, 20)
    assert t.HISTOGRAMS[3] == (52, 62)
    assert t.HISTOGRAMS[-1][1] == t.BINS
    assert t.COLUMNS == t.SIZES_SQUARED + 1


def test_a_malformed_row_is_refused_loudly():
    sums = t.Totals(20, 8)
    sums.open_slot()
    with pytest.raises(ValueError, match="expected 132 counts"):
        sums.fold([(0, b"\x80", 1, 0, -1)])
