"""What the control machine keeps: one immutable row for each fact that must survive a crash.

Decides the rows' fields and their bytes. Leaves out where rows are stored (a port of the runtime, a
forgetful store in the world) and what is done with them. A row is replaced, never changed, so a
`Persist` may hand over a reference.

Rules: instants in rows are UTC nanoseconds, because `now` has another origin after a restart; a
field that is added later has a default, so that old rows are read by new code.
"""

from __future__ import annotations

import enum
from typing import Any, Final

import msgspec

from devicesdk.bundle.manifest import Manifest
from devicesdk.wire.messages import Capabilities, DeltaRef, UpdateState
from gateway.core.stimuli import RolloutPlan


class Purpose(enum.IntEnum):
    """Why a device was given its desired state."""

    FACTORY = 0
    """Believed to run it since it was made; no want was published."""
    UPDATE = 1
    REVERT = 2


class Outcome(enum.IntEnum):
    """How the newest want of a device ended, as the gateway counts it."""

    OPEN = 0
    COMMITTED = 1
    FAILED = 2
    ROLLED_BACK = 3
    REJECTED = 4
    SUPERSEDED = 5
    """A newer rollout took the device, or the device says that it gave up for one."""
    STOPPED = 6
    """The rollout was halted or aborted while the device was in flight, or the device canceled."""
    STAGED = 7
    """It rests beside what runs, as was asked; a flag or a newer want may say more."""


class Phase(enum.IntEnum):
    """The life of a rollout; it always ends, or waits with a reason that is named."""

    WAITING = 0
    RUNNING = 1
    PAUSED = 2
    COMPLETED = 3
    HALTED = 4
    ABORTED = 5

    @property
    def ended(self) -> bool:
        """Whether nothing more will be offered unless somebody asks for a retry."""
        return self >= Phase.COMPLETED


class Brake(enum.IntEnum):
    """What is being done to the members of a rollout that was stopped."""

    NONE = 0
    HOLD = 1
    REVERT = 2


class Row(msgspec.Struct, frozen=True, array_like=True):
    """Base of all rows: on disk an array, so fields are only ever added at the end."""


class DeviceRow(Row, frozen=True, array_like=True):
    """What the registry says of a device, and what must never be flashed on it again."""

    labels: dict[str, str]
    enrolled: bool
    quarantine: tuple[bytes, ...] = ()


class DesiredRow(Row, frozen=True, array_like=True, gc=False):
    """What the gateway wants of a device, and how that went."""

    generation: int
    manifest: bytes
    rollout: str
    purpose: Purpose
    attempt: int = 0
    hold: bool = False
    previous: bytes = b""
    """What a revert goes back to; empty when nobody knows."""
    wave: int = 0
    """Index into the rollout's waves."""
    outcome: Outcome = Outcome.OPEN
    exposed: bool = False
    """Whether the device ever ran the candidate, on trial or for good."""
    judged: bool = False
    """Whether it is among those on which the gate has an opinion."""
    blamed: bool = False
    """Whether its failure counts against the release."""
    until_ns: int = 0
    """When the device may no longer begin, because its maintenance window closes; 0: it always may."""
    said: bool = False
    """Whether the device itself said that it ran `previous`; else that is what somebody believes."""


class ReportedRow(Row, frozen=True, array_like=True, gc=False):
    """What a device last said of itself, newest by ``(boot_id, seq)``."""

    boot_id: int
    seq: int
    generation: int = 0
    running: bytes = b""
    trial: bool = False
    state: UpdateState = UpdateState.IDLE
    reason: str = ""
    flags_rev: int = 0
    kill_version: int = 0
    hardware_class: str = ""
    variant: str = ""
    slot: str = "a"
    bytes_done: int = 0
    capabilities: Capabilities | None = None
    """As it last said them, in whichever boot."""


class PresenceRow(Row, frozen=True, array_like=True, gc=False):
    """Whether a device is connected, newest by ``(boot_id, session)``."""

    boot_id: int
    session: int
    online: bool


class BundleRow(Row, frozen=True, array_like=True):
    """A registered bundle; the key is the digest in hex."""

    manifest: Manifest
    envelope_bytes: int


class DeltaRow(Row, frozen=True, array_like=True):
    """A registered delta; the key is the digests of target and base in hex."""

    delta: DeltaRef


