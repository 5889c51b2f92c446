"""Distributions and heat maps of a sweep as little drawings without a script.

Decides scales, bins and dots. Leaves out which outcomes are drawn (page.py) and colours (sweep.css).

Rules: one dot for each run while there are few of them, bars of shares when there are many; all points of the grid share
one axis, so that rows can be compared by eye; a run that did not hold stands out wherever it lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from devicesim.world.latencies import nearest_rank

WIDTH: Final = 340.0
BINS: Final = 42
DOT_RUNS_MAX: Final = 240
"""Runs of one row that are drawn as dots; more become bars."""
ROW_HEIGHT: Final = 34.0
TALL_ROW_HEIGHT: Final = 86.0
DOT_MIN: Final = 3.2
DOT_RISE: Final = 4.0
"""Height for each run of a row that stands alone, so that few runs do not leave a void above them."""
LOG_FROM: Final = 200.0
"""How many times the smallest the largest value must be for a logarithmic axis."""

Value = tuple[float, bool]
"""A run's value, and whether the run held."""


class Dot(msgspec.Struct, frozen=True):
    """One run, or a bar of several (`height` above zero), in drawing units."""

    x: float
    y: float
    width: float
    height: float
    good: bool


class Row(msgspec.Struct, frozen=True):
    """One point of the grid: its dots, its median and where its baseline lies."""

    title: str
    base: float
    dots: list[Dot]
    median_x: float | None
    median: str


class Strip(msgspec.Struct, frozen=True):
    """One outcome over all points of the grid."""

    title: str
    meaning: str
    note: str
    height: float
    bars: bool
    rows: list[Row]
    ticks: list[tuple[float, str]]


def strip(
    title: str,
    meaning: str,
    rows: Sequence[tuple[str, Sequence[Value]]],
    spell: Callable[[float], str],
) -> Strip | None:
    """Draw the distribution of one outcome; None when there is no value.

    Args:
        title: of the outcome.
        meaning: in words.
        rows: title and values of each point of the grid.
        spell: a value with its unit.
    """
    values = [value for _, row in rows for value, _ in row]
    if not values:
        return None
    low, high = min(values), max(values)
    log = low > 0 and high >= LOG_FROM * low
    if high == low:
        low, high = low - 0.5, high + 0.5

    def place(value: float) -> float:
        part = (
            (math.log(value / low) / math.log(high / low)) if log else (value - low) / (high - low)
        )
        return part * WIDTH

    most = max(len(row) for _, row in rows)
    tall = min(TALL_ROW_HEIGHT, max(ROW_HEIGHT, most * DOT_RISE)) if len(rows) == 1 else ROW_HEIGHT
    bars = max(len(row) for _, row in rows) > DOT_RUNS_MAX
    drawn = [
        _row(name, row, place, spell, tall, (number + 1) * tall, bars=bars)
        for number, (name, row) in enumerate(rows)
    ]
    middle = math.sqrt(low * high) if log else (low + high) / 2
    ends = [(0.0, spell(low)), (WIDTH, spell(high))] if max(values) > min(values) else []
    ticks = [*ends[:1], (WIDTH / 2, spell(middle)), *ends[1:]]
    note = "logarithmic" if log else ""
    return Strip(title, meaning, note, len(rows) * tall, bars, drawn, ticks)


def _row(
    title: str,
    values: Sequence[Value],
    place: Callable[[float], float],
    spell: Callable[[float], str],
    height: float,
    base: float,
    *,
    bars: bool,
) -> Row:
    if not values:
        return Row(title, base, [], None, "")
    bins: dict[int, list[bool]] = {}
    for value, good in sorted(values):
        bins.setdefault(min(BINS - 1, int(place(value) / WIDTH * BINS)), []).append(good)
    most = max(len(found) for found in bins.values())
    step = WIDTH / BINS
    rise = min(step, (height - 8) / most)
    dots: list[Dot] = []
    for number, found in bins.items():
        dots += (_bar if bars else _stack)(number * step, sorted(found), base, step, rise)
    median = nearest_rank(sorted(value for value, _ in values), 0.5)
    assert median is not None, "values are not empty"
    at = place(median)
    if not bars:  # where the dot of that run stands
        at = (min(BINS - 1, int(at / WIDTH * BINS)) + 0.5) * step
    return Row(title, base, dots, at, spell(median))


def _stack(x: float, found: list[bool], base: float, step: float, rise: float) -> list[Dot]:
    """One dot for each run, those that did not hold at the bottom."""
    return [
        Dot(
            x + step / 2,
            base - (level + 0.5) * rise,
            max(DOT_MIN, min(step, rise) * 0.84),
            0.0,
            good,
        )
        for level, good in enumerate(found)
    ]


def _bar(x: float, found: list[bool], base: float, step: float, rise: float) -> list[Dot]:
    """A bar for those that did not hold, and one for the others above it."""
    bad = found.count(False)
    out = []
    if bad:
        out.append(Dot(x, base - bad * rise, step * 0.86, bad * rise, good=False))
    if len(found) > bad:
        top = base - len(found) * rise
        out.append(Dot(x, top, step * 0.86, (len(found) - bad) * rise, good=True))
    return out


class Heat(msgspec.Struct, frozen=True):
    """One quantity over a grid of two parameters: a row of (spelled, per cent of the scale) for each value."""

    title: str
    bad: bool
    columns: list[str]
    rows: list[tuple[str, list[tuple[str, float]]]]


def heat(
    title: str,
    axes: tuple[Sequence[str], Sequence[str]],
    values: Sequence[Sequence[float | None]],
    spell: Callable[[float | None], str],
    *,
    bad: bool = False,
) -> Heat | None:
    """Colour a table; None when nothing in it differs.

    Args:
        title: of the quantity.
        axes: values of the first parameter (down) and of the second (across).
        values: a row for each value of the first parameter.
        spell: a value with its unit.
        bad: whether more is worse; then the scale begins at zero.
    """
    known = [value for row in values for value in row if value is not None]
    if not known or (min(known) == max(known) and not bad):
        return None
    low = 0.0 if bad else min(known)
    span = max(max(known) - low, 1e-12)

    def depth(value: float | None) -> float:
        return 0.0 if value is None else 100 * (value - low) / span

    rows = [
        (name, [(spell(value), depth(value)) for value in row])
        for name, row in zip(axes[0], values, strict=True)
    ]
    return Heat(title, bad, list(axes[1]), rows)
