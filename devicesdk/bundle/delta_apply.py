"""Applying a delta in bounded memory.

Decides how a base and a delta become the target's bytes, in order. Leaves out where they are read and
written (a host's business), and whether the result is what was signed (the agent has it hashed as read
back from storage, as any image).

Rules: base and delta are read by ranges and never as a whole, so working memory is at most
`APPLY_BYTES_MAX`; every size is checked before anything is reserved for it; not a byte is written past the
signed size, whatever the delta claims (a decompression bomb ends there); the base is hashed before the
first byte is written. Anything amiss is one `BadDelta`.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final, Protocol, TypeAlias

from devicesdk.bundle.delta import (
    HEADER_BYTES,
    PIECE_BYTES_MAX,
    PREFIX_BYTES_MAX,
    SEGMENT_BYTES_MAX,
    BadDelta,
    Encoder,
    Header,
    decode_header,
)
from devicesdk.bundle.delta_build import BYTES, COPY, DIFF, RECORD_HEAD, SEGMENT_HEAD
from devicesdk.bundle.delta_words import FORMS, Form, add, pick_up
from devicesdk.bundle.zstd import Frame, Read

OUTPUT_BYTES: Final = 256 * 1024
"""How much is written at a time at least where there is that much."""
_FRAME_SLACK_BYTES: Final = 64 * 1024

Write: TypeAlias = Callable[[bytes], None]


class Source(Protocol):
    """Bytes of known size that are read by ranges."""

    size_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`."""
        ...