class WaveRow(Row, frozen=True, array_like=True, gc=False):
    """One wave of a rollout and what came of it."""

    share: float
    size: int
    opened_ns: int
    offered: int = 0
    exposed: int = 0
    judged: int = 0
    blamed: int = 0
    committed: int = 0
    failed: int = 0
    rolled_back: int = 0
    rejected: int = 0
    superseded: int = 0
    stopped: int = 0
    reverted: int = 0
    timeout_ns: int = 0
    """When the wave is judged even if too few have ended."""
    quorum_ns: int = 0
    """When enough members had ended; 0 before that."""
    closed_ns: int = 0
    e_value: float = 1.0
    verdict: str = ""
    staged: int = 0


class RolloutRow(Row, frozen=True, array_like=True):
    """A rollout."""

    plan: RolloutPlan
    ordinal: int
    phase: Phase
    why: str
    manifest: bytes
    waves: tuple[WaveRow, ...] = ()
    first_wave: int = 0
    """Index of the first wave since the start or the last retry: older ones no longer count."""
    next_share: int = 0
    """Index into the plan's shares of the next wave."""
    brake: Brake = Brake.NONE
    """What is still being done to members; NONE when done."""
    paused_ns: int = 0
    baseline: bytes = b""
    approved: int = 0
    """Shares of the plan, from the first, whose waves a person has let open."""
    late_next_ns: int = 0
    """When the next late joiner may be offered it."""


class SegmentRow(Row, frozen=True, array_like=True, gc=False):
    """The flags of one segment: names and definitions (canonical JSON), sorted by name."""

    rev: int
    flags: tuple[tuple[str, str], ...]


class KillRow(Row, frozen=True, array_like=True, gc=False):
    """The kill list; there is one row."""

    version: int
    features: tuple[str, ...]


class OutboxRow(Row, frozen=True, array_like=True, gc=False):
    """A retained publish that was decided and not yet acknowledged; the key is the topic."""

    kind: str
    payload: bytes


class RoleRow(Row, frozen=True, array_like=True, gc=False):
    """Signed metadata of a TUF role; the key is ``root/{n}``, targets, snapshot or timestamp."""

    data: bytes


class DebugRow(Row, frozen=True, array_like=True, gc=False):
    """One grant of debug mode; the key is device and number. Instants are UTC, ns; 0: not yet."""

    device: str
    number: int
    by: str
    why: str
    granted_ns: int
    until_ns: int
    """When it is over at the latest."""
    for_ms: int
    expires_ms: int
    begun_ns: int = 0
    """When the gateway heard that it began."""
    ended_ns: int = 0
    ended: str = ""
    """Why it ended: the device's word, or ``not confirmed`` where it never said one."""
    revocation: int = 0
    """Number of the revocation, if there was one."""
    revoked_by: str = ""
    revoked_why: str = ""


DEVICE: Final = "control.device"
DESIRED: Final = "control.desired"
REPORTED: Final = "control.reported"
PRESENCE: Final = "control.presence"
BUNDLE: Final = "control.bundle"
DELTA: Final = "control.delta"
ROLLOUT: Final = "control.rollout"
SEGMENT: Final = "control.segment"
KILL: Final = "control.kill"
OUTBOX: Final = "control.outbox"
ROLE: Final = "control.role"
DEBUG: Final = "control.debug"

TABLES: Final[dict[str, type[Row]]] = {
    DEVICE: DeviceRow,
    DESIRED: DesiredRow,
    REPORTED: ReportedRow,
    PRESENCE: PresenceRow,
    BUNDLE: BundleRow,
    DELTA: DeltaRow,
    ROLLOUT: RolloutRow,
    SEGMENT: SegmentRow,
    KILL: KillRow,
    OUTBOX: OutboxRow,
    ROLE: RoleRow,
    DEBUG: DebugRow,
}
"""Table name to the type of its rows."""

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {}


def encode(row: msgspec.Struct) -> bytes:
    """Bytes of a row, of this machine or of another's."""
    return _encoder.encode(row)


def decode(kind: type[Any], data: bytes) -> Any:
    """Read a row back.

    Raises:
        msgspec.ValidationError: these are not the bytes of such a row.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    return decoder.decode(data)
