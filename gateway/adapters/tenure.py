"""Who has a folder of blobs: locks, and a mark by which folder and database know each other.

Decides how long a folder is held, and whether a database was the last that a gateway used it with. Leaves out blobs
(blobs.py) and what is removed (unnamed.py).

Theory of operation. The lease of a database (lease.py) says nothing of a folder: with the wrong configuration somebody opens
a database that nobody uses, and takes what a gateway needs for what nothing names. So whoever reads blobs holds a lock
in their folder, shared, and whoever removes some holds it alone. And every start of a gateway draws a number and writes
it into its database and into its folder. They differ when the database is another one, or a copy of before: what it does not name
may be needed.

Rules: the kernel lets go of a lock when its holder ends, however that may be; a start that ends between the two writes
leaves numbers that differ, and the next start makes that good.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

from gateway.adapters.storage import SqlStorage
from gateway.core.tenure import TENURE, TENURE_KEY, TenureRow
from gateway.ports import StorageError

LOCK_FILE: Final = ".lock"
MARK_FILE: Final = ".run"
RUN_BYTES: Final = 16


class Tenure(Enum):
    """What a database is to a folder."""

    LAST = "it is the one that the folder was used with last"
    OTHER = "another one, or a later state of it, was"
    UNKNOWN = "the folder does not say"


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Hold a folder of blobs beside others; nothing is removed from it meanwhile.

    Raises:
        StorageError: somebody removes blobs from it.
    """
    with _held(folder, fcntl.LOCK_SH, "that blobs are being removed from it; try again when that is done"):  # fmt: skip
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder of blobs that nobody else uses.

    Raises:
        StorageError: a gateway runs with it, or a backup of it is being made.
    """
    with _held(
        folder,
        fcntl.LOCK_EX,
        "that a gateway or a backup uses it, maybe with another database than this one; stop that first and "
        "name its database: nothing was removed",
    ):
        yield


def begin(storage: SqlStorage, folder: Path, run: bytes) -> None:
    """Mark a database and the folder that a gateway uses with it.

    Args:
        storage: nothing is in its open batch.
        folder: of blobs, held.
        run: `RUN_BYTES` that nobody else draws.
    """
    storage.put(TENURE, TENURE_KEY, TenureRow(run.hex()))
    storage.commit()
    new = folder / f"{MARK_FILE}-new"
    new.write_text(f"{run.hex()}\n")
    new.replace(folder / MARK_FILE)


def tenure(storage: SqlStorage, folder: Path) -> Tenure:
    """What a database is to a folder of blobs."""
    try:
        said = (folder / MARK_FILE).read_text().strip()
    except FileNotFoundError:
        return Tenure.UNKNOWN
    known = [row.run for _, row in storage.page(TENURE, "", 1)]
    return Tenure.LAST if known == [said] else Tenure.OTHER


@contextmanager
def _held(folder: Path, how: int, found: str) -> Iterator[None]:
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS or how == fcntl.LOCK_EX:
            raise
        yield  # nobody removes anything from where nothing can be written
        return
    try:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(f"expected {folder} to be free, found {found}") from error
        yield
    finally:
        os.close(lock)