class InMemory:
    """Bytes as a `Source`."""

    __slots__ = ("_data", "size_bytes")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`."""
        return self._data[offset : offset + size]


def apply_delta(delta: Source, base: Source | None, size_bytes: int, write: Write) -> Header:
    """Write the target of a delta, in order.

    Args:
        delta: header and body.
        base: the image that it starts from, or a file that is longer; None where there is none.
        size_bytes: of the image as it was signed: not a byte more is written.
        write: takes the target's bytes.

    Returns:
        What the delta said of itself.

    Raises:
        BadDelta: damaged, or not for this base or this size.
        OSError: whatever reading and writing raises.
    """
    header = decode_header(delta.read(0, HEADER_BYTES))
    if header.target_bytes != size_bytes:
        raise BadDelta(
            f"expected a delta to {size_bytes} bytes, found one to {header.target_bytes}"
        )
    if header.base_bytes:
        if base is None or base.size_bytes < header.base_bytes:
            found = 0 if base is None else base.size_bytes
            raise BadDelta(f"expected a base of {header.base_bytes} bytes, found {found}")
        _check_base(header, base)
    out = _Output(size_bytes, write)
    _BODIES[header.encoder](delta, base, header, out)
    if out.left:
        raise BadDelta(f"expected {size_bytes} bytes to come of a delta, found {out.left} too few")
    return header


def apply_in_memory(delta: bytes, base: bytes, size_bytes: int) -> bytes:
    """The target of a delta as a whole; raises as `apply_delta`."""
    parts: list[bytes] = []
    apply_delta(InMemory(delta), InMemory(base), size_bytes, parts.append)
    return b"".join(parts)


class _Output:
    """Where the target goes, and how much of it is still to come."""

    __slots__ = ("_write", "left")

    def __init__(self, size_bytes: int, write: Write) -> None:
        self.left, self._write = size_bytes, write

    def expect(self, size: int) -> None:
        """Insist that so many bytes more are within the signed size."""
        if not 0 < size <= self.left:
            raise BadDelta(f"expected at most {self.left} more bytes of the image, found {size}")

    def put(self, data: bytes) -> None:
        self.expect(len(data))
        self.left -= len(data)
        self._write(data)

    def frame(self, frame: Frame, size: int) -> None:
        """Write `size` bytes of a frame."""
        while size:
            piece = frame.some(min(size, OUTPUT_BYTES))
            if not piece:
                raise BadDelta(f"expected {size} more bytes in a frame, found its end")
            size -= len(piece)
            self.put(piece)


def _check_base(header: Header, base: Source) -> None:
    hasher = sha256()
    for at in range(0, header.base_bytes, OUTPUT_BYTES):
        hasher.update(base.read(at, min(OUTPUT_BYTES, header.base_bytes - at)))
    if hasher.digest() != header.base:
        raise BadDelta(
            f"expected a base with digest {header.base.hex()[:16]}, found {hasher.hexdigest()[:16]}"
        )


def _base_range(base: Source | None, header: Header, offset: int, size: int) -> bytes:
    if base is None or offset + size > header.base_bytes:
        raise BadDelta(
            f"expected a range within the base of {header.base_bytes} bytes, found {offset} + {size}"
        )
    return base.read(offset, size)


def _full(delta: Source, _: Source | None, header: Header, out: _Output) -> None:
    frame = Frame(delta.read, HEADER_BYTES, delta.size_bytes)
    out.frame(frame, header.target_bytes)
    frame.finish()


def _prefix(delta: Source, base: Source | None, header: Header, out: _Output) -> None:
    at = HEADER_BYTES
    while at < delta.size_bytes:
        head = delta.read(at, SEGMENT_HEAD.size)
        if len(head) < SEGMENT_HEAD.size:
            raise BadDelta("expected the head of a segment, found the end of the delta")
        offset, prefix_bytes, size, frame_bytes = SEGMENT_HEAD.unpack(head)
        at += SEGMENT_HEAD.size
        out.expect(size)
        bounds = (prefix_bytes, PREFIX_BYTES_MAX), (size, SEGMENT_BYTES_MAX)
        if any(found > most for found, most in bounds) or frame_bytes > size + _FRAME_SLACK_BYTES:
            raise BadDelta(
                f"expected a segment of at most {SEGMENT_BYTES_MAX} bytes after at most "
                f"{PREFIX_BYTES_MAX} of the base, found {size} after {prefix_bytes}"
            )
        if at + frame_bytes > delta.size_bytes:
            raise BadDelta("expected a whole segment, found the end of the delta")
        prefix = _base_range(base, header, offset, prefix_bytes)
        frame = Frame(delta.read, at, at + frame_bytes, prefix)
        del prefix  # the decompressor has its own copy
        out.frame(frame, size)
        frame.finish()
        del frame  # before the next one is made
        at += frame_bytes


def _words(delta: Source, base: Source | None, header: Header, out: _Output) -> None:
    frame = Frame(delta.read, HEADER_BYTES, delta.size_bytes)
    while out.left:
        kind, width, form, size, offset = RECORD_HEAD.unpack(frame.exactly(RECORD_HEAD.size))
        out.expect(size)
        if kind == COPY:
            for done in range(0, size, OUTPUT_BYTES):
                step = min(OUTPUT_BYTES, size - done)
                out.put(_base_range(base, header, offset + done, step))
        elif kind == BYTES:
            out.frame(frame, size)
        else:
            _check_record(kind, width, form, size)
            old = _base_range(base, header, offset, size)
            words = pick_up(frame.exactly, old, width, Form(form))
            out.put(add(old, words, width))
    frame.finish()


def _check_record(kind: int, width: int, form: int, size: int) -> None:
    if kind != DIFF or width not in FORMS or form not in tuple(Form):
        raise BadDelta(f"expected a record, found kind {kind}, width {width}, form {form}")
    if size > PIECE_BYTES_MAX or size % width:
        raise BadDelta(
            f"expected words of {width} bytes, {PIECE_BYTES_MAX} bytes at most, found {size} bytes"
        )


_BODIES: Final = {Encoder.FULL: _full, Encoder.PREFIX: _prefix, Encoder.WORDS: _words}

__all__ = ["InMemory", "Read", "Source", "apply_delta", "apply_in_memory"]
