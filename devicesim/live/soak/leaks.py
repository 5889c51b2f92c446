"""Whether memory, file descriptors or tasks grow: a slope with a bound, not two points and a hunch.

Decides what a leak is. Readings after a warm-up are put into at most `BLOCKS_MAX` blocks, each with its
median; the slope is the median of the slopes of all pairs of blocks (Theil 1950; Sen, "Estimates of the
Regression Coefficient Based on Kendall's Tau", JASA 63, 1968), which a restart or a sawtooth does not move,
and its 95 per cent bounds come from the distribution of Kendall's tau. Leaves out reading processes
(process.py).

Rules: there is a leak when even the lower bound is above what is allowed *and* the growth is more than
`floor`, what an allocator does on its own; below `BLOCKS_MIN` blocks nothing is judged.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import Final

import msgspec

BLOCKS_MAX: Final = 60
BLOCKS_MIN: Final = 8
WARM_UP_SHARE: Final = 0.25
WARM_UP_S_MAX: Final = 600.0
Z95: Final = 1.959964
HOUR_S: Final = 3600.0

Point = tuple[float, float]
"""(seconds since the start, value)."""


class Slope(msgspec.Struct, frozen=True):
    """Growth per hour with its 95 per cent bounds, and what it was made from."""

    per_h: float
    low_per_h: float
    high_per_h: float
    span_s: float
    first: float
    last: float

    @property
    def grown_low(self) -> float:
        """What it grew by over the span, at least (with 97.5 per cent confidence)."""
        return self.low_per_h * self.span_s / HOUR_S


def warm_up_s(lasted_s: float) -> float:
    """How much of the beginning of so many seconds is not looked at: a quarter, ten minutes at most."""
    return min(WARM_UP_S_MAX, WARM_UP_SHARE * lasted_s)


def slope(points: list[Point]) -> Slope | None:
    """The slope of readings after the warm-up; None when they are too few.

    Args:
        points: in the order of their instants.
    """
    if not points:
        return None
    start = points[0][0] + warm_up_s(points[-1][0] - points[0][0])
    blocks = _blocks([point for point in points if point[0] >= start])
    if len(blocks) < BLOCKS_MIN:
        return None
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for place, earlier in enumerate(blocks)
        for later in blocks[place + 1 :]
    )
    low, high = _bounds(slopes, len(blocks))
    return Slope(
        per_h=median(slopes) * HOUR_S,
        low_per_h=low * HOUR_S,
        high_per_h=high * HOUR_S,
        span_s=blocks[-1][0] - blocks[0][0],
        first=blocks[0][1],
        last=blocks[-1][1],
    )


def leaks(found: Slope, allowed_per_h: float, floor: float) -> bool:
    """Whether it grows faster than `allowed_per_h`, beyond doubt, and by more than `floor` in all."""
    return found.low_per_h > allowed_per_h and found.grown_low > floor


def gains(found: Slope, allowed: float) -> bool:
    """Whether it grew by more than `allowed` over the span, beyond doubt; for counts."""
    return found.grown_low >= allowed + 1


def _bounds(slopes: list[float], n: int) -> tuple[float, float]:
    """Sen's bounds: ranks of the ordered slopes, from the variance of Kendall's S."""
    half = Z95 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18) / 2
    middle = len(slopes) / 2
    low = max(0, math.floor(middle - half))
    high = min(len(slopes) - 1, math.ceil(middle + half))
    return slopes[low], slopes[high]


def _blocks(points: list[Point]) -> list[Point]:
    """At most `BLOCKS_MAX` groups of neighbours, each by its medians."""
    size = max(1, math.ceil(len(points) / BLOCKS_MAX))
    groups = [points[at : at + size] for at in range(0, len(points), size)]
    made = [(median(t for t, _ in group), median(v for _, v in group)) for group in groups]
    assert all(a[0] < b[0] for a, b in pairwise(made)), "readings are not in order"
    return made
