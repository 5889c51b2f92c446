"""Latencies in little memory: exact while they are few, within one per cent when they are many.

Decides percentiles by nearest rank. Past `EXACT_MAX` samples they are counted in buckets whose bounds grow
by a constant factor, so that every percentile is off by at most `RELATIVE_ERROR` of its value (DDSketch:
Masson, Rim, Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees",
VLDB 12(12), 2019). The maximum is exact always.
"""

from __future__ import annotations

import math
from typing import Final

EXACT_MAX: Final = 1_024
RELATIVE_ERROR: Final = 0.01
_GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA: Final = math.log(_GAMMA)


class Sketch:
    """Samples of one latency, ns (whole numbers from 0)."""

    __slots__ = ("_buckets", "_exact", "count", "maximum")

    def __init__(self) -> None:
        self.count = self.maximum = 0
        self._exact: list[int] | None = []
        self._buckets: dict[int, int] = {}

    def add(self, value: int) -> None:
        """Take a sample."""
        self.count += 1
        self.maximum = max(self.maximum, value)
        if self._exact is None:
            self._bucket(value)
            return
        self._exact.append(value)
        if len(self._exact) > EXACT_MAX:
            for sample in self._exact:
                self._bucket(sample)
            self._exact = None

    def _bucket(self, value: int) -> None:
        number = math.ceil(math.log(value) / _LOG_GAMMA) if value > 0 else -1
        self._buckets[number] = self._buckets.get(number, 0) + 1

    def quantile(self, share: float) -> int | None:
        """The nearest-rank percentile; None of nothing."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        if rank == self.count:
            return self.maximum
        if self._exact is not None:
            return sorted(self._exact)[rank - 1]
        seen = 0
        for number in sorted(self._buckets):
            seen += self._buckets[number]
            if seen >= rank:
                return min(self.maximum, _middle(number))
        return self.maximum

    def dump(self) -> tuple[int, int, list[int] | None, dict[int, int]]:
        """Everything, as values."""
        return self.count, self.maximum, self._exact, self._buckets

    @classmethod
    def load(cls, dumped: tuple[int, int, list[int] | None, dict[int, int]]) -> Sketch:
        """Go on where `dump` was made."""
        sketch = cls()
        sketch.count, sketch.maximum, sketch._exact, sketch._buckets = dumped
        return sketch


def _middle(number: int) -> int:
    """The value that is off by at most `RELATIVE_ERROR` from all of its bucket."""
    return 0 if number < 0 else round(2 * _GAMMA**number / (_GAMMA + 1))
