"""Blobs that arrive in pieces: parts beside the store, which become blobs when they hash to their name.

Decides where a part is kept (``uploads/abcdef....part`` beside the blobs), how it is gone on with, and which part
makes room. Leaves out HTTP. Calls wait for a disk: threads other than the loop's make them.

Rules: a part is only ever written at its end, by one writer at a time; it counts when the whole file hashes to its
name, is synced, and was renamed into the store; a part that does not hash to its name is thrown away whole, because
nobody knows which of its bytes are wrong. At most `parts_max` parts: full, the one that was written to longest ago
makes room.
"""

from __future__ import annotations

import os
from hashlib import file_digest
from pathlib import Path
from typing import IO, Final

from devicesdk.wire import limits
from gateway.adapters.blobs import FileBlobs
from gateway.ports import BlobError

FOLDER: Final = "uploads"
SUFFIX: Final = ".part"


class UploadError(Exception):
    """Not like this; `code` is ``offset`` (go on at `have`), ``size``, ``hash`` or ``busy``."""

    def __init__(self, code: str, message: str, have: int = 0) -> None:
        super().__init__(message)
        self.code, self.have = code, have


class Part:
    """A blob that is being written; closed by whoever began it."""

    def __init__(self, file: IO[bytes], have: int, size: int) -> None:
        self._file = file
        self.have, self.size = have, size

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            UploadError: ``size``: more than was said.
        """
        if self.have + len(data) > self.size:
            raise UploadError("size", f"expected {self.size} bytes, found more", self.have)
        self._file.write(data)
        self.have += len(data)

    def close(self) -> None:
        """Make what came durable."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


class Uploads:
    """Parts of blobs in a folder.

    Args:
        blobs: where whole ones go.
        folder: on the same file system; made when it is missing.
        parts_max: how many parts are kept.
    """

    def __init__(self, blobs: FileBlobs, folder: Path, parts_max: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._blobs, self._folder, self._parts_max = blobs, folder, parts_max
        self._busy: set[bytes] = set()

    @property
    def busy(self) -> int:
        """How many are being written."""
        return len(self._busy)

    def have(self, digest: bytes) -> tuple[int, bool]:
        """Bytes that are here, and whether that is the whole blob, verified.

        Raises:
            BlobError: nothing of it is.
        """
        try:
            self._blobs.verify(digest)
        except BlobError:
            try:
                return self._path(digest).stat().st_size, False
            except FileNotFoundError:
                raise BlobError(
                    f"expected a blob {digest.hex()} or a part of it, found neither"
                ) from None
        return self._blobs.size_bytes(digest), True

    def claim(self, digest: bytes) -> None:
        """Become the one writer of a blob; `release` ends it. On the loop's thread.

        Raises:
            UploadError: ``busy``.
        """
        if digest in self._busy:
            raise UploadError(
                "busy", f"somebody else sends {digest.hex()}: wait, then ask how much is here"
            )
        self._busy.add(digest)

    def release(self, digest: bytes) -> None:
        """Let others write it."""
        self._busy.discard(digest)

    def begin(self, digest: bytes, offset: int, size: int) -> Part:
        """Go on with a blob of `size` bytes at `offset`; whoever asks has claimed it.

        Raises:
            UploadError: ``offset`` or ``size``.
        """
        if not 0 < size <= limits.BLOB_BYTES_MAX:
            raise UploadError(
                "size",
                f"expected 1 to {limits.BLOB_BYTES_MAX} bytes, found {size}: nothing is kept",
            )
        path = self._path(digest)
        have = path.stat().st_size if path.exists() else 0
        if offset == 0 and have:
            path.unlink()
            have = 0
        if offset != have:
            raise UploadError(
                "offset", f"expected the bytes from {have} on, found those from {offset} on", have
            )
        if not have:
            self._make_room()
        return Part(_appended(path), have, size)

    def finish(self, digest: bytes) -> None:
        """Verify a part that has all its bytes and make it a blob.

        Raises:
            UploadError: ``hash``: it is something else; it was thrown away.
        """
        path = self._path(digest)
        with path.open("rb") as file:
            found = file_digest(file, "sha256").digest()
        if found != digest:
            path.unlink()
            raise UploadError(
                "hash",
                f"expected bytes that hash to {digest.hex()}, found {found.hex()}: send them all again",
            )
        self._blobs.adopt(path, digest)

    def forget(self, digest: bytes) -> bool:
        """Throw a part away; whether there was one."""
        path = self._path(digest)
        there = path.exists()
        path.unlink(missing_ok=True)
        return there

    def _make_room(self) -> None:
        parts = [part for part in self._folder.glob(f"*{SUFFIX}") if part.is_file()]
        busy = {digest.hex() for digest in self._busy}
        idle = [part for part in parts if part.stem not in busy]
        idle.sort(key=lambda part: (part.stat().st_mtime_ns, part.name))
        for part in idle[: max(0, len(parts) + 1 - self._parts_max)]:
            part.unlink(missing_ok=True)

    def _path(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}{SUFFIX}"


def _appended(path: Path) -> IO[bytes]:
    """The file, at its end; only its owner reads it."""
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab"
    )
