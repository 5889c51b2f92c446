"""Blobs in chunks: what each chunk hashes to, and which ones are here already.

Decides the bytes of a hash list (the SHA-256 of each chunk, 32 bytes each, in order) and of a chunk
map's snapshot. Leaves out where chunks are stored and how they are fetched (devicesdk/agent).

Rules: a chunk counts only after its hash was right, and only once (`ChunkMap.add` is test-and-set);
a map names the blob it belongs to, so it survives a new deployment of the same bytes and cannot be
mistaken for that of others; snapshot bytes that are damaged or of another shape are refused, never
guessed at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Protocol

from devicesdk.wire import limits
from devicesdk.wire.errors import BadManifest

_MAP_VERSION: Final = 1
_MAP_HEAD: Final = struct.Struct(">B32sQI")
_MAP_CHECK_BYTES: Final = 4


def chunk_count(size_bytes: int, chunk_bytes: int) -> int:
    """How many chunks a blob of this size has; the last one may be shorter."""
    return -(-size_bytes // chunk_bytes)


def split(blob: bytes, chunk_bytes: int) -> Iterable[memoryview]:
    """The chunks of a blob, in order, without copying."""
    view = memoryview(blob)
    for start in range(0, len(blob), chunk_bytes):
        yield view[start : start + chunk_bytes]


def build_hash_list(chunks: Iterable[bytes | memoryview]) -> bytes:
    """The hash list of a blob's chunks, themselves a blob: 32 bytes a chunk."""
    return b"".join(sha256(chunk).digest() for chunk in chunks)


class HashList:
    """What each chunk of one blob hashes to.

    Args:
        data: the hash list, its own digest verified before.
        size_bytes: size of the blob that it describes.
        chunk_bytes: size of its chunks.

    Raises:
        BadManifest: the list's length does not fit the blob.
    """

    __slots__ = ("_data", "chunk_bytes", "size_bytes")

    def __init__(self, data: bytes, size_bytes: int, chunk_bytes: int) -> None:
        expected = limits.DIGEST_BYTES * chunk_count(size_bytes, chunk_bytes)
        if len(data) != expected:
            raise BadManifest(
                f"expected a hash list of {expected} bytes for {size_bytes} bytes in chunks of "
                f"{chunk_bytes}, found {len(data)}"
            )
        self._data = data
        self.size_bytes = size_bytes
        self.chunk_bytes = chunk_bytes

    def __getitem__(self, chunk: int) -> bytes:
        """The SHA-256 of chunk number `chunk`."""
        start = chunk * limits.DIGEST_BYTES
        return self._data[start : start + limits.DIGEST_BYTES]


class Digests(Protocol):
    """Checks bytes against a digest."""

    def match(self, digest: bytes, data: bytes | memoryview) -> bool:
        """Whether the SHA-256 of `data` is `digest`."""
        ...


class RealDigests:
    """Computes every hash: what a device does."""

    __slots__ = ()

    def match(self, digest: bytes, data: bytes | memoryview) -> bool:
        """Whether the SHA-256 of `data` is `digest`."""
        return sha256(data).digest() == digest


class RememberingDigests:
    """Hashes each distinct content once: for hosts that run many devices in one process.

    Exact: bytes are compared with the very bytes that had this digest, and hashed when they differ.
    Bounded: contents that do not fit any more are hashed each time.

    Args:
        bytes_max: how much content to keep.
    """

    __slots__ = ("_known", "_room_bytes")

    def __init__(self, bytes_max: int = 64 * 1024**2) -> None:
        self._known: dict[bytes, bytes] = {}
        self._room_bytes = bytes_max

    def match(self, digest: bytes, data: bytes | memoryview) -> bool:
        """Whether the SHA-256 of `data` is `digest`."""
        content = bytes(data)
        if self._known.get(digest) == content:
            return True
        if sha256(content).digest() != digest:
            return False
        if digest not in self._known and len(content) <= self._room_bytes:
            self._room_bytes -= len(content)
            self._known[digest] = content
        return True


