"""Pictures of a comparison as little SVG charts without a script.

Decides scales, ticks and paths: curves of both sides on one axis of time with the gap between them filled,
paired differences as a histogram around zero, an interval as a bar beside zero. Leaves out which of them
there are (view.py), and markup.

Rule: a value that is not known breaks its curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from devicesim.compare.stats import Interval
from devicesim.report.axes import FRAME, Tick, round_step
from devicesim.report.panels import measured
from devicesim.report.record import Series
from devicesim.report.thin import thin

POINTS_MAX: Final = 700
BINS: Final = 41
TICKS: Final = 3
TICKS_APART: Final = 22.0
"""Per cent of a histogram's width that two texts below it need."""
_TRIM: Final = (1.0, 99.0)
"""Percentiles beyond which differences stand in the outermost bars."""


class Overlay(msgspec.Struct, frozen=True):
    """Both curves, and the gap between them where B is above A and where it is below, as paths."""

    a: str
    b: str
    above: str
    below: str
    y_ticks: list[Tick]


class Bar(msgspec.Struct, frozen=True):
    """One bar of a histogram, in `FRAME` units; `side` is less, more or zero."""

    x: float
    width: float
    height: float
    side: str


class Spread(msgspec.Struct, frozen=True):
    """A histogram of paired differences; places are per cent of its width."""

    bars: list[Bar]
    zero: float
    mean: float
    low: float
    width: float
    x_ticks: list[Tick]


class Whisker(msgspec.Struct, frozen=True):
    """An interval beside zero, per cent of its width."""

    zero: float
    left: float
    width: float
    mean: float


# -- time ---------------------------------------------------------------------------------------


def overlay(
    t_s: list[float],
    a: list[float],
    b: list[float],
    span_s: float,
    spell: Callable[[float], str],
    *,
    from_zero: bool = True,
) -> Overlay | None:
    """Draw two curves over [0, span_s]; None where neither has a value."""
    points = min(len(t_s), len(a), len(b))
    series = thin(Series("", t_s[:points], {"a": a[:points], "b": b[:points]}), POINTS_MAX)
    a, b = series.values["a"], series.values["b"]
    known = measured([*a, *b])
    if not known:
        return None
    least = min(0.0, *known) if from_zero else min(known)
    low, high, ticks = _axis(least, max(known))
    xs = [FRAME[0] * at / max(span_s, 1e-9) for at in series.t_s]

    def place(value: float) -> float:
        return FRAME[1] * (1.0 - (value - low) / (high - low))

    ys_a, ys_b = [place(value) for value in a], [place(value) for value in b]
    return Overlay(
        _line(xs, ys_a), _line(xs, ys_b),
        _gap(xs, ys_a, ys_b, above=True), _gap(xs, ys_a, ys_b, above=False),
        [Tick(100.0 * (value - low) / (high - low), spell(value)) for value in ticks],
    )  # fmt: skip


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    if high <= low:
        high = low + max(1.0, abs(low) * 0.1)
    step = round_step((high - low) / TICKS)
    low = math.floor(low / step + 1e-9) * step
    ticks = [low + step * place for place in range(int((high - low) / step + 1e-9) + 1)]
    return low, high + (high - low) * 0.05, ticks


def _line(xs: list[float], ys: list[float]) -> str:
    runs: list[list[str]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if math.isnan(y):
            runs.append([])
        else:
            runs[-1].append(f"{x:.1f} {y:.2f}")
    return " ".join("M" + "L".join(run) for run in runs if len(run) > 1)


def _gap(xs: list[float], a: list[float], b: list[float], *, above: bool) -> str:
    """The area between the curves where B is above (smaller y) or below A."""
    paths: list[str] = []
    run: list[tuple[float, float, float]] = []
    for x, y_a, y_b in zip(xs, a, b, strict=True):
        if math.isnan(y_a) or math.isnan(y_b):
            paths.append(_area(run))
            run = []
            continue
        inside = max(y_b, y_a) if not above else min(y_b, y_a)
        run.append((x, y_a, inside))
    paths.append(_area(run))
    return "".join(paths)


def _area(run: list[tuple[float, float, float]]) -> str:
    """A closed path along A and back along the other; stretches without a gap are left out."""
    made, part = [], []
    for place, point in enumerate(run):
        near = run[max(0, place - 1) : place + 2]
        if any(abs(y - y_a) > 1e-6 for _, y_a, y in near):
            part.append(point)
            continue
        made.append(_closed(part))
        part = []
    made.append(_closed(part))
    return "".join(made)


def _closed(part: list[tuple[float, float, float]]) -> str:
    if len(part) < 2:
        return ""
    there = "L".join(f"{x:.1f} {y:.2f}" for x, y, _ in part)
    back = "L".join(f"{x:.1f} {y:.2f}" for x, _, y in reversed(part))
    return f"M{there}L{back}Z"


# -- differences --------------------------------------------------------------------------------


def spread(
    differences: NDArray[np.float64],
    mean: float,
    interval: Interval | None,
    spell: Callable[[float], str],
) -> Spread | None:
    """Draw paired differences; None where all are zero. Exact zeros are not drawn: they are told."""
    moved = differences[differences != 0]
    if not len(moved):
        return None
    low, high = (float(value) for value in np.percentile(moved, _TRIM))
    low, high = min(low, 0.0), max(high, 0.0)
    if interval is not None:
        low, high = min(low, interval.low), max(high, interval.high)
    width = (high - low) / BINS or max(abs(high), 1e-9)
    # A border stands on zero, so that no bar holds both what is better and what is worse.
    first = math.floor(low / width + 1e-9)
    count = math.ceil(high / width - 1e-9) - first
    edges = np.array([(first + place) * width for place in range(max(1, count) + 1)])
    counts, _ = np.histogram(np.clip(moved, edges[0], edges[-1]), bins=edges)
    top = max(1, int(counts.max()))
    scale = FRAME[0] / (edges[-1] - edges[0])

    def place(value: float) -> float:
        return float(min(100.0, max(0.0, 100.0 * (value - edges[0]) / (edges[-1] - edges[0]))))

    bars = [
        Bar(float((left - edges[0]) * scale), float(width * scale), FRAME[1] * int(n) / top,
            "less" if left < -width / 2 else "more")
        for left, n in zip(edges[:-1], counts, strict=True)
        if n
    ]  # fmt: skip
    band = (interval.low, interval.high) if interval is not None else (mean, mean)
    ends = (float(edges[0]), float(edges[-1]))
    ticks = [0.0, *(end for end in ends if abs(place(end) - place(0.0)) > TICKS_APART)]
    return Spread(
        bars, place(0.0), place(mean), place(band[0]), place(band[1]) - place(band[0]),
        [Tick(place(value), spell(value)) for value in ticks],
    )  # fmt: skip


def whisker(mean: float, interval: Interval | None) -> Whisker | None:
    """Draw an interval on a scale of its own, zero in the middle."""
    if interval is None:
        return None
    reach = max(abs(interval.low), abs(interval.high)) * 1.08 or 1.0

    def place(value: float) -> float:
        return 50.0 + 50.0 * value / reach

    low = place(interval.low)
    return Whisker(50.0, low, max(0.8, place(interval.high) - low), place(mean))
