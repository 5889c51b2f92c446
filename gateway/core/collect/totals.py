"""Sums of many telemetry windows by cohort: a block of messages is folded in a few numpy calls.

Decides the columns and which windows are consistent. Leaves out bytes on the wire
(`devicesdk.sketches.histogram`) and statistics (scoring.py).

Rules: everything is an int64 and is only ever added, so the order of messages, of blocks and of
merges cannot matter; a histogram that claims more than its window's frames makes the whole
message inconsistent: it is not added, and counted. A frame in error has no confidence, so a histogram
may claim fewer.

Squares and cross products are kept beside the counts because frames of one device resemble each
other, and a test that ignores it cries wolf (`divergence.design_effect`).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from devicesdk.sketches import histogram as h

Ints = npt.NDArray[np.int64]

_SIZES: Final = (h.CONFIDENCE_BINS, h.ENTROPY_BINS, h.LATENCY_BINS) + (h.FEATURE_BINS,) * h.FEATURES
BINS: Final = sum(_SIZES)
HISTOGRAMS: Final = tuple(
    (sum(_SIZES[:index]), sum(_SIZES[: index + 1])) for index in range(len(_SIZES))
)
"""(first column, one past the last) of confidence, entropy, latency and the eight features."""
LATENCY: Final = slice(*HISTOGRAMS[2])
_STARTS: Final = [first for first, _ in HISTOGRAMS]

_SQUARES: Final = BINS
_CROSS: Final = 2 * BINS
_SCALARS: Final = 3 * BINS
WINDOWS, FRAMES, THROTTLED, PROBES, PROBES_FAILED, SIZES_SQUARED = range(_SCALARS, _SCALARS + 6)
COLUMNS: Final = _SCALARS + 6
_SLOTS_START: Final = 32
_SLOT_OF: Final = itemgetter(0)


class Pending(NamedTuple):
    """One message that waits to be folded."""

    slot: int
    histograms: bytes
    frames: int
    throttled: int
    probe_permille: int


class Totals:
    """One row of sums for each cohort that has spoken in this window.

    Args:
        probe_permille_max: golden-probe residual above which a probe has failed.
        block_messages: most messages folded in one call.
    """

    __slots__ = ("_block", "_probe_max", "_rows", "inconsistent", "inconsistent_frames", "used")

    def __init__(self, probe_permille_max: int, block_messages: int) -> None:
        self._probe_max = probe_permille_max
        # Kept between calls: a fresh block of this size costs more in page faults than the sums.
        self._block: Ints = np.empty((block_messages, COLUMNS), np.int64)
        self._rows: Ints = np.zeros((_SLOTS_START, COLUMNS), np.int64)
        self.used = 0
        self.inconsistent = self.inconsistent_frames = 0
        """Messages that contradicted themselves and were not added, and the frames they claimed."""

    def open_slot(self) -> int:
        """Begin a row; the table grows by doubling."""
        if self.used == len(self._rows):
            self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)))
        self.used += 1
        return self.used - 1

    def clear(self) -> None:
        """Begin the next window: no rows."""
        self._rows[: self.used] = 0
        self.used = 0

    def fold(self, pending: Sequence[tuple[int, bytes, int, int, int]]) -> None:
        """Add messages (at most a block of them) to their rows."""
        if not pending:
            return
        ordered = sorted(pending, key=_SLOT_OF)
        slots, histograms, frames, throttled, probes = zip(*ordered, strict=True)
        counts = h.unpack_many(histograms, BINS)
        scalars = np.array((slots, frames, throttled, probes), np.int64)
        good = _consistent(counts, scalars[1])
        bad = len(pending) - int(np.count_nonzero(good))
        if bad:
            self.inconsistent += bad
            self.inconsistent_frames += int(scalars[1, ~good].sum())
            counts, scalars = counts[good], scalars[:, good]
        if bad < len(pending):
            self._add(counts, *scalars)

    def _add(self, counts: Ints, slots: Ints, frames: Ints, throttled: Ints, probes: Ints) -> None:
        """Add messages that are ordered by slot."""
        block = self._block[: len(counts)]
        block[:, :BINS] = counts
        np.multiply(counts, counts, out=block[:, _SQUARES:_CROSS])
        np.multiply(counts, frames[:, None], out=block[:, _CROSS:_SCALARS])
        block[:, WINDOWS] = 1
        block[:, FRAMES] = frames
        block[:, THROTTLED] = throttled
        block[:, PROBES] = probes >= 0
        block[:, PROBES_FAILED] = probes > self._probe_max
        block[:, SIZES_SQUARED] = frames * frames
        first = np.flatnonzero(np.diff(slots, prepend=-1))
        self._rows[slots[first]] += np.add.reduceat(block, first, axis=0)

    def row(self, slot: int) -> list[int]:
        """All columns of one row."""
        out: list[int] = self._rows[slot].tolist()
        return out

    def scalar(self, slot: int, column: int) -> int:
        """One column of one row."""
        return int(self._rows[slot, column])

    def latency(self, slot: int) -> list[int]:
        """The latency histogram of one row."""
        out: list[int] = self._rows[slot, LATENCY].tolist()
        return out

    def pack_row(self, slot: int) -> bytes:
        """A row as bytes, for `add_row`."""
        packed: bytes = self._rows[slot].astype("<i8").tobytes()
        return packed

    def add_row(self, slot: int, data: bytes) -> None:
        """Add a row that `pack_row` made, here or in another process: merging is addition."""
        self._rows[slot] += np.frombuffer(data, "<i8")


def _consistent(counts: Ints, frames: Ints) -> npt.NDArray[np.bool_]:
    sums = np.add.reduceat(counts, _STARTS, axis=1)
    within: npt.NDArray[np.bool_] = np.all(sums <= frames[:, None], axis=1)
    return within


def pack_counts(row: Sequence[int]) -> bytes:
    """The histograms of a row as varints, each count saturating at what a varint may hold."""
    return h.pack([min(count, h.COUNT_MAX) for count in row[:BINS]])
