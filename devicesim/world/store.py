"""What the gateway keeps: durable rows that a crash spares, and blobs.

Decides durability: rows put into the store are volatile until `commit`; `crash` forgets them. Leaves
out SQL (an adapter of the gateway's, which the world does not have). Rows are immutable values and
are kept by reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Protocol


class GatewayStore:
    """Tables of rows by key, with one open batch."""

    __slots__ = ("_batch", "_rows", "commits")

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Any] = {}
        self._batch: list[tuple[tuple[str, str], Any]] = []
        self.commits = 0

    def put(self, table: str, key: str, row: Any) -> None:
        """Put a row into the open batch; None deletes."""
        self._batch.append(((table, key), row))

    def commit(self) -> None:
        """Make the open batch durable, all of it."""
        if not self._batch:
            return
        for name, row in self._batch:
            if row is None:
                self._rows.pop(name, None)
            else:
                self._rows[name] = row
        self._batch.clear()
        self.commits += 1

    def crash(self) -> int:
        """Forget the open batch; returns how many rows were lost with it."""
        lost = len(self._batch)
        self._batch.clear()
        return lost

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """All durable rows as (table, key, row)."""
        for (table, key), row in self._rows.items():
            yield table, key, row


class Blob(Protocol):
    """Content of known size that can be read in pieces."""

    size_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`, at most `size` of them."""
        ...


class MemoryBlob:
    """A blob held whole."""

    __slots__ = ("_data", "size_bytes")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`, at most `size` of them."""
        return self._data[offset : offset + size]


class SparseBlob:
    """A blob of zeros with a few islands: any size in no memory.

    Args:
        size_bytes: how large it pretends to be.
        islands: (offset, content) pieces, not overlapping.
    """

    __slots__ = ("_islands", "size_bytes")

    def __init__(self, size_bytes: int, islands: tuple[tuple[int, bytes], ...] = ()) -> None:
        self.size_bytes = size_bytes
        self._islands = islands

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`, at most `size` of them."""
        end = min(offset + size, self.size_bytes)
        out = bytearray(max(0, end - offset))
        for start, content in self._islands:
            low, high = max(start, offset), min(start + len(content), end)
            if low < high:
                out[low - offset : high - offset] = content[low - start : high - start]
        return bytes(out)


class BlobStore:
    """Blobs by their SHA-256."""

    __slots__ = ("_blobs",)

    def __init__(self) -> None:
        self._blobs: dict[bytes, Blob] = {}

    def add(self, data: bytes) -> bytes:
        """Store bytes under their digest, which is returned."""
        digest = sha256(data).digest()
        self._blobs[digest] = MemoryBlob(data)
        return digest

    def adopt(self, digest: bytes, blob: Blob) -> None:
        """Store a blob under a digest that the caller has computed from its content."""
        self._blobs[digest] = blob

    def discard(self, digest: bytes) -> None:
        """Forget a blob, if it is known."""
        self._blobs.pop(digest, None)

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """Read a piece of a blob.

        Raises:
            KeyError: no such blob.
        """
        return self._blobs[digest].read(offset, size)
