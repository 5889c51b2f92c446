"""What all little SVG charts share: their frame, round steps, marks of time, faults behind the curves.

Decides how an axis is divided. Leaves out curves (soak_charts.py, devicesim/compare/charts.py) and markup.

Rule: positions are in `FRAME` units or per cent, so that a chart stretches with the page while its text,
which is markup beside it, does not.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from devicesim.report.figures import THIN, duration
from devicesim.report.lanes import MENDING
from devicesim.report.palette import FAMILY_COLOURS, family
from devicesim.report.record import Band

FRAME: Final = (1000.0, 100.0)
STRIPE_MIN: Final = 2.0
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_TIMES_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200,
                   86400, 172800, 604800)  # fmt: skip


class Tick(msgspec.Struct, frozen=True):
    """A mark on an axis, per cent from its origin."""

    at: float
    text: str


class Stripe(msgspec.Struct, frozen=True):
    """A fault behind the curves, in `FRAME` units."""

    x: float
    width: float
    colour: str
    hint: str


def round_step(least: float) -> float:
    """The smallest round step of at least this size."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9))


def times(span_s: float, parts_max: int) -> list[Tick]:
    """Marks of an axis of time that has at most so many parts, as time since the start."""
    step = next((s for s in _TIMES_S if span_s / s <= parts_max), _TIMES_S[-1])
    return [
        Tick(100 * place * step / span_s, _since(place * step, step) if place else "0")
        for place in range(int(span_s / step) + 1)
    ]


def _since(value_s: int, step_s: int) -> str:
    """A mark's time in the unit of its axis: days only where all marks are whole ones."""
    for unit_s, name in ((86_400, "d"), (3_600, "h")):
        if step_s % unit_s == 0:
            return f"{value_s // unit_s}{THIN}{name}"
    return duration(value_s)


def stripes(bands: list[Band], span_s: float, side: str = "") -> list[Stripe]:
    """Faults behind the curves, without what mends them; `side` says whose."""
    return [
        Stripe(
            FRAME[0] * band.start_s / span_s,
            max(STRIPE_MIN, FRAME[0] * (min(band.end_s, span_s) - band.start_s) / span_s),
            FAMILY_COLOURS[family(band.kind)],
            f"{side}{band.label}: +{duration(band.start_s)}, {duration(band.end_s - band.start_s)}",
        )
        for band in bands
        if band.start_s < span_s and band.kind not in MENDING
    ]
