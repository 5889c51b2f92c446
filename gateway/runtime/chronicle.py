"""What happened lately to each device and rollout, for people: connections, updates, heat and charge, progress.

Decides what of the rows and of the telemetry is remembered, how much, and what goes when there is too much. Leaves out
who may ask (gateway/api/routes/history.py), and what must survive a restart: that is in rows, and the audit log tells
of people. This begins anew with each start of the process.

Rules: what is told was durable or came by telemetry; a device keeps `EVENTS_MAX` events and `WINDOWS_MAX` windows, the
newest; beyond `DEVICES_MAX` devices the one that was silent longest is forgotten; a rollout keeps `POINTS_MAX` points,
full: every second goes, so that its curve keeps its whole width; beyond `ROLLOUTS_MAX` the one that stood still longest
is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.core import effects as ask
from gateway.core import rows
from gateway.ports import Unobserved

EVENTS_MAX: Final = 64
WINDOWS_MAX: Final = 96
DEVICES_MAX: Final = 20_000
POINTS_MAX: Final = 512
ROLLOUTS_MAX: Final = 64
_STILL_MS: Final = 1_000
"""Points of a rollout are so far apart at least; a newer one within that time replaces the older."""


class Happened(msgspec.Struct, frozen=True, gc=False):
    """One event of a device."""

    at_ms: int
    """UTC."""
    kind: str
    """connected, disconnected, booted, runs, state, wanted, outcome or quarantined."""
    about: str
    """A digest in hex, a state, an outcome, or the number of a boot."""
    why: str = ""
    """What the device said, or the rollout that wants it."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """One telemetry window of a device."""

    at_ms: int
    """When it was heard, UTC."""
    chip_c: int
    """Degrees Celsius."""
    battery_percent: int
    frames: int
    throttled: int


class Point(msgspec.Struct, frozen=True, gc=False):
    """A rollout at one instant: devices of its waves since it began or was tried again."""

    at_ms: int
    offered: int
    exposed: int
    committed: int
    bad: int
    """Failed, rolled back or refused."""
    wave: int
    """The newest one, from 0."""
    e_value: float
    """Evidence against the release in it."""


class _Said(msgspec.Struct, frozen=True, gc=False):
    """What is read of a telemetry message; the core judges all of it."""

    boot_id: int = msgspec.field(name="b")
    seq: int = msgspec.field(name="q")
    frames: int = msgspec.field(name="n")
    throttled: int = msgspec.field(name="th", default=0)
    chip_c: int = msgspec.field(name="tc", default=0)
    battery_percent: int = msgspec.field(name="bt", default=100)


_READ: Final = msgspec.msgpack.Decoder(_Said).decode


class _Past:
    """Of one device."""

    __slots__ = ("desired", "events", "heard", "presence", "quarantine", "reported", "windows")

    def __init__(self) -> None:
        self.events: deque[Happened] = deque(maxlen=EVENTS_MAX)
        self.windows: deque[Window] = deque(maxlen=WINDOWS_MAX)
        self.heard = (0, 0)
        """Boot and number of the newest window."""
        self.presence: rows.PresenceRow | None = None
        self.reported: rows.ReportedRow | None = None
        self.desired: rows.DesiredRow | None = None
        self.quarantine: tuple[bytes, ...] | None = None


class Chronicle(Unobserved):
    """Remembers; an observer of the runtime.

    Args:
        wall_ms: UTC now.
    """

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self.since_ms = wall_ms()
        """Since when it is told, UTC."""
        self._devices: OrderedDict[str, _Past] = OrderedDict()
        self._rollouts: OrderedDict[str, list[Point]] = OrderedDict()

    # -- what is told ---------------------------------------------------------------------------

    def events(self, device: str) -> list[Happened]:
        """Of a device, the oldest first."""
        past = self._devices.get(device)
        return [] if past is None else list(past.events)

    def windows(self, device: str) -> list[Window]:
        """Of a device, the oldest first."""
        past = self._devices.get(device)
        return [] if past is None else list(past.windows)

    def points(self, rollout: str) -> list[Point]:
        """Of a rollout, the oldest first."""
        return list(self._rollouts.get(rollout, ()))

    # -- what is heard --------------------------------------------------------------------------

    def heard(self, device: str, payload: bytes) -> None:
        """A telemetry message came; one that cannot be read, or came before, is not remembered."""
        try:
            said = _READ(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        past = self._past(device)
        if (said.boot_id, said.seq) <= past.heard:
            return
        past.heard = (said.boot_id, said.seq)
        past.windows.append(
            Window(self._wall_ms(), said.chip_c, said.battery_percent, said.frames, said.throttled)
        )

    def persisted(self, effect: ask.Persist, now: int) -> None:
        """A row is about to become durable; whoever asks, asks after that."""
        del now
        row = effect.row
        if type(row) is rows.PresenceRow:
            self._presence(effect.key, row)
        elif type(row) is rows.ReportedRow:
            self._reported(effect.key, row)
        elif type(row) is rows.DesiredRow:
            self._desired(effect.key, row)
        elif type(row) is rows.RolloutRow:
            self._rollout(effect.key, row)
        elif type(row) is rows.DeviceRow:
            self._device(effect.key, row)

    def _presence(self, device: str, row: rows.PresenceRow) -> None:
        past = self._past(device)
        old, past.presence = past.presence, row
        if old is None or old.online is not row.online:
            self._tell(past, "connected" if row.online else "disconnected", "")

    def _reported(self, device: str, row: rows.ReportedRow) -> None:
        past = self._past(device)
        old, past.reported = past.reported, row
        if old is None or old.boot_id != row.boot_id:
            self._tell(past, "booted", str(row.boot_id))
        if row.running and (old is None or old.running != row.running):
            self._tell(past, "runs", row.running.hex(), "on trial" if row.trial else "")
        if old is None or (old.state, old.reason) != (row.state, row.reason):
            self._tell(past, "state", row.state.name.lower(), row.reason)

    def _desired(self, device: str, row: rows.DesiredRow) -> None:
        past = self._past(device)
        old, past.desired = past.desired, row
        if old is None or (old.generation, old.manifest) != (row.generation, row.manifest):
            self._tell(past, "wanted", row.manifest.hex(), row.rollout)
        if row.outcome and (old is None or old.outcome != row.outcome):
            self._tell(past, "outcome", row.outcome.name.lower(), row.rollout)

    def _device(self, device: str, row: rows.DeviceRow) -> None:
        past = self._past(device)
        old, past.quarantine = past.quarantine, row.quarantine
        for digest in row.quarantine:
            if digest not in (old or ()):
                self._tell(past, "quarantined", digest.hex())

    def _rollout(self, rollout: str, row: rows.RolloutRow) -> None:
        waves = row.waves[row.first_wave :]
        if not waves:
            return
        point = Point(
            self._wall_ms(),
            sum(wave.offered for wave in waves),
            sum(wave.exposed for wave in waves),
            sum(wave.committed for wave in waves),
            sum(wave.failed + wave.rolled_back + wave.rejected for wave in waves),
            len(row.waves) - 1,
            waves[-1].e_value,
        )
        points = self._rollouts.get(rollout)
        if points is None:
            points = self._rollouts[rollout] = []
            if len(self._rollouts) > ROLLOUTS_MAX:
                self._rollouts.popitem(last=False)
        self._rollouts.move_to_end(rollout)
        # Of a busy second the newest stays.
        if len(points) > 1 and point.at_ms - points[-2].at_ms < _STILL_MS:
            points.pop()
        points.append(point)
        if len(points) > POINTS_MAX:
            del points[1:-1:2]

    def _tell(self, past: _Past, kind: str, about: str, why: str = "") -> None:
        past.events.append(Happened(self._wall_ms(), kind, about, why))

    def _past(self, device: str) -> _Past:
        past = self._devices.get(device)
        if past is None:
            past = self._devices[device] = _Past()
            if len(self._devices) > DEVICES_MAX:
                self._devices.popitem(last=False)
        else:
            self._devices.move_to_end(device)
        return past
