"""Wall clocks from the system's time-zone data.

Decides names by the IANA database, as Python's `zoneinfo` finds it, and those of `gateway.core.zones`. Leaves out what
a zone is for. Nothing is read twice; a zone whose rules change with an update of the data changes at the next start.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.core.zones import fixed_offset_s


class SystemZones:
    """Knows all zones of the IANA database."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, ZoneInfo | None] = {}

    def offset_s(self, zone: str, at_s: int) -> int | None:
        """Local time minus UTC, seconds; None: there is no such zone."""
        fixed = fixed_offset_s(zone)
        if fixed is not None:
            return fixed
        if zone not in self._known:
            self._known[zone] = _found(zone)
        info = self._known[zone]
        if info is None:
            return None
        distance = datetime.fromtimestamp(at_s, UTC).astimezone(info).utcoffset()
        return 0 if distance is None else int(distance.total_seconds())


def _found(zone: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # no such key, no key at all, a folder
        return None
