"""What a process holds: resident memory, file descriptors, processor time; read from /proc.

Decides which files of Linux's procfs are read (proc(5)). On a system without it nothing is read, and
nothing is judged. Leaves out what the numbers mean (leaks.py).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Holding(msgspec.Struct, frozen=True):
    """One reading of one process."""

    rss_bytes: int
    fds: int
    cpu_s: float


def holding(pid: int | None = None) -> Holding | None:
    """Read a process, our own by default; None when there is no such process or no procfs."""
    folder = Path("/proc") / (str(pid) if pid is not None else "self")
    with contextlib.suppress(OSError, IndexError, ValueError):
        pages = int((folder / "statm").read_text().split()[1])
        # fields 14 and 15 (user, system); the name in parentheses may hold spaces
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Holding(
            pages * PAGE_BYTES, sum(1 for _ in (folder / "fd").iterdir()), ticks / TICKS_PER_S
        )
    return None
