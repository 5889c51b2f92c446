"""Rows of devices in debug mode: kept for people, apart from all that is judged.

Decides which are kept. Leaves out who may be in debug mode (gateway/core/control/debugging.py) and when a
window counts. Rules: rows under a grant that nobody gave are dropped and noted; the oldest window goes
when there are too many; one that comes twice replaces itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from devicesdk.wire.messages import Telemetry
from gateway.core.collect import notes, rows
from gateway.core.collect.limits import CollectLimits
from gateway.core.effects import Effect, Note, Persist
from gateway.core.internal import Internal


class Debugged:
    """What was told in debug mode.

    Args:
        limits: of them `debug_windows_max`.
    """

    __slots__ = ("_granted", "_max", "_rows")

    def __init__(self, limits: CollectLimits) -> None:
        self._max = limits.debug_windows_max
        self._granted: dict[tuple[str, int], None] = {}
        self._rows: dict[str, rows.DebugWindowRow] = {}

    def granted(self, device: str, number: int) -> None:
        """A grant was given; the oldest is forgotten when there are too many."""
        self._granted[device, number] = None
        if len(self._granted) > self._max:
            del self._granted[next(iter(self._granted))]

    def take(self, device: str, window: Telemetry, utc_ns: int) -> list[Effect | Internal]:
        """Keep what an accepted window told."""
        number = window.debug_grant
        if (device, number) not in self._granted:
            return [Note(notes.DEBUG_UNASKED, device, number)]
        row = rows.DebugWindowRow(
            device, number, window.boot_id, window.seq, window.bundle, window.frames, window.debug,
            utc_ns,
        )  # fmt: skip
        key = f"{device}/{number:016d}/{window.boot_id:016d}/{window.seq:016d}"
        self._rows[key] = row
        effects: list[Effect | Internal] = [Persist(rows.DEBUG, key, row)]
        if len(self._rows) > self._max:
            oldest = next(iter(self._rows))
            del self._rows[oldest]
            effects.append(Persist(rows.DEBUG, oldest, None))
        return effects

    def load(self, stored: Mapping[str, rows.DebugWindowRow]) -> None:
        """Take back durable rows."""
        by_age = sorted(stored.items(), key=lambda pair: (pair[1].heard_ns, pair[0]))
        self._rows.update(by_age)

    def of(self, device: str) -> list[rows.DebugWindowRow]:
        """What a device has told, in order."""
        return [row for _, row in sorted(self._rows.items()) if row.device == device]
