"""Bytes to messages and back: MessagePack maps with short keys.

Decides the encoding and its strictness. Leaves out the meaning of the fields and of topics. Packet
formats of MQTT itself are not ours.

Rules: input is bounded before it is parsed; a wrong type, a missing field or a value out of its
bounds raises `BadMessage` that names the field; an unknown field is kept and written back; optional
fields at their default are left out. A data frame is 24 bytes of header and the raw chunk.
"""

from __future__ import annotations

import struct
from typing import Any, Final, TypeVar

import msgpack
import msgspec
from msgspec.structs import astuple

from devicesdk.wire import limits
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.messages import WireMessage

M = TypeVar("M", bound=WireMessage)

FRAME_VERSION: Final = 1
FLAG_LAST: Final = 1
_HEADER: Final = struct.Struct(">BBHI8sII")
assert _HEADER.size == limits.FRAME_HEADER_BYTES


class Frame(msgspec.Struct, frozen=True, gc=False):
    """The header of one data frame; `round_count` is set on the last frame of a round."""

    transfer: int
    seq: int
    digest8: bytes
    chunk: int
    round_count: int

    @property
    def last(self) -> bool:
        """Whether the round is over with this frame."""
        return self.round_count > 0


def _plan(kind: type[WireMessage]) -> tuple[tuple[str, Any], ...]:
    """(wire key, default) of each field, in their order; the key of `extra` is empty; NODEFAULT where required."""
    return tuple(
        (
            "" if f.name == "extra" else f.encode_name,
            f.default if f.default_factory is msgspec.NODEFAULT else f.default_factory(),
        )
        for f in msgspec.structs.fields(kind)
    )


_AS_IS: Final = (bytes,)
_PACK: Final[Any] = msgpack.Packer(default=msgspec.to_builtins).pack

_PLANS: dict[type[WireMessage], tuple[tuple[str, Any], ...]] = {}
_KEYS: dict[type[WireMessage], frozenset[str]] = {}


def _plan_of(kind: type[WireMessage]) -> tuple[tuple[str, Any], ...]:
    plan = _PLANS.get(kind)
    if plan is None:
        plan = _PLANS[kind] = _plan(kind)
        _KEYS[kind] = frozenset(key for key, _ in plan if key)
    return plan


def encode(message: WireMessage) -> bytes:
    """Encode a message; fields at their default are left out, unknown ones that came are kept."""
    body: dict[str, Any] = {}
    for (key, default), value in zip(_plan_of(type(message)), astuple(message), strict=True):
        if value != default and key:
            inner = isinstance(value, msgspec.Struct)
            body[key] = msgspec.to_builtins(value, builtin_types=_AS_IS) if inner else value
    if message.extra:
        body.update(message.extra)
    packed: bytes = _PACK(body)
    return packed


def decode(kind: type[M], payload: bytes, bytes_max: int = limits.MESSAGE_BYTES_MAX) -> M:
    """Decode a message of the given kind.

    Raises:
        BadMessage: too large, not a MessagePack map, or a field is missing or out of its bounds.
    """
    if len(payload) > bytes_max:
        raise BadMessage(
            f"expected a {kind.__name__} of at most {bytes_max} bytes, found {len(payload)}"
        )
    plan = _plan_of(kind)
    try:
        body = msgpack.unpackb(payload, max_map_len=256, max_array_len=4096, strict_map_key=True)
        message = msgspec.convert(body, kind)
    except (ValueError, TypeError, msgpack.UnpackException, msgspec.ValidationError) as error:
        raise BadMessage(
            f"expected a {kind.__name__}, found {payload[:24].hex()}..: {error}"
        ) from error
    if len(body) >= len(plan) or not _KEYS[kind].issuperset(body):
        unknown = {key: value for key, value in body.items() if key not in _KEYS[kind]}
        message = msgspec.structs.replace(message, extra=unknown)
    return message


def encode_frame(frame: Frame, chunk: bytes | memoryview) -> bytes:
    """Put the 24-byte header before a chunk's raw bytes."""
    flags = FLAG_LAST if frame.round_count else 0
    head = _HEADER.pack(
        FRAME_VERSION,
        flags,
        frame.round_count,
        frame.transfer,
        frame.digest8,
        frame.chunk,
        frame.seq,
    )
    return head + chunk


def decode_frame(payload: bytes) -> tuple[Frame, memoryview]:
    """Split a data frame into its header and its chunk.

    Raises:
        BadMessage: shorter than a header, of another version, or larger than a chunk may be.
    """
    size = len(payload)
    if not limits.FRAME_HEADER_BYTES < size <= limits.FRAME_HEADER_BYTES + limits.CHUNK_BYTES_MAX:
        raise BadMessage(
            f"expected a data frame of {limits.FRAME_HEADER_BYTES} header bytes and a chunk of at "
            f"most {limits.CHUNK_BYTES_MAX}, found {size} bytes"
        )
    version, flags, count, transfer, digest8, chunk, seq = _HEADER.unpack_from(payload)
    if version != FRAME_VERSION or bool(flags & FLAG_LAST) != bool(count):
        raise BadMessage(
            f"expected a data frame of version {FRAME_VERSION}, found {version}, flags {flags}"
        )
    return Frame(transfer, seq, digest8, chunk, count), memoryview(payload)[_HEADER.size :]
