"""The count-min sketch: deterministic, additive, never too small, and safe with foreign bytes."""

from __future__ import annotations

import pytest

from devicesdk.sketches.frequency import CELLS, HASHES, Frequencies, count_min_bytes
from devicesdk.sketches.histogram import pack
from devicesdk.wire.errors import BadMessage

ITEMS = [number % 40 for number in range(400)] + [7] * 600


def test_neither_order_nor_splitting_changes_the_sketch():
    assert count_min_bytes(ITEMS) == count_min_bytes(ITEMS[::-1])
    whole, parts = Frequencies(), Frequencies()
    whole.add(count_min_bytes(ITEMS))
    for start in range(0, len(ITEMS), 100):
        parts.add(count_min_bytes(ITEMS[start : start + 100]))
    assert whole.total == parts.total == 1_000
    assert [whole.estimate(i) for i in range(50)] == [parts.estimate(i) for i in range(50)]


def test_an_estimate_is_never_too_small_and_finds_the_frequent():
    seen = Frequencies()
    seen.add(count_min_bytes(ITEMS))
    assert seen.estimate(7) >= 610
    assert all(10 <= seen.estimate(item) <= 130 for item in range(40) if item != 7)


def test_a_small_window_costs_a_byte_a_cell():
    assert len(count_min_bytes(range(30))) == CELLS == 96
    assert count_min_bytes([]) == b""


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * CELLS, b"\x01" * (CELLS - 1), b"\xff" * CELLS, pack([1] + [0] * (CELLS - 1))],
)
def test_foreign_bytes_are_refused_and_nothing_is_added(data):
    seen = Frequencies()
    with pytest.raises(BadMessage):
        seen.add(data)
    assert seen.total == 0
    seen.add(pack(([3] + [0] * (CELLS // HASHES - 1)) * HASHES))
    assert seen.total == 3
