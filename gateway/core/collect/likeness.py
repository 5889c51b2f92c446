"""How much the frames of one device resemble each other: what makes a test of a cohort honest.

Decides sums of products within each device's window, by cohort and histogram. Frames of one camera are
not independent draws, and how they cling together differs from direction to direction (the bins of a slow
value move together, those of noise do not). A test that ignores the first cries wolf, one that ignores
the second still does: both come from these sums (`devicesdk.sketches.divergence`). Leaves out the test.

Rules: messages of one device in one window are one piece of evidence and are added up first (a device that
comes back with a day of windows is still one device); everything is an int64 and only ever added, so order
does not matter. What waits is merged by device whenever it has doubled, so that a fleet that talks much
costs no more than one that talks little; when `ROWS_MAX` devices wait they are summed up, and one that goes
on talking after that counts as another one. A device with a single frame resembles nothing but itself and
costs no product.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from devicesdk.sketches.divergence import Products
from gateway.core.collect.bins import BINS, HISTOGRAMS, LATENCY_INDEX

Ints = npt.NDArray[np.int64]
Waiting = tuple[Ints, Ints, npt.NDArray[np.int32 | np.int64]]
"""Keys (slot and device's number), frames, counts (n, `BINS`); one row a message, or a device."""

ROWS_MAX: Final = 32_768
"""Devices that wait; 15 MB."""
MERGE_ROWS_MIN: Final = 4_096
"""So many messages wait before they are merged by device."""
_SIZES: Final = tuple(stop - first for first, stop in HISTOGRAMS)
_GRAMS: Final = tuple(
    (sum(size * size for size in _SIZES[:index]), size) for index, size in enumerate(_SIZES)
)
_GRAM: Final = sum(size * size for size in _SIZES)
_CROSS: Final = _GRAM
_DEVICES: Final = _GRAM + BINS
_SQUARED: Final = _DEVICES + 1
COLUMNS: Final = _SQUARED + 1
_DIAGONAL: Final = np.concatenate(
    [start + (size + 1) * np.arange(size, dtype=np.int64) for start, size in _GRAMS]
)
_EXACT: Final = 2.0**53
_RANKED: Final = [bounds for index, bounds in enumerate(HISTOGRAMS) if index != LATENCY_INDEX]
_RANKS: Final = np.zeros((BINS, len(_RANKED)))
_TOTALS: Final = np.zeros((BINS, len(_RANKED)))
for _column, (_first, _stop) in enumerate(_RANKED):
    _RANKS[_first:_stop, _column] = (np.arange(_stop - _first)) / (_stop - _first - 1)
    _TOTALS[_first:_stop, _column] = 1.0


class Likeness:
    """Sums of products of all cohorts that spoke in a window."""

    __slots__ = ("_merge_at", "_rows", "_waiting", "_waits", "ranks")

    def __init__(self) -> None:
        self._rows: Ints = np.zeros((0, COLUMNS), np.int64)
        self._waiting: list[Waiting] = []
        self._waits = 0
        self._merge_at = MERGE_ROWS_MIN
        self.ranks: list[tuple[Ints, Ints, npt.NDArray[np.float64]]] = []
        """Slots, devices' numbers and mean ranks (see singles.py) of those that were added up."""

    def keep(self, slots: Ints, devices: Ints, frames: Ints, counts: Ints) -> None:
        """Take messages, one a row: cohort's slot, device's number, frames, counts (n, `BINS`)."""
        self._waiting.append((slots << 32 | devices, frames, counts.astype(np.int32)))
        self._waits += len(slots)
        if self._waits >= self._merge_at:
            self._merge()
            if self._waits >= ROWS_MAX:
                self.settle()

    def _merge(self) -> None:
        """Add up the messages of each device; the rows that wait are then ordered by cohort and device."""
        keys, frames, counts = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        order = np.argsort(keys, kind="stable")
        first = np.flatnonzero(np.diff(keys[order], prepend=-1))
        frames, counts = frames[order], counts[order]
        if len(first) < len(order):  # somebody spoke more than once; sums may pass 2^31
            frames = np.add.reduceat(frames, first)
            counts = np.add.reduceat(counts, first, axis=0, dtype=np.int64)
        self._waiting, self._waits = [(keys[order][first], frames, counts)], len(first)
        self._merge_at = max(MERGE_ROWS_MIN, 2 * self._waits)

    def settle(self) -> None:
        """Add up what waits."""
        if not self._waits:
            return
        self._merge()
        [(keys, frames, counts)] = self._waiting
        self._forget()
        slots, devices = keys >> 32, keys & 0xFFFF_FFFF
        self._add(slots, frames, counts.astype(np.int64))
        with np.errstate(invalid="ignore", divide="ignore"):
            self.ranks.append((slots, devices, (counts @ _RANKS) / (counts @ _TOTALS)))

    def _forget(self) -> None:
        self._waiting, self._waits, self._merge_at = [], 0, MERGE_ROWS_MIN

    def of(self, slot: int, index: int) -> Products:
        """The sums of one cohort's histogram; what waits is not in them."""
        if slot >= len(self._rows):
            return Products(0, 0, np.zeros(_SIZES[index], np.int64), _no_products(index))
        row = self._rows[slot]
        start, size = _GRAMS[index]
        first, stop = HISTOGRAMS[index]
        return Products(
            int(row[_DEVICES]),
            int(row[_SQUARED]),
            row[_CROSS + first : _CROSS + stop],
            row[start : start + size * size].reshape(size, size),
        )

    def devices(self, slot: int) -> int:
        """How many devices have spoken in a cohort; those that wait are not counted."""
        return int(self._rows[slot, _DEVICES]) if slot < len(self._rows) else 0

    def clear(self) -> None:
        """Begin the next window."""
        self._forget()
        self.ranks = []
        self._rows[:] = 0

    def pack_row(self, slot: int) -> bytes:
        """A cohort's sums as bytes, for `add_row`."""
        self.settle()
        if slot >= len(self._rows):
            return b""
        packed: bytes = self._rows[slot].astype("<i8").tobytes()
        return packed

    def add_row(self, slot: int, data: bytes) -> None:
        """Add a row that `pack_row` made; one of another version is left out."""
        if len(data) == 8 * COLUMNS:
            self._room(slot)
            self._rows[slot] += np.frombuffer(data, "<i8")

    def _room(self, slot: int) -> None:
        if slot >= len(self._rows):
            more = np.zeros((max(8, 2 * slot), COLUMNS), np.int64)
            more[: len(self._rows)] = self._rows
            self._rows = more

    def _add(self, slots: Ints, frames: Ints, counts: Ints) -> None:
        """Add devices that are ordered by slot."""
        self._room(int(slots[-1]))
        bounds = [*np.flatnonzero(np.diff(slots, prepend=-1)).tolist(), len(slots)]
        for begin, end in pairwise(bounds):
            row = self._rows[slots[begin]]
            n, c = frames[begin:end], counts[begin:end]
            row[_DEVICES] += end - begin
            row[_SQUARED] += int((n * n).sum())
            row[_CROSS:_DEVICES] += n @ c
            single = n <= 1
            if single.all():
                row[_DIAGONAL] += c.sum(axis=0)
                continue
            if single.any():
                # One count a histogram: its square is itself, and there are no products.
                row[_DIAGONAL] += c[single].sum(axis=0)
                n, c = n[~single], c[~single]
            if len(n):
                _add_products(row, n, c)


def _add_products(row: Ints, frames: Ints, counts: Ints) -> None:
    # Whole numbers in floats are exact below 2^53, and floats have a fast product.
    exact = float(frames.max()) ** 2 * len(frames) < _EXACT
    numbers = counts.astype(np.float64) if exact else counts
    for (start, size), (first, stop) in zip(_GRAMS, HISTOGRAMS, strict=True):
        part = numbers[:, first:stop]
        row[start : start + size * size] += (part.T @ part).astype(np.int64).ravel()


def _no_products(index: int) -> Ints:
    return np.zeros((_SIZES[index], _SIZES[index]), np.int64)
