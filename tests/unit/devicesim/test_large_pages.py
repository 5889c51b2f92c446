"""Which memory goes into large pages, and when; and that this kernel's answer changes nothing."""

from __future__ import annotations

import mmap
import sys
from ctypes import addressof, c_char

import pytest

from devicesim.large_pages import (
    GROWTH_BYTES,
    LARGE_PAGE_BYTES,
    MADV_COLLAPSE,
    LargePages,
    heap_regions,
)

MIB = 2**20


def line(start: int, end: int, rights: str = "rw-p", name: str = "") -> str:
    return f"{start:x}-{end:x} {rights} 00000000 00:00 0 {name}".rstrip()


def test_whole_large_pages_of_private_memory_are_taken() -> None:
    maps = [line(4 * MIB + 4096, 11 * MIB), line(20 * MIB, 22 * MIB, name="[heap]")]
    found = list(heap_regions(maps))
    assert found == [(6 * MIB, 10 * MIB), (20 * MIB, 22 * MIB)], (
        "a large page that begins or ends in another region is not this region's"
    )


@pytest.mark.parametrize(
    "other",
    [
        line(0, 8 * MIB, "r--p"),
        line(0, 8 * MIB, "rw-s"),
        line(0, 8 * MIB, name="/usr/lib/libpython3.11.so"),
        line(0, 8 * MIB, name="[stack]"),
        line(0, 8 * MIB, "---p"),
        line(MIB, 2 * MIB),
        "",
    ],
)
def test_files_stacks_shared_and_small_regions_are_left_alone(other: str) -> None:
    assert list(heap_regions([other])) == []


class Process:
    """A process of this size, and what was asked of its kernel."""

    def __init__(self) -> None:
        self.resident_bytes = 100 * MIB
        self.answer = 0
        self.asked: list[tuple[int, int, int]] = []

    def advise(self, start: int, length: int, advice: int) -> int:
        self.asked.append((start, length, advice))
        return self.answer

    def pages(self) -> LargePages:
        return LargePages(
            self.advise, lambda: self.resident_bytes, lambda: [line(2 * MIB, 10 * MIB)]
        )


def test_a_process_is_looked_at_each_time_it_has_grown() -> None:
    process = Process()
    pages = process.pages()
    process.resident_bytes += GROWTH_BYTES - 1
    pages.look()
    assert process.asked == [], "a small run pays nothing"
    process.resident_bytes += 1
    pages.look()
    pages.look()
    assert process.asked == [(2 * MIB, 8 * MIB, MADV_COLLAPSE)], "once for each step of growth"
    assert pages.collapsed_bytes == 8 * MIB
    process.resident_bytes += GROWTH_BYTES
    pages.look()
    assert len(process.asked) == 2, "what came since is collapsed too"


def test_a_kernel_that_refuses_is_no_error() -> None:
    process = Process()
    process.answer = -1
    pages = process.pages()
    process.resident_bytes += GROWTH_BYTES
    pages.look()
    assert process.asked
    assert pages.collapsed_bytes == 0


def test_without_a_kernel_that_can_nothing_is_read() -> None:
    def never() -> int:
        raise AssertionError("the size of this process is nobody's business here")

    LargePages(None, never, list).look()


@pytest.mark.skipif(sys.platform != "linux", reason="madvise(2) of Linux")
def test_memory_that_this_kernel_collapses_keeps_its_bytes() -> None:
    with mmap.mmap(-1, 4 * LARGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE) as memory:
        memory[:] = bytes(range(256)) * (len(memory) // 256)
        view = c_char.from_buffer(memory)
        start = addressof(view)
        sizes = iter((0, GROWTH_BYTES))
        LargePages(
            LargePages.of_this_process()._advise,
            lambda: next(sizes),
            lambda: [line(start, start + len(memory))],
        ).look()
        del view
        assert memory[:] == bytes(range(256)) * (len(memory) // 256)
