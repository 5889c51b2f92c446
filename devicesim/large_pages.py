"""A fleet's memory in large pages: the same bytes, found faster.

Decides when the process asks Linux to put its heap into pages of 2 MiB, and which regions. Leaves out
everything else: nothing of a run depends on it, no result, no digest and no bound, and where it cannot
be done it is not done.

A world of ten thousand devices is half a gigabyte of small objects, and each event touches those of
another device: with pages of 4 KiB the processor walks the page table for most of them (in a virtual
machine two tables, one inside the other). ``MADV_COLLAPSE`` (Linux 6.1, madvise(2)) copies what is
there into large pages at once; it takes about a millisecond a MiB, once, which is why a small run is
left alone and a growing one is looked at in steps.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

GROWTH_BYTES: Final = 64 * 2**20
"""How much the process grows before its memory is collapsed, the first time and again."""
LARGE_PAGE_BYTES: Final = 2 * 2**20
MADV_COLLAPSE: Final = 25

Advise = Callable[[int, int, int], int]
"""madvise: address, bytes, advice; 0 where it was done."""


class LargePages:
    """Watches the size of this process.

    Args:
        advise: called for each region; None: nothing is ever done.
        resident_bytes: says how much memory the process has now.
        maps: gives the lines of ``/proc/self/maps``.
    """

    __slots__ = ("_advise", "_due_bytes", "_maps", "_resident_bytes", "collapsed_bytes")

    def __init__(
        self,
        advise: Advise | None,
        resident_bytes: Callable[[], int],
        maps: Callable[[], Iterable[str]],
    ) -> None:
        self._advise, self._resident_bytes, self._maps = advise, resident_bytes, maps
        self._due_bytes = resident_bytes() + GROWTH_BYTES if advise is not None else 0
        self.collapsed_bytes = 0
        """What the last look put into large pages, or found there."""

    @classmethod
    def of_this_process(cls) -> LargePages:
        """Watch this process from its present size on."""
        return cls(_madvise(), _resident_bytes, _own_maps)

    def look(self) -> None:
        """Collapse the heap if the process has grown by `GROWTH_BYTES`; call now and then."""
        advise = self._advise
        if advise is None:
            return
        resident = self._resident_bytes()
        if resident < self._due_bytes:
            return
        self._due_bytes = resident + GROWTH_BYTES
        self.collapsed_bytes = sum(
            end - start
            for start, end in heap_regions(self._maps())
            if not advise(start, end - start, MADV_COLLAPSE)
        )


def heap_regions(maps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Private memory without a file, as whole large pages: (start, end) addresses.

    Args:
        maps: lines as in ``/proc/self/maps``, proc(5).
    """
    for line in maps:
        fields = line.split()
        if not fields or fields[1] != "rw-p" or (len(fields) > 5 and fields[5] != "[heap]"):
            continue
        low, _, high = fields[0].partition("-")
        start = -(-int(low, 16) // LARGE_PAGE_BYTES) * LARGE_PAGE_BYTES
        end = int(high, 16) // LARGE_PAGE_BYTES * LARGE_PAGE_BYTES
        if start < end:
            yield start, end


def _madvise() -> Advise | None:
    if sys.platform != "linux" or not Path("/proc/self/maps").exists():
        return None
    try:
        call = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    call.restype = ctypes.c_int
    advise: Advise = call
    return advise


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def _own_maps() -> list[str]:
    return Path("/proc/self/maps").read_text().splitlines()
