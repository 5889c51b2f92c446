"""Curves of a soak as little SVG charts without a script.

Decides scales, ticks and paths: positions are per cent of a frame that stretches with the page, so all
text is markup beside the drawing and never stretched. Leaves out which curves there are (soak_view.py).

Rules: time is shared by all charts of a page; a value that is not known breaks its curve; a logarithmic
scale is used where the largest value is many times the smallest, and the chart says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import msgspec

from devicesim.report.axes import FRAME, Stripe, Tick, round_step, stripes, times
from devicesim.report.record import Band

LOG_FROM: Final = 30.0
"""How many times the smallest the largest value must be for a logarithmic scale."""
TICKS_MAX: Final = 4
PARTS_MAX: Final = 6
"""Parts of the axis of time, at most."""

Point = tuple[float, float | None]


class Line(msgspec.Struct, frozen=True):
    """One curve: its name, colour and (seconds, value) points; `area` fills what is below."""

    name: str
    colour: str
    points: list[Point]
    area: bool = False


class Drawn(msgspec.Struct, frozen=True):
    """A curve as paths in `FRAME` units; `last` is its newest value, spelled."""

    name: str
    colour: str
    line: str
    area: str
    last: str


class Chart(msgspec.Struct, frozen=True):
    """One chart, ready for the template."""

    title: str
    note: str
    lines: list[Drawn]
    y_ticks: list[Tick]
    x_ticks: list[Tick]
    stripes: list[Stripe]


def draw(
    title: str,
    lines: list[Line],
    span_s: float,
    spell: Callable[[float], str],
    *,
    bands: list[Band] | None = None,
    from_zero: bool = True,
    may_log: bool = False,
    whole: bool = False,
) -> Chart | None:
    """Draw curves over [0, span_s]; None when there is no value.

    Args:
        title: what they are.
        lines: the curves.
        span_s: how long the soak lasted.
        spell: a value with its unit.
        bands: faults to draw behind.
        from_zero: whether the axis begins at zero.
        may_log: whether a logarithmic scale may be used.
        whole: whether values are counts, which have no fractions.
    """
    values = [value for line in lines for _, value in line.points if value is not None]
    if not values:
        return None
    above = [value for value in values if value > 0]
    log = may_log and bool(above) and max(above) >= LOG_FROM * min(above)
    scale = (
        _Log(min(above), max(above)) if log else _Linear(min(values), max(values), from_zero, whole)
    )
    span = max(span_s, 1e-9)
    return Chart(
        title=title,
        note="logarithmic" if log else "",
        lines=[_drawn(line, span, scale, spell) for line in lines if _has_value(line)],
        y_ticks=[Tick(100 * scale.place(v), spell(v)) for v in scale.ticks()],
        x_ticks=times(span, PARTS_MAX),
        stripes=stripes(bands or [], span),
    )


class _Linear:
    def __init__(self, low: float, high: float, from_zero: bool, whole: bool) -> None:  # noqa: FBT001
        low = min(0.0, low) if from_zero else low
        if high <= low:
            high = low + max(1.0, abs(low) * 0.1)
        self._step = round_step((high - low) / TICKS_MAX)
        if whole:
            self._step = float(max(1, math.ceil(self._step)))
        self.low = math.floor(low / self._step + 1e-9) * self._step
        self.high = max(high, self.low + self._step)
        self.high += (self.high - self.low) * 0.04

    def place(self, value: float) -> float:
        """From 0 at the bottom to 1 at the top."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values."""
        count = int((self.high - self.low) / self._step + 1e-9)
        return [self.low + self._step * place for place in range(count + 1)]


class _Log:
    def __init__(self, low: float, high: float) -> None:
        self._low = math.floor(math.log10(low))
        self._high = max(math.ceil(math.log10(high)), self._low + 1)

    def place(self, value: float) -> float:
        """From 0 at the bottom to 1 at the top; what is not above zero stands at the bottom."""
        if value <= 0:
            return 0.0
        return max(0.0, (math.log10(value) - self._low) / (self._high - self._low))

    def ticks(self) -> list[float]:
        """Powers of ten, not too many."""
        every = math.ceil((self._high - self._low) / TICKS_MAX)
        return [10.0**power for power in range(self._low, self._high + 1, every)]


def _has_value(line: Line) -> bool:
    return any(value is not None for _, value in line.points)


def _drawn(line: Line, span: float, scale: _Linear | _Log, spell: Callable[[float], str]) -> Drawn:
    runs: list[list[tuple[float, float]]] = [[]]
    for at_s, value in line.points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((FRAME[0] * at_s / span, FRAME[1] * (1 - scale.place(value))))
    found = [run for run in runs if run]
    last = next(value for _, value in reversed(line.points) if value is not None)
    return Drawn(
        line.name, line.colour, " ".join(map(_path, found)),
        " ".join(map(_below, found)) if line.area else "", spell(last),
    )  # fmt: skip


def _path(run: list[tuple[float, float]]) -> str:
    if len(run) == 1:  # one point alone: a short dash
        x, y = run[0]
        return f"M{x - 4:.1f} {y:.2f}H{x + 4:.1f}"
    return "M" + "L".join(f"{x:.1f} {y:.2f}" for x, y in run)


def _below(run: list[tuple[float, float]]) -> str:
    return f"{_path(run)}V{FRAME[1]:g}H{run[0][0]:.1f}Z" if len(run) > 1 else ""
