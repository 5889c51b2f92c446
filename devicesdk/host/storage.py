"""A device's files on a real disk: what is durable when a call returns, and what never is half.

Decides how `Write`, `Sync`, `Save`, `Delete` and reads meet the file system. Leaves out what the files
mean (devicesdk/agent) and what is done about a disk that refuses: every refusal is one
`StorageRefused`, and the agent hears it as `StorageFailed`.

=======  ==========================================================================================
write    ``pwrite`` until all bytes are there; durable after `sync`
sync     ``fsync`` of the file, and of the folder when the file is new
save     write a neighbour, ``fsync``, ``rename`` over the old one, ``fsync`` the folder
delete   ``unlink``, ``fsync`` the folder
=======  ==========================================================================================

Rules: file names are plain words in one folder, so nothing outside is ever touched (and no symbolic
link is followed); one process has one folder (a lock file, held as long as the process lives, given
back by the kernel whatever ends it); after a failed ``fsync`` the file is opened anew, because the
kernel may have dropped the pages and called them clean (Rebello et al. 2020, "Can Applications
Recover from fsync Failures?").
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

READ_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of a file that is read at once; images are read with the size that their slot says."""
HASH_STEP_BYTES: Final = 256 * 1024
LOCK_FILE: Final = ".lock"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_OPEN: Final = os.O_CLOEXEC | os.O_NOFOLLOW
_PRIVATE: Final = 0o600


class StorageRefused(OSError):
    """The disk refused: full, worn out or broken. Says the file and the system's own words."""


class StorageBusyError(RuntimeError):
    """Another process runs this device."""


