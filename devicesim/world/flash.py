"""A device's flash: files that keep what was synced and tear what was not.

Decides what survives a power cut. A `write` is volatile until `sync`; a cut keeps the synced bytes,
and of each unsynced write an arbitrary prefix (drawn from the device's own stream, so a block can be
old, new, or new up to any byte). `save` is atomic: after a cut the small file is the old or the new
one, never a mixture (write, fsync, rename). Leaves out time and wear (models/flash_wear.py).

Ten thousand devices with two slots each must not be gigabytes, so contents are interned: equal chunks
are one object, whoever wrote them (`ChunkPool`). A torn chunk is other content and is kept as such.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from devicesim.entropy import Stream

POOL_CHUNKS_MAX: Final = 262_144
BLOCK_BYTES: Final = 128 * 1024
"""An erase block."""


class FlashRefused(Exception):
    """A write was refused; nothing of it was stored."""


class FlashFullError(FlashRefused):
    """There is no room for it."""


class FlashWornError(FlashRefused):
    """The medium could not take it."""


class Worn:
    """Flash that has been written too often: writes fail by chance, and some blocks take nothing any more.

    Args:
        luck: the device's own for this fault.
        share: chance that a write or a save fails.
        bad: share of the erase blocks of images that are bad; small files move to good ones.
    """

    __slots__ = ("_bad_below", "_luck", "_share")

    def __init__(self, luck: Stream, share: float, bad: float) -> None:
        self._luck, self._share = luck, share
        self._bad_below = int(bad * 2**64)

    def check(self, file: str) -> None:
        """Let a save pass or fail.

        Raises:
            FlashWornError: it fails this time.
        """
        if self._share and self._luck.chance(self._share):
            raise FlashWornError(f"expected {file} to be programmed, found a program failure")

    def check_extent(self, file: str, offset: int, size_bytes: int) -> None:
        """Let the write of an extent pass or fail; whether a block is bad does not depend on who asks when.

        Raises:
            FlashWornError: it fails this time, or a block of it is bad for good.
        """
        self.check(file)
        if not self._bad_below:
            return
        place = int.from_bytes(sha256(file.encode()).digest()[:6], "big") << 16
        for block in range(
            offset // BLOCK_BYTES, (offset + max(1, size_bytes) - 1) // BLOCK_BYTES + 1
        ):
            if self._luck.at(place + block) < self._bad_below:
                raise FlashWornError(f"expected block {block} of {file} to be good, found it bad")


class ChunkPool:
    """Interned chunk contents and remembered digests of whole images, shared by all devices.

    A fleet writes the same chunk to the same place: what was last written there is compared (a tenth of
    the time that it takes to look 16 KiB up in a dict).
    """

    __slots__ = ("_chunks", "_digests", "_last")

    def __init__(self) -> None:
        self._chunks: dict[bytes, tuple[int, bytes]] = {}
        self._digests: dict[tuple[int, ...], bytes] = {}
        self._last: dict[int, tuple[int, bytes]] = {}

    def intern_at(self, offset: int, data: bytes) -> tuple[int, bytes]:
        """As `intern`, for content that others are likely to have written at this offset too."""
        found = self._last.get(offset)
        if found is None or found[1] != data:
            found = self.intern(data)
            if len(self._last) < POOL_CHUNKS_MAX or offset in self._last:
                self._last[offset] = found
        return found

    def intern(self, data: bytes) -> tuple[int, bytes]:
        """The (number, object) that stands for this content; numbers are never reused."""
        found = self._chunks.get(data)
        if found is None:
            found = (len(self._chunks), data)
            if len(self._chunks) < POOL_CHUNKS_MAX:
                self._chunks[data] = found
            else:
                found = (-1, data)
        return found

    def digest(self, extents: list[tuple[int, bytes]], size: int) -> bytes:
        """SHA-256 of the first `size` bytes of these extents laid end to end."""
        key = (size, *(number for number, _ in extents))
        if -1 not in key:
            found = self._digests.get(key)
            if found is not None:
                return found
        hasher, left = sha256(), size
        for _, data in extents:
            hasher.update(data[:left] if left < len(data) else data)
            left -= min(left, len(data))
        if -1 not in key:
            self._digests[key] = hasher.digest()
        return hasher.digest()


class Flash:
    """The files of one device.

    Args:
        pool: where contents are shared.
        stream: the device's luck at tearing.
        capacity_bytes: a write past it raises `FlashFullError`.
    """

    __slots__ = (
        "_pool",
        "_small",
        "_stream",
        "_synced",
        "_unsynced",
        "capacity_bytes",
        "worn",
        "written_bytes",
    )

    def __init__(self, pool: ChunkPool, stream: Stream, capacity_bytes: int) -> None:
        self._pool = pool
        self._stream = stream
        self.capacity_bytes = capacity_bytes
        self.written_bytes = 0
        self.worn: tuple[Worn, ...] = ()
        """Faults of the medium that last now."""
        self._small: dict[str, bytes] = {}
        self._synced: dict[str, dict[int, tuple[int, bytes]]] = {}
        self._unsynced: list[tuple[str, int, tuple[int, bytes]]] = []

    def used_bytes(self) -> int:
        """Bytes in use, unsynced ones included (an overwrite counts once)."""
        small = sum(len(data) for data in self._small.values())
        return small + sum(
            len(data) for name in self._synced for _, data in self._view(name).values()
        )

    def write(self, file: str, offset: int, data: bytes | memoryview) -> None:
        """Write one extent; volatile until `sync`.

        Raises:
            FlashFullError: past the capacity.
            FlashWornError: the medium is worn.
        """
        size = len(data)
        if offset + size > self.capacity_bytes:
            raise FlashFullError(f"expected room for {offset + size} bytes in {file}")
        if self.worn:
            for fault in self.worn:
                fault.check_extent(file, offset, size)
        self.written_bytes += size
        self._unsynced.append((file, offset, self._pool.intern_at(offset, bytes(data))))

    def sync(self, file: str) -> int:
        """Make all earlier writes to `file` durable; returns how many bytes went to the medium."""
        mine = [entry for entry in self._unsynced if entry[0] == file]
        if not mine:
            return 0
        self._unsynced = [entry for entry in self._unsynced if entry[0] != file]
        synced, synced_bytes = self._synced.setdefault(file, {}), 0
        for _, offset, extent in mine:
            synced[offset] = extent
            synced_bytes += len(extent[1])
        return synced_bytes

    def sync_all(self) -> None:
        """Make every earlier write durable: what an orderly shutdown does."""
        for file, offset, extent in self._unsynced:
            self._synced.setdefault(file, {})[offset] = extent
        self._unsynced = []

    def save(self, file: str, data: bytes) -> None:
        """Replace a small file, atomically and durably.

        Raises:
            FlashFullError: past the capacity.
            FlashWornError: the medium is worn.
        """
        if len(data) > self.capacity_bytes:
            raise FlashFullError(f"expected room for {len(data)} bytes in {file}")
        if self.worn:
            for fault in self.worn:
                fault.check(file)
        self.written_bytes += len(data)
        self._small[file] = data

    def delete(self, file: str) -> None:
        """Remove a file durably; nothing happens when there is none."""
        self._small.pop(file, None)
        self._synced.pop(file, None)
        self._unsynced = [entry for entry in self._unsynced if entry[0] != file]

    def read(self, file: str) -> bytes | None:
        """The whole of a small file, or None."""
        return self._small.get(file)

    def holds(self, file: str, offset: int, *, durably: bool = False) -> bool:
        """Whether an extent begins at this offset; with `durably`, one that a power cut would leave."""
        if offset in self._synced.get(file, {}):
            return True
        return not durably and any(f == file and o == offset for f, o, _ in self._unsynced)

    def digest(self, file: str, size: int) -> bytes:
        """SHA-256 of the first `size` bytes as read back; a hole reads as nothing and so differs."""
        view = self._view(file)
        return self._pool.digest([view[offset] for offset in sorted(view)], size)

    def size_of(self, file: str) -> int:
        """Bytes of a file of extents that are laid end to end."""
        return sum(len(data) for _, data in self._view(file).values())

    def contents_of(self, file: str) -> bytes:
        """A file of extents, as `digest` reads it."""
        view = self._view(file)
        return b"".join(view[offset][1] for offset in sorted(view))

    def cut(self) -> None:
        """Power went: every unsynced write is kept up to a random byte, in order."""
        for file, offset, (_, data) in self._unsynced:
            kept = self._stream.integer(len(data) + 1)
            old = self._synced.setdefault(file, {}).get(offset)
            tail = old[1][kept:] if old is not None else b"\xff" * (len(data) - kept)
            self._synced[file][offset] = self._pool.intern(data[:kept] + tail)
        self._unsynced = []

    def contents(self) -> tuple[dict[str, bytes], dict[str, dict[int, bytes]]]:
        """What is durable now: small files whole, others as extents by offset."""
        extents = {
            file: {offset: data for offset, (_, data) in view.items()}
            for file, view in self._synced.items()
        }
        return dict(self._small), extents

    def restore(self, small: dict[str, bytes], extents: dict[str, dict[int, bytes]]) -> None:
        """Hold what `contents` returned, and nothing else."""
        self._small = dict(small)
        self._synced = {
            file: {offset: self._pool.intern(data) for offset, data in view.items()}
            for file, view in extents.items()
        }
        self._unsynced = []

    def _view(self, file: str) -> dict[int, tuple[int, bytes]]:
        view = dict(self._synced.get(file, {}))
        view.update({offset: extent for name, offset, extent in self._unsynced if name == file})
        return view
