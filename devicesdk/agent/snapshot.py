"""What an agent must still know after a power cut, as values and as bytes.

Decides the contents of the file ``state``. Leaves out when it is saved: whoever changes something
that an outward effect depends on saves before that effect. What is not here is RAM: sessions,
timers, telemetry windows, the trial's clock, the alarm.

Rules: the bytes are a function of the values alone; fields that a newer version added are skipped;
bytes that cannot be read raise `StateUnreadable` and are never guessed at.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from devicesdk.wire import codec, limits
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.messages import UpdateState, Want

STATE_VERSION: Final = 1
CHECK_BYTES: Final = 8


class StateUnreadable(ValueError):
    """The state file is damaged or of another version."""


class Slot(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What is in one slot."""

    manifest: bytes = b""
    variant: str = ""
    image: bytes = b""
    """Digest of the image; empty for a factory image, whose digest nobody told."""
    size_bytes: int = 0
    verified: bool = False
    """The whole image was read back and had its digest; False from before the first overwrite."""
    proven: bool = False
    """It was committed once: going back to it needs no validation kit."""
    also: tuple[str, ...] = ()
    """Lighter variants that the image carries, best first."""
    confidence: bytes = b""
    """The bundle's reference histogram of confidences: a byte a bin, its share in 255ths of the
    largest; empty: not known."""


class Trial(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The durable trial marker: this slot runs and is not committed."""

    slot: str
    generation: int
    deployment: str
    attempt: int
    trial_ms: int
    boots: int = 0


class Status(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How far the newest want came."""

    state: UpdateState = UpdateState.IDLE
    reason: str = ""
    generation: int = 0


class Bad(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A manifest digest that failed here."""

    manifest: bytes
    failures: int = 0
    banned: bool = False
    """Never again on this device."""


class DebugMode(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Debug mode, while it lasts."""

    number: int
    begun_ms: int
    """UTC as the device knew it; a boot that finds itself earlier ends debug mode."""
    until_ms: int
    rows_left: int
    by: str = ""
    why: str = ""


class State(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Everything durable."""

    version: int = STATE_VERSION
    committed: str = ""
    """``a``, ``b`` or empty: which slot runs for good."""
    a: Slot = Slot()
    b: Slot = Slot()
    trial: Trial | None = None
    want: bytes = b""
    """The newest accepted want, as its encoded payload; empty before the first."""
    status: Status = Status()
    bad: tuple[Bad, ...] = ()
    kill_version: int = 0
    killed: tuple[str, ...] = ()
    flags_rev: int = 0
    flags: bytes = b""
    """The flagd document of `flags_rev`."""
    events: tuple[bytes, ...] = ()
    """Encoded `Event`s that were not acknowledged yet, oldest first."""
    deltas_failed: tuple[bytes, ...] = ()
    """Digests of deltas that were of no use, oldest first: never tried again."""
    releases: tuple[tuple[str, int], ...] = ()
    """Highest release that was committed, by bundle id."""
    kill_open: bool = False
    """A key was revoked: the next signed kill list counts, whatever its version."""
    flags_open: bool = False
    """The same of the next flag snapshot."""
    fell_back: bytes = b""
    """Manifest of the candidate that broke its guardrails in an experiment here."""
    debug: DebugMode | None = None
    debug_number: int = 0
    """Newest grant or revocation of debug mode that was heard."""
    lost: bool = False
    """Stands for a state file that could not be read; never written."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(State)


def decode_want(raw: bytes) -> Want:
    """Read a want's payload after its signature was verified.

    Raises:
        BadMessage: not a want.
    """
    return codec.decode(Want, raw, limits.WANT_BYTES_MAX)


def encode_state(state: State) -> bytes:
    """The bytes of the file ``state``: MessagePack, and the first bytes of its SHA-256."""
    body = _ENCODER.encode(state)
    return body + sha256(body).digest()[:CHECK_BYTES]


def decode_state(data: bytes) -> State:
    """Read the file ``state``.

    Raises:
        StateUnreadable: damaged, or of another version.
    """
    body, check = data[:-CHECK_BYTES], data[-CHECK_BYTES:]
    if sha256(body).digest()[:CHECK_BYTES] != check:
        raise StateUnreadable(
            f"expected an agent's state with its check sum, found {len(data)} other bytes"
        )
    try:
        state = _DECODER.decode(body)
        if state.want:
            decode_want(state.want)
    except (msgspec.DecodeError, UnicodeDecodeError, ProtocolError) as error:
        raise StateUnreadable(
            f"expected an agent's state, found {len(data)} bytes {data[:16].hex()}..: {error}"
        ) from error
    if state.version != STATE_VERSION or state.committed not in ("", "a", "b"):
        raise StateUnreadable(
            f"expected state of version {STATE_VERSION}, found version {state.version} with slot "
            f"{state.committed!r} committed"
        )
    return state
