"""Rows of devices in debug mode: kept for people, apart from all that is judged.

Decides which are kept. Leaves out who may be in debug mode (gateway/core/control/debugging.py) and when a
window counts. Rules: rows under a grant that nobody gave are dropped and noted; the oldest window goes
when there are too many; one that comes twice replaces itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from devicesdk.wire.messages import Telemetry
from devicesdk.wire.timebase import MS
from gateway.core.collect import notes, rows
from gateway.core.collect.limits import CollectLimits
from gateway.core.effects import Effect, Note, Persist
from gateway.core.internal import Internal

ROW_BYTES: Final = 8
"""A frame, see `devicesdk.wire.messages.Telemetry.debug`."""


class DebugFrame(msgspec.Struct, frozen=True):
    """One frame as it was told: a class and bins, nothing finer."""

    reading: int
    """In 32nds of full scale, rounded down."""
    confidence: int
    entropy: int
    features: tuple[int, ...]
    error: int
    """0: none."""


class DebugWindowView(msgspec.Struct, frozen=True):
    """What one window told in debug mode, for people."""

    grant: int
    boot_id: int
    seq: int
    bundle: str
    """First eight bytes of the manifest's digest, hex."""
    frames: int
    """All that ran; `told` are some of them."""
    heard_ms: int
    told: list[DebugFrame]


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

    def of(self, device: str) -> list[DebugWindowView]:
        """What a device has told, in order."""
        return [_view(row) for _, row in sorted(self._rows.items()) if row.device == device]


def spelt(told: bytes) -> list[DebugFrame]:
    """Frames of `Telemetry.debug`; bytes of a row that is not whole are left out."""
    whole = len(told) - len(told) % ROW_BYTES
    return [_frame(told[start : start + ROW_BYTES]) for start in range(0, whole, ROW_BYTES)]


def _frame(row: bytes) -> DebugFrame:
    features = tuple(bins for pair in row[3:7] for bins in (pair >> 4, pair & 15))
    return DebugFrame(row[0], row[1], row[2], features, row[7])


def _view(row: rows.DebugWindowRow) -> DebugWindowView:
    return DebugWindowView(
        row.grant, row.boot_id, row.seq, row.bundle.hex(), row.frames, row.heard_ns // MS,
        spelt(row.told),
    )  # fmt: skip
