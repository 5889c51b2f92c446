"""Local time: how far a zone's clocks are from UTC.

Decides the question, and the zones that need no table: ``UTC``, and those at a fixed distance such as
``UTC+9`` or ``UTC-03:30``. Leaves out everybody else's rules: the core reads no files, so a host passes in
something that knows them (`gateway.adapters.zones` reads the system's tzdata, the world brings a table of
its own, so that a run is the same on every machine).

Rules: a distance is asked for an instant of UTC, so there is always exactly one answer: gaps and overlaps
exist on wall clocks only; distances change on quarter-hours of UTC, as all zones have done since 1972.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

UTC: Final = "UTC"
_FIXED: Final = re.compile(r"UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?")
_HOURS_MAX: Final = 14


class Zones(Protocol):
    """Knows zones by their names."""

    def offset_s(self, zone: str, at_s: int) -> int | None:
        """Local time minus UTC, seconds, at an instant of UTC (seconds since 1970); None: no such zone."""
        ...


def fixed_offset_s(zone: str) -> int | None:
    """The distance of a zone that says it in its name; None of any other."""
    match = _FIXED.fullmatch(zone)
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    if sign is None:
        return 0
    distance = int(hours) * 60 + int(minutes or 0)
    if distance > _HOURS_MAX * 60 or int(minutes or 0) >= 60:
        return None
    return distance * (60 if sign == "+" else -60)


class FixedZones:
    """Knows the zones at a fixed distance, and no others."""

    __slots__ = ()

    def offset_s(self, zone: str, at_s: int) -> int | None:  # noqa: ARG002 - never changes
        """Local time minus UTC, seconds."""
        return fixed_offset_s(zone)