@contextlib.contextmanager
def _refusals(verb: str, file: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageRefused(f"{verb} {file}: {error.strerror or error}") from error


class Storage:
    """The folder of one device.

    Args:
        folder: made when it is not there.

    Raises:
        StorageBusyError: another process has it.
        StorageRefused: the folder cannot be made or locked.
    """

    __slots__ = ("_fds", "_folder", "_lock", "_new", "folder")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fds: dict[str, int] = {}
        self._new: set[str] = set()
        with _refusals("open", str(folder)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._lock = self._open(LOCK_FILE, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            os.close(self._folder)
            raise StorageBusyError(
                f"expected to be alone in {folder}, found another process that runs this device; "
                "stop it, or choose another --state"
            ) from error

    def write(self, file: str, offset: int, data: bytes | memoryview) -> None:
        """Write one extent; not durable before `sync`.

        Raises:
            StorageRefused: not all of it was written.
        """
        with _refusals("write", file):
            fd, at, rest = self._file(file), offset, memoryview(data)
            while rest:
                done = os.pwrite(fd, rest, at)
                at, rest = at + done, rest[done:]

    def sync(self, file: str) -> None:
        """Make all earlier writes to `file` durable.

        Raises:
            StorageRefused: nobody knows which of them are.
        """
        fd = self._fds.get(file)
        if fd is None:
            return
        try:
            with _refusals("sync", file):
                os.fsync(fd)
                if file in self._new:
                    os.fsync(self._folder)
        except StorageRefused:
            self._forget(file)
            raise
        self._new.discard(file)

    def sync_all(self) -> None:
        """What an orderly shutdown does.

        Raises:
            StorageRefused: see `sync`.
        """
        for file in sorted(self._fds):
            self.sync(file)

    def save(self, file: str, data: bytes) -> None:
        """Replace a small file, atomically and durably.

        Raises:
            StorageRefused: the old contents are still there.
        """
        neighbour = f".{_checked(file)}.new"
        with _refusals("save", file):
            try:
                fd = self._open(neighbour, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                try:
                    rest = memoryview(data)
                    while rest:
                        rest = rest[os.write(fd, rest) :]
                    os.fsync(fd)
                finally:
                    os.close(fd)
                self._forget(file)
                os.rename(neighbour, file, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(neighbour, dir_fd=self._folder)
                raise
            os.fsync(self._folder)

    def delete(self, file: str) -> None:
        """Remove a file durably; no error when there is none.

        Raises:
            StorageRefused: it may still be there.
        """
        self._forget(_checked(file))
        with _refusals("delete", file), contextlib.suppress(FileNotFoundError):
            os.unlink(file, dir_fd=self._folder)
            os.fsync(self._folder)

    def read(self, file: str, size_bytes: int | None = None) -> bytes | None:
        """A whole small file, or the first `size_bytes` of any; None when there is none.

        Raises:
            StorageRefused: it is there and cannot be read, or is larger than `READ_BYTES_MAX`.
        """
        fd = self._reading(file)
        if fd is None:
            return None
        with _refusals("read", file), os.fdopen(fd, "rb") as stream:
            data = stream.read(READ_BYTES_MAX + 1 if size_bytes is None else size_bytes)
        if size_bytes is None and len(data) > READ_BYTES_MAX:
            raise StorageRefused(f"read {file}: expected at most {READ_BYTES_MAX} bytes")
        return data

    def digest(self, file: str, size_bytes: int) -> bytes:
        """SHA-256 of the first `size_bytes` as read back, or of less where the file is shorter.

        May be called from another thread; reads `HASH_STEP_BYTES` at a time.

        Raises:
            StorageRefused: it cannot be read.
        """
        hasher, fd = sha256(), self._reading(file)
        if fd is None:
            return hasher.digest()
        with _refusals("read", file), os.fdopen(fd, "rb", buffering=0) as stream:
            os.posix_fadvise(
                fd, 0, size_bytes, os.POSIX_FADV_DONTNEED
            )  # what was synced is re-read
            step, left = bytearray(HASH_STEP_BYTES), size_bytes
            while left:
                some = stream.readinto(memoryview(step)[:left] if left < len(step) else step)
                if not some:
                    break
                hasher.update(memoryview(step)[:some])
                left -= some
        return hasher.digest()

    def open_reading(self, file: str) -> int | None:
        """A descriptor of a file to read it by ranges, which the caller closes; None: there is none.

        Raises:
            StorageRefused: it is there and cannot be read.
        """
        return self._reading(file)

    @contextlib.contextmanager
    def rewritten(self, file: str) -> Iterator[Callable[[bytes], None]]:
        """Replace a file's contents piece by piece, in order; durable at the end. Not atomic: what is
        half written stays. May be used in another thread, by one at a time.

        Raises:
            StorageRefused: not all of it is written and durable.
        """
        with _refusals("write", file):
            fd = self._open(_checked(file), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:

            def write(data: bytes) -> None:
                with _refusals("write", file):
                    rest = memoryview(data)
                    while rest:
                        rest = rest[os.write(fd, rest) :]

            yield write
            with _refusals("sync", file):
                os.fsync(fd)
                os.fsync(self._folder)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Give the folder back."""
        for file in sorted(self._fds):
            self._forget(file)
        os.close(self._lock)
        os.close(self._folder)

    # -- inside ---------------------------------------------------------------------------------

    def _file(self, file: str) -> int:
        fd = self._fds.get(file)
        if fd is None:
            name = _checked(file)
            try:
                fd = self._open(name, os.O_RDWR)
            except FileNotFoundError:
                fd = self._open(name, os.O_RDWR | os.O_CREAT)
                self._new.add(name)
            self._fds[name] = fd
        return fd

    def _reading(self, file: str) -> int | None:
        try:
            return self._open(_checked(file), os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageRefused(f"read {file}: {error.strerror or error}") from error

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags | _OPEN, _PRIVATE, dir_fd=self._folder)

    def _forget(self, file: str) -> None:
        self._new.discard(file)
        fd = self._fds.pop(file, None)
        if fd is not None:
            os.close(fd)


def _checked(file: str) -> str:
    if not _NAME.fullmatch(file):
        raise ValueError(
            f"expected a plain file name such as slot-a, found {file!r}: a device writes nowhere else"
        )
    return file
