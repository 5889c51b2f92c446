"""Which things a window has seen, as a Bloom filter: a yes may be wrong, a no never is.

Bloom 1970, "Space/time trade-offs in hash coding with allowable errors"; four positions an item by double
hashing (Kirsch and Mitzenmacher 2006, "Less hashing, same performance") of the finaliser of SplitMix64
(Steele, Lea and Flood 2014). Written here because the sketch library that is installed has no such filter. Leaves
out what is hashed: a device hashes quantised features, never raw inputs.

Rules: 8 to 16 bits an item (a wrong yes in 2.4 % at most), in a power of two of bytes up to `BYTES_MAX`; more than
`ITEMS_MAX` different items have no filter, because it would say yes to everything. Filters of all sizes can be
joined: a position in a smaller one is the remainder of that in a larger one, so the smaller is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from devicesdk.wire.errors import BadMessage

HASHES: Final = 4
BYTES_MIN: Final = 8
BYTES_MAX: Final = 128
ITEMS_MAX: Final = BYTES_MAX
"""Eight bits an item."""
_MASK: Final = 2**64 - 1


def bloom_bytes(items: Iterable[int]) -> bytes:
    """Serialise the filter of these non-negative integers; empty where there are none, or too many."""
    different = set(items)
    if not 0 < len(different) <= ITEMS_MAX:
        return b""
    size = BYTES_MIN
    while size < len(different):
        size *= 2
    filled = 0
    for item in sorted(different):
        for place in _places(item, 8 * size):
            filled |= 1 << place
    return filled.to_bytes(size, "little")


class Members:
    """The union of many windows' filters."""

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = 0

    @property
    def fill(self) -> float:
        """Share of bits that are set; beyond one half a yes says little."""
        return self._bits.bit_count() / (8 * BYTES_MAX)

    def add(self, data: bytes) -> None:
        """Add the filter of one window.

        Raises:
            BadMessage: not a filter of ours; nothing was added.
        """
        size = len(data)
        if not BYTES_MIN <= size <= BYTES_MAX or size & (size - 1) or not any(data):
            raise BadMessage(
                f"expected a Bloom filter of {BYTES_MIN} to {BYTES_MAX} bytes, a power of two, with a "
                f"bit set, found {size} bytes"
            )
        self._bits |= int.from_bytes(data * (BYTES_MAX // size), "little")

    def might_contain(self, item: int) -> bool:
        """Whether an item may have been seen; False is certain."""
        return all(self._bits >> place & 1 for place in _places(item, 8 * BYTES_MAX))


def _places(item: int, bits: int) -> list[int]:
    z = (item + 0x9E3779B97F4A7C15) & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    z ^= z >> 31
    start, step = z & 0xFFFFFFFF, z >> 32 | 1
    return [(start + turn * step) % bits for turn in range(HASHES)]
