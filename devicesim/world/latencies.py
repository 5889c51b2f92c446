"""Latencies of a run: when each was over and how long it took.

Decides percentiles: nearest rank on all samples, nothing interpolated, so a percentile is a latency
that somebody had. Leaves out what is measured.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TypeVar

from devicesdk.wire.timebase import NEVER

T = TypeVar("T", int, float)


class Latencies:
    """Samples of one latency, ns; 16 bytes each."""

    __slots__ = ("_ends", "_took")

    def __init__(self) -> None:
        self._ends = array("q")
        self._took = array("q")

    def __len__(self) -> int:
        return len(self._took)

    def add(self, end: int, took: int) -> None:
        """Note that something was over at `end`, after `took`."""
        self._ends.append(end)
        self._took.append(took)

    @property
    def newest(self) -> int:
        """The sample that was added last; there must be one."""
        return self._took[-1]

    def between(self, start: int = 0, end: int = NEVER) -> list[int]:
        """The samples that were over in [start, end), ascending by how long they took."""
        pairs = zip(self._ends, self._took, strict=True)
        return sorted(took for at, took in pairs if start <= at < end)

    def percentile(self, share: float) -> int | None:
        """The nearest-rank percentile of all samples; None when there is none."""
        return nearest_rank(sorted(self._took), share)


def nearest_rank(ascending: Sequence[T], share: float) -> T | None:
    """The smallest value that at least this share of the values does not exceed; None of nothing."""
    if not ascending:
        return None
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]
