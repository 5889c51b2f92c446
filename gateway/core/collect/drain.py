"""How fast batteries empty under a candidate and under what ran before, while a rollout asks for it.

Decides the rate of discharge of a bundle on a hardware class, and how much of a difference is proven.
Leaves out what a gate makes of it (control's) and when it is asked (judging.py).

Theory of operation. A window says the charge in whole percent. What a device lost between two of its
windows under the same bundle, and the time between them, go into a sum; a rise is a charger, and what lies
between is left out, as is a battery that stays full, and what one device loses in a window beyond a whole charge: no battery does. Sums are kept for the window that is open and the
`KEPT` before it: what drains batteries late must not drown in the hours before. After a restart of the
gateway they begin anew.

Rules: a point of charge is counted like an event of a Poisson process (whole percents of many devices come
at their own instants), and rates are reported no further apart than `SIGMAS` standard deviations of both
counts prove; below `HOURS_MIN` hours on battery nothing is reported.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from devicesdk.wire.timebase import HOUR
from gateway.core.collect.cohorts import Cohort

KEPT: Final = 4
SIGMAS: Final = 3.0
HOURS_MIN: Final = 10.0
POINTS_MAX: Final = 100
"""Of one device in one window."""
_FULL: Final = 100

Key = tuple[bytes, str]
"""First 8 bytes of the bundle's digest, and hardware class."""
Sums = dict[Key, list[int]]
"""Points of charge lost, and nanoseconds on battery."""


class Drains:
    """Sums of discharge over the last windows."""

    __slots__ = ("_last", "_lost", "_sums")

    def __init__(self) -> None:
        self._last: dict[int, tuple[bytes, int, int]] = {}
        """Bundle, charge and instant of each source's last window."""
        self._lost: dict[int, int] = {}
        """Points that each source lost in the window that is open."""
        self._sums: deque[Sums] = deque([{}], maxlen=KEPT + 1)

    def take(self, source: int, cohort: Cohort, percent: int, now: int) -> None:
        """A device says its charge."""
        bundle = cohort.bundle or b""
        before = self._last.get(source)
        self._last[source] = bundle, percent, now
        if before is None or before[0] != bundle or percent > before[1]:
            return
        if percent == _FULL:
            return
        lost = before[1] - percent
        if lost:
            in_all = self._lost.get(source, 0) + lost
            if in_all > POINTS_MAX:
                return
            self._lost[source] = in_all
        key = bundle, cohort.hardware
        sums = self._sums[-1].get(key)
        if sums is None:
            sums = self._sums[-1][key] = [0, 0]
        sums[0] += lost
        sums[1] += now - before[2]

    def window_closes(self) -> None:
        """Begin the next window; the oldest that is kept goes."""
        self._sums.append({})
        self._lost.clear()

    def compare(self, candidate: Key, baseline: Key) -> tuple[float, float]:
        """Rates of both in percent an hour, no further apart than proven; zeros while nothing is known."""
        mine, hours = self._total(candidate)
        theirs, their_hours = self._total(baseline)
        if hours < HOURS_MIN or their_hours < HOURS_MIN:
            return 0.0, 0.0
        least = max(0.0, mine - SIGMAS * math.sqrt(mine)) / hours
        most = (theirs + SIGMAS * math.sqrt(theirs) + SIGMAS) / their_hours
        return (least, most) if least > most else (most, most)

    def _total(self, key: Key) -> tuple[int, float]:
        found = [sums[key] for sums in self._sums if key in sums]
        return sum(one[0] for one in found), sum(one[1] for one in found) / HOUR
