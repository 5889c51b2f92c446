from __future__ import annotations

import numpy as np
import pytest

from devicesdk.sketches import histogram as h
from devicesdk.sketches.laplace import offset_of
from gateway.core.collect import totals as t
from gateway.core.collect.bins import HISTOGRAMS
from gateway.core.collect.intake import histograms_of


def one(lab, slot=0, frames=4, probe=-1, device=0, **fields):
    message = lab.telemetry(frames=frames, **fields)
    return slot, histograms_of(message), frames, 1, probe, device, 0


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
    assert sums.scalar(0, t.FRAMES) == 4
    assert sums.latency(1) == lab.one_hot(16, 5, 14)


def test_messages_that_contradict_themselves_are_counted_and_left_out(lab):
    sums = t.Totals(20, 8)
    sums.open_slot()
    lying = one(lab)
    too_few = (0, lying[1], 3, 0, -1, 0, 0)
    sums.fold([too_few, lying])
    assert (sums.inconsistent, sums.inconsistent_frames) == (1, 3)
    assert sums.scalar(0, t.FRAMES) == sum(sums.row(0)[:20]) == 4
    sums.fold([too_few])
    assert sums.inconsistent == 2


def test_a_frame_in_error_has_no_confidence_and_counts_all_the_same(lab):
    sums = t.Totals(20, 8)
    sums.open_slot()
    sums.fold([(0, one(lab)[1], 5, 0, -1, 0, 0)])
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
    assert HISTOGRAMS[0] == (0, 20)
    assert HISTOGRAMS[3] == (52, 62)
    assert HISTOGRAMS[-1][1] == t.BINS
    assert t.COLUMNS == t.PROBES_FAILED + 1


def test_a_malformed_row_is_refused_loudly():
    sums = t.Totals(20, 8)
    sums.open_slot()
    with pytest.raises(ValueError, match="expected 132 counts"):
        sums.fold([(0, b"\x80", 1, 0, -1, 0, 0)])


def test_a_row_of_a_version_that_kept_squares_here_is_read():
    sums = t.Totals(20, 8)
    sums.open_slot()
    old = np.arange(3 * t.BINS + 6, dtype="<i8")
    sums.add_row(0, old.tobytes())
    row = sums.row(0)
    assert row[: t.BINS] == list(range(t.BINS))
    assert row[t.WINDOWS] == 3 * t.BINS
    assert row[t.PROBES_FAILED] == 3 * t.BINS + 4


def test_what_privacy_mode_added_is_taken_off(lab):
    offset = offset_of(1000)
    sums = t.Totals(20, 8)
    sums.open_slot()
    veiled = lab.telemetry(
        confidence=h.pack([offset - 30] * 19 + [offset + 40]),
        entropy=h.pack([offset] * 16),
        features=h.pack([offset + 5] * 80),
    )
    sums.fold([(0, histograms_of(veiled), 4, 0, -1, 0, offset)])
    row = sums.row(0)
    assert sums.inconsistent == 0, "noise may claim more than there were frames"
    assert (row[0], row[19], row[20], row[52]) == (-30, 40, 0, 5)
    assert sum(sums.latency(0)) == 4, "latency is told as it is"
    assert min(h.unpack(t.pack_counts(row), t.BINS)) == 0


def test_a_private_window_cannot_claim_more_than_noise_can(lab):
    sums = t.Totals(20, 8)
    sums.open_slot()
    offset = offset_of(1000)
    lie = lab.telemetry(confidence=h.pack([3 * offset] * 20))
    sums.fold([(0, histograms_of(lie), 4, 0, -1, 0, offset)])
    assert sums.inconsistent == 1