class ChunkMap:
    """Which chunks of one blob are here.

    Args:
        blob: digest of the blob, 32 bytes.
        size_bytes: its size.
        chunk_bytes: size of its chunks.
    """

    __slots__ = ("_bits", "_first", "blob", "chunk_bytes", "chunks", "count", "size_bytes")

    def __init__(self, blob: bytes, size_bytes: int, chunk_bytes: int) -> None:
        self.blob = blob
        self.size_bytes = size_bytes
        self.chunk_bytes = chunk_bytes
        self.chunks = chunk_count(size_bytes, chunk_bytes)
        self.count = 0
        """Chunks that are here."""
        self._bits = bytearray(-(-self.chunks // 8))
        self._first = 0

    @property
    def members(self) -> int:
        """The chunks that are there as one integer: bit i is chunk i."""
        return int.from_bytes(self._bits, "little")

    def __contains__(self, chunk: int) -> bool:
        return bool(self._bits[chunk >> 3] >> (chunk & 7) & 1)

    @property
    def complete(self) -> bool:
        """Whether all chunks are here."""
        return self.count == self.chunks

    @property
    def first_missing(self) -> int:
        """The lowest chunk that is not here; `chunks` when complete. Never goes down."""
        first, bits = self._first, self._bits
        while first < self.chunks:
            here = bits[first >> 3] >> (first & 7)
            if not here & 1:
                break
            first += (~here & (here + 1)).bit_length() - 1  # over the ones up to the next zero
        self._first = first
        return first

    def missing(self, base: int, span: int) -> int:
        """The chunks from `base` that are not here, as bits: bit 0 is `base`; at most `span` of them."""
        span = min(span, self.chunks - base)
        if span <= 0:
            return 0
        here = int.from_bytes(self._bits[base >> 3 : (base + span + 7) >> 3], "little")
        return ~(here >> (base & 7)) & ((1 << span) - 1)

    @property
    def bytes_done(self) -> int:
        """How many bytes of the blob are here."""
        last = self.chunks - 1
        short = self.chunks * self.chunk_bytes - self.size_bytes if last in self else 0
        return self.count * self.chunk_bytes - short

    def bytes_of(self, chunk: int) -> int:
        """The size of chunk number `chunk`."""
        return min(self.chunk_bytes, self.size_bytes - chunk * self.chunk_bytes)

    def add(self, chunk: int) -> bool:
        """Mark a chunk as here; False when it was already (test-and-set)."""
        bit, byte = 1 << (chunk & 7), chunk >> 3
        if self._bits[byte] & bit:
            return False
        self._bits[byte] |= bit
        self.count += 1
        return True

    def to_bytes(self) -> bytes:
        """The snapshot that `from_bytes` reads."""
        body = _MAP_HEAD.pack(_MAP_VERSION, self.blob, self.size_bytes, self.chunk_bytes)
        body += self._bits
        return body + sha256(body).digest()[:_MAP_CHECK_BYTES]

    @classmethod
    def from_bytes(cls, data: bytes) -> ChunkMap:
        """Read a snapshot.

        Raises:
            BadManifest: not a snapshot of a chunk map, or damaged.
        """
        body, check = data[:-_MAP_CHECK_BYTES], data[-_MAP_CHECK_BYTES:]
        if len(body) < _MAP_HEAD.size or sha256(body).digest()[:_MAP_CHECK_BYTES] != check:
            raise BadManifest(f"expected a chunk map, found {len(data)} bytes {data[:16].hex()}..")
        version, blob, size_bytes, chunk_bytes = _MAP_HEAD.unpack_from(body)
        bits = body[_MAP_HEAD.size :]
        if version != _MAP_VERSION or not chunk_bytes:
            raise BadManifest(f"expected a chunk map of version {_MAP_VERSION}, found {version}")
        if len(bits) != -(-chunk_count(size_bytes, chunk_bytes) // 8):
            raise BadManifest(
                f"expected bits for {size_bytes} bytes, found {len(bits)} bytes of them"
            )
        made, members = cls(blob, size_bytes, chunk_bytes), int.from_bytes(bits, "little")
        if members >> made.chunks:
            raise BadManifest(f"expected bits for {made.chunks} chunks, found one behind the last")
        made._bits[:] = bits
        made.count = members.bit_count()
        return made
