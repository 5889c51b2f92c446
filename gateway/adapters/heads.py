"""Signed heads of the audit log in a file beside the database, the oldest first.

Decides the files, ``audit.heads`` and the one before it, and how large they grow. Leaves out what a line says
(gateway/core/audit/kept.py) and when one is added (gateway/runtime/witness.py).

Rules: lines are only ever appended, and are on disk when `append` returns; a full file becomes ``audit.heads.1`` and
replaces the one of that name, because the newest head speaks for all entries before it. Whoever can write
the database can often write this file too: copies elsewhere are the better witnesses.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

HEADS_FILE: Final = "audit.heads"
HEADS_BYTES_MAX: Final = 4 * 1024 * 1024
OWNER_ONLY: Final = 0o600


class HeadFile:
    """The heads of one state folder.

    Args:
        folder: the state folder.
        bytes_max: of a file, before it is moved aside.
    """

    def __init__(self, folder: Path, bytes_max: int = HEADS_BYTES_MAX) -> None:
        self.path, self._bytes_max = folder / HEADS_FILE, bytes_max
        self.older = folder / f"{HEADS_FILE}.1"

    def read(self) -> str:
        """All lines that are kept, the oldest first."""
        files = [file for file in (self.older, self.path) if file.exists()]
        return "".join(file.read_text(errors="replace") for file in files)

    def append(self, line: str) -> None:
        """Add a line (with its end).

        Raises:
            OSError: it could not be written.
        """
        data = line.encode()
        if self.path.exists() and self.path.stat().st_size + len(data) > self._bytes_max:
            self.path.replace(self.older)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, OWNER_ONLY)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            # A line that a crash cut short must not take this one with it.
            whole = (
                file.seek(0, os.SEEK_END) == 0
                or (file.seek(-1, os.SEEK_END), file.read(1))[1] == b"\n"
            )
            file.write(data if whole else b"\n" + data)
            os.fsync(file.fileno())
