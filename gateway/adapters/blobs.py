"""Blobs as files that are named by what is in them.

Decides the layout (``ab/abcdef...``: SHA-256 in hex, below a folder of its first two digits), how a
file appears (written beside, synced, renamed: whole or not at all) and when it is hashed again
(before it is read for the first time by this process: disks rot). Leaves out who may read what.

Rules: a file is never changed, so two writers of one blob agree, whichever renames last; a file that
does not hash to its name is refused and left where it is for people to look at; at most
`open_files_max` files are open, and the one that was read longest ago is closed first. What many devices
fetch at the same time is read once: blocks that were read last are kept, `CACHE_BLOCKS_MAX` of them. Threads that check
what was published may read, too, so no file is closed while one of them reads it.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from gateway.adapters.folders import sync_folder
from gateway.ports import BlobError

OPEN_FILES_MAX: Final = 64
VERIFY_INLINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Larger blobs are hashed by another thread before the first read: 4 MiB take some milliseconds."""
BLOCK_BYTES: Final = 64 * 1024
CACHE_BLOCKS_MAX: Final = 128
"""8 MiB: 200 devices that update together are rarely further apart."""


class FileBlobs:
    """A folder of blobs.

    Args:
        folder: made when it is missing.
        open_files_max: how many files stay open for reading.
    """

    __slots__ = ("_blocks", "_folder", "_lock", "_open", "_verified", "open_files_max")

    def __init__(self, folder: Path, open_files_max: int = OPEN_FILES_MAX) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._lock = folder, threading.Lock()
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._verified: set[bytes] = set()
        self._blocks: OrderedDict[tuple[bytes, int], memoryview] = OrderedDict()
        self.open_files_max = open_files_max

    def put(self, data: bytes) -> bytes:
        """Store bytes durably; returns their digest. Bytes that are there already are left alone."""
        digest = sha256(data).digest()
        path = self._path(digest)
        if not self._holds(path, digest, len(data)):
            _write(path, data)
        self._verified.add(digest)
        return digest

    def adopt(self, file: Path, digest: bytes) -> None:
        """Take a whole, synced file of this file system in; whoever calls has hashed it."""
        path = self._path(digest)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        file.replace(path)
        for folder in (path.parent, path.parent.parent):
            sync_folder(folder)
        self._verified.add(digest)

    def discard(self, digest: bytes) -> None:
        """Remove a blob that nobody reads; nothing happens where there is none."""
        self._path(digest).unlink(missing_ok=True)
        self._verified.discard(digest)

    def size_bytes(self, digest: bytes) -> int:
        """Size of a blob."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError as error:
            raise self._missing(digest) from error

    def ready(self, digest: bytes) -> bool:
        """Whether `read` answers without hashing more than `VERIFY_INLINE_BYTES_MAX` first."""
        if digest in self._verified:
            return True
        try:
            return self._path(digest).stat().st_size <= VERIFY_INLINE_BYTES_MAX
        except FileNotFoundError:
            return True  # and `read` says so

    def verify(self, digest: bytes) -> None:
        """Hash the whole blob if that was not done yet. May be called from any thread."""
        if digest in self._verified:
            return
        try:
            with self._path(digest).open("rb") as file:
                found = file_digest(file, "sha256").digest()
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        if found != digest:
            raise self._damaged(digest, found.hex())
        self._verified.add(digest)

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """The bytes from `offset`, at most `size` of them."""
        if digest not in self._verified:
            self.verify(digest)  # not under the lock: a large blob takes its time
        with self._lock:
            return os.pread(self._file(digest), size, offset)

    def whole(self, digest: bytes) -> bytes:
        """All bytes, hashed; no file stays open, so that what is discarded is gone. May be called from any thread.

        Raises:
            BlobError: it is not here, or damaged.
        """
        try:
            found = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        if sha256(found).digest() != digest:
            raise self._damaged(digest, sha256(found).hexdigest())
        return found

    def chunk(self, digest: bytes, offset: int, size: int) -> bytes | memoryview:
        """As `read`, for what others will read soon as well."""
        number, start = divmod(offset, BLOCK_BYTES)
        if start + size > BLOCK_BYTES:
            return self.read(digest, offset, size)
        blocks, key = self._blocks, (digest, number)
        block = blocks.get(key)
        if block is None:
            while len(blocks) >= CACHE_BLOCKS_MAX:
                blocks.popitem(last=False)
            block = memoryview(self.read(digest, number * BLOCK_BYTES, BLOCK_BYTES))
            blocks[key] = block
        else:
            blocks.move_to_end(key)
        return block[start : start + size]

    def _file(self, digest: bytes) -> int:
        file = self._open.get(digest)
        if file is None:
            file = self._opened(digest)
        else:
            self._open.move_to_end(digest)
        return file

    def close(self) -> None:
        """Close all open files, and hash again what is read next."""
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])
        self._verified.clear()
        self._blocks.clear()

    def _opened(self, digest: bytes) -> int:
        self.verify(digest)
        try:
            file = os.open(self._path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        while len(self._open) >= self.open_files_max:
            os.close(self._open.popitem(last=False)[1])
        self._open[digest] = file
        return file

    def _holds(self, path: Path, digest: bytes, size: int) -> bool:
        """Whether the file is there and good; a damaged one is written anew."""
        try:
            if path.stat().st_size != size:
                return False
            self.verify(digest)
        except (FileNotFoundError, BlobError):
            return False
        return True

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._folder / name[:2] / name

    def _missing(self, digest: bytes) -> BlobError:
        return BlobError(
            f"expected a blob {digest.hex()}, found none here; publish its bundle again"
        )

    def _damaged(self, digest: bytes, found: str) -> BlobError:
        return BlobError(
            f"expected {self._path(digest)} to hash to its name, found {found}: the file is "
            "damaged; remove it and publish its bundle again"
        )


def _write(path: Path, data: bytes) -> None:
    """Write, sync, rename, sync the folder: after a power cut the name stands for all bytes or none."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    for folder in (path.parent, path.parent.parent):
        sync_folder(folder)
