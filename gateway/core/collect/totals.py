"""Sums of many telemetry windows by cohort: a block of messages is folded in a few numpy calls.

Decides the columns and which windows are consistent. Leaves out bytes on the wire
(`devicesdk.sketches.histogram`), how much frames of one device resemble each other (likeness.py) and
statistics (scoring.py).

Rules: everything is an int64 and is only ever added, so the order of messages, of blocks and of
merges cannot matter; a histogram that claims more than its window's frames makes the whole
message inconsistent: it is not added, and counted. A frame in error has no confidence, so a histogram
may claim fewer. Counts of privacy mode come with an offset, which is taken off here: they may be
negative, and what they claim is their noise's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from devicesdk.sketches import histogram as h
from gateway.core.collect.bins import BINS, HISTOGRAMS
from gateway.core.collect.likeness import Likeness

Ints = npt.NDArray[np.int64]

LATENCY: Final = slice(*HISTOGRAMS[2])
_STARTS: Final = [first for first, _ in HISTOGRAMS]

WINDOWS, FRAMES, THROTTLED, PROBES, PROBES_FAILED = range(BINS, BINS + 5)
COLUMNS: Final = BINS + 5
_OLD_COLUMNS: Final = 3 * BINS + 6
"""Of a version that kept squares here; their place is taken by likeness.py."""
_SLOTS_START: Final = 32
_SLOT_OF: Final = itemgetter(0)


class Pending(NamedTuple):
    """One message that waits to be folded."""

    slot: int
    histograms: bytes
    frames: int
    throttled: int
    probe_permille: int
    device: int
    """Its number among the sources."""
    offset: int
    """What privacy mode added to each count of confidence, entropy and features; 0: nothing."""


class Totals:
    """One row of sums for each cohort that has spoken in this window.

    Args:
        probe_permille_max: golden-probe residual above which a probe has failed.
        block_messages: most messages folded in one call.
    """

    __slots__ = (
        "_block", "_probe_max", "_rows", "inconsistent", "inconsistent_frames", "likeness", "used",
    )  # fmt: skip

    def __init__(self, probe_permille_max: int, block_messages: int) -> None:
        self._probe_max = probe_permille_max
        # Kept between calls: a fresh block of this size costs more in page faults than the sums.
        self._block: Ints = np.empty((block_messages, COLUMNS), np.int64)
        self._rows: Ints = np.zeros((_SLOTS_START, COLUMNS), np.int64)
        self.likeness = Likeness()
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
        self.likeness.clear()
        self.used = 0

    def fold(self, pending: Sequence[tuple[int, bytes, int, int, int, int, int]]) -> None:
        """Add messages (`Pending`, at most a block of them) to their rows."""
        if not pending:
            return
        ordered = sorted(pending, key=_SLOT_OF)
        slots, histograms, frames, throttled, probes, devices, offsets = zip(*ordered, strict=True)
        counts = h.unpack_many(histograms, BINS)
        scalars = np.array((slots, frames, throttled, probes, devices), np.int64)
        good = _consistent(counts, scalars[1])
        if any(offsets):
            good |= _without_offsets(counts, scalars[1], np.array(offsets, np.int64))
        bad = len(pending) - int(np.count_nonzero(good))
        if bad:
            self.inconsistent += bad
            self.inconsistent_frames += int(scalars[1, ~good].sum())
            counts, scalars = counts[good], scalars[:, good]
        if bad < len(pending):
            self._add(counts, *scalars)

    def _add(
        self, counts: Ints, slots: Ints, frames: Ints, throttled: Ints, probes: Ints, devices: Ints
    ) -> None:
        """Add messages that are ordered by slot."""
        block = self._block[: len(counts)]
        block[:, :BINS] = counts
        block[:, WINDOWS] = 1
        block[:, FRAMES] = frames
        block[:, THROTTLED] = throttled
        block[:, PROBES] = probes >= 0
        block[:, PROBES_FAILED] = probes > self._probe_max
        first = np.flatnonzero(np.diff(slots, prepend=-1))
        self._rows[slots[first]] += np.add.reduceat(block, first, axis=0)
        self.likeness.keep(slots, devices, frames, counts)

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
        row = np.frombuffer(data, "<i8")
        if len(row) == _OLD_COLUMNS:
            row = np.concatenate((row[:BINS], row[3 * BINS : 3 * BINS + 5]))
        self._rows[slot] += row


def _consistent(counts: Ints, frames: Ints) -> npt.NDArray[np.bool_]:
    sums = np.add.reduceat(counts, _STARTS, axis=1)
    within: npt.NDArray[np.bool_] = np.all(sums <= frames[:, None], axis=1)
    return within


def _without_offsets(counts: Ints, frames: Ints, offsets: Ints) -> npt.NDArray[np.bool_]:
    """Take the offsets off in place; which rows are private, with frames enough to have counts, and
    claim no more than noise can (`devicesdk.sketches.laplace`)."""
    told = counts[:, _STARTS[0] : LATENCY.start].any(axis=1) & (offsets > 0)
    taken = np.where(told, offsets, 0)[:, None]
    counts[:, : LATENCY.start] -= taken
    counts[:, LATENCY.stop :] -= taken
    claims = counts.max(axis=1) <= frames + offsets
    within: npt.NDArray[np.bool_] = (offsets > 0) & claims
    return within


def pack_counts(row: Sequence[int]) -> bytes:
    """The histograms of a row as varints, each count held to what a varint may hold."""
    return h.pack([min(max(count, 0), h.COUNT_MAX) for count in row[:BINS]])
