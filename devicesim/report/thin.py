"""Fewer points, the same picture.

Decides which instants of a long series are kept so that a report of two weeks is as small as one of
a day. Leaves out averaging: every kept point was measured, and each curve keeps the lowest and
highest value of every stretch, so no dip and no spike disappears.
"""

from __future__ import annotations

import math
from typing import Final

from devicesim.report.record import Series

POINTS_MAX: Final = 1_500
"""Points of one curve that a screen of 1440 pixels can tell apart."""


def thin(series: Series, points_max: int = POINTS_MAX) -> Series:
    """Keep at most about `points_max` instants, the extremes of every curve among them.

    Returns `series` itself when it is short enough. With many curves the stretches get
    longer, since each may keep two instants a curve.
    """
    total = len(series.t_s)
    if total <= points_max:
        return series
    stretches = max(1, points_max // (2 * max(1, len(series.values))))
    keep = {0, total - 1}
    for index in range(stretches):
        start, end = total * index // stretches, total * (index + 1) // stretches
        for curve in series.values.values():
            keep.update(_extremes(curve, start, end))
    kept = sorted(keep)
    return Series(
        series.unit,
        [series.t_s[i] for i in kept],
        {name: [curve[i] for i in kept] for name, curve in series.values.items()},
    )


def _extremes(curve: list[float], start: int, end: int) -> tuple[int, ...]:
    known = [i for i in range(start, end) if not math.isnan(curve[i])]
    if not known:
        return (start,)
    return min(known, key=curve.__getitem__), max(known, key=curve.__getitem__)
