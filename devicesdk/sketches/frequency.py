"""Which things a window saw often, as a count-min sketch, beside the exact histograms.

Cormode and Muthukrishnan 2005, "An improved data stream summary: the count-min sketch and its
applications", by Apache DataSketches (3 hashes x 32 buckets, a fixed seed: deterministic). An estimate is
never too small, and too large by more than 9 % of all with probability below 5 %. Decides how a
sketch travels: its 96 counts as varints, a byte each in a window of ordinary size. Leaves out what is
hashed: a device hashes quantised features, never raw inputs.

Rules: counts add, so any order of items and of merges gives the same sketch; each row of a real sketch
sums to the number of items, and bytes for which that is not so are refused before the native library
sees any of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from datasketches import count_min_sketch

from devicesdk.sketches.histogram import pack, unpack
from devicesdk.wire.errors import BadMessage

HASHES: Final = 3
BUCKETS: Final = 32
CELLS: Final = HASHES * BUCKETS
_SEED: Final = 9001
_HEAD: Final = bytes.fromhex("02011200000000002000000003cc9300")
"""What Apache DataSketches writes before the numbers of a sketch of this shape and seed."""
_NUMBERS: Final = struct.Struct(f"<{1 + CELLS}d")


def count_min_bytes(items: Iterable[int]) -> bytes:
    """Serialise the sketch of these 64-bit integers; empty bytes when there are none."""
    sketch = count_min_sketch(HASHES, BUCKETS, _SEED)
    for item in items:
        sketch.update(item)
    return b"" if sketch.is_empty() else pack(_cells(sketch))


class Frequencies:
    """The sum of many windows' sketches."""

    __slots__ = ("_sketch",)

    def __init__(self) -> None:
        self._sketch = count_min_sketch(HASHES, BUCKETS, _SEED)

    @property
    def total(self) -> int:
        """How many items were counted."""
        return int(self._sketch.total_weight)

    def add(self, data: bytes) -> None:
        """Add the sketch of one window.

        Raises:
            BadMessage: not a sketch of ours; nothing was added.
        """
        cells = unpack(data, CELLS)
        totals = {sum(cells[row * BUCKETS : (row + 1) * BUCKETS]) for row in range(HASHES)}
        if len(totals) != 1 or not cells or not any(cells):
            raise BadMessage(
                f"expected a count-min sketch whose {HASHES} rows have one sum, found sums "
                f"{sorted(totals)}"
            )
        whole = _HEAD + _NUMBERS.pack(float(totals.pop()), *map(float, cells))
        self._sketch.merge(count_min_sketch.deserialize(whole))

    def estimate(self, item: int) -> int:
        """How often an item was seen: never too small."""
        return int(self._sketch.get_estimate(item))


def _cells(sketch: count_min_sketch) -> list[int]:
    numbers = _NUMBERS.unpack(sketch.serialize()[len(_HEAD) :])
    return [int(number) for number in numbers[1:]]
