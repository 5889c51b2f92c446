"""The fleet by time, for the curve that a page opened in the middle of a run would not have.

Decides how often it is looked at: `POINTS` times a run, and never twice at the same instant, however often the run is taken again:
it is the same run.
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.wire.timebase import MINUTE
from gateway.core.gateway import Gateway

POINTS: Final = 144
"""Every ten minutes of a day."""


class Point(msgspec.Struct, frozen=True):
    """Counts of devices at an instant (UTC, ms)."""

    at_ms: int
    online: int
    updating: int
    in_sync: int


class Past:
    """The points of one run.

    Args:
        end_ns: where it ends.
    """

    def __init__(self, end_ns: int) -> None:
        self._every_ns = max(-(-end_ns // POINTS), MINUTE)
        self._last_ns = 0
        self.points: list[Point] = []

    def due(self, now: int) -> int:
        """The next instant at which somebody has to look."""
        following = (now // self._every_ns + 1) * self._every_ns
        return max(following, self._last_ns + self._every_ns)

    def look(self, core: Gateway, now: int, wall_ms: int) -> None:
        """Look, if it is due."""
        if now % self._every_ns or now <= self._last_ns:
            return
        self._last_ns = now
        seen = core.overview()
        self.points.append(Point(wall_ms, seen.online, seen.updating, seen.in_sync))

    def until(self, wall_ms: int) -> list[Point]:
        """Those up to an instant."""
        return [point for point in self.points if point.at_ms <= wall_ms]
