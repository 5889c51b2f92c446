"""How many different things a window saw, as a HyperLogLog sketch.

Flajolet et al. 2007, "HyperLogLog: the analysis of a near-optimal cardinality estimation
algorithm", by Apache DataSketches (HLL_8, 64 registers, at most 104 bytes, standard error near
13 %). A camera that sends the same frame again and again shows here first. Leaves out what is
hashed: a device hashes quantised features, never raw inputs.

Rules: a set of items has one spelling, and an estimate depends on the registers alone, so neither
order nor repetition nor the way of merging changes it (the library's own estimator remembers the
order of insertion). Only the header and length that `hll_bytes` writes reach the native parser:
registers may lie, but they cannot crash it (of the other encodings some can).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from datasketches import hll_sketch, hll_union, tgt_hll_type

from devicesdk.wire.errors import BadMessage

LG_REGISTERS: Final = 6
_REGISTERS_AT: Final = 40
_ALPHA: Final = 0.709
"""Bias constant for 64 registers."""
BYTES_MAX: Final = _REGISTERS_AT + 2**LG_REGISTERS
_HEADER_BYTES: Final = 8
_DENSE: Final = (bytes.fromhex("0a0107060008000a"), bytes.fromhex("0a0107060018000a"))
"""Headers of 64 registers: filled value by value, and merged."""
_LISTS: Final = {
    8 + 4 * count: bytes((2, 1, 7, LG_REGISTERS, 3, 8, count, 8)) for count in range(1, 8)
}


def hll_bytes(items: Iterable[int]) -> bytes:
    """Serialise the sketch of these 64-bit integers; empty bytes when there are none."""
    sketch = hll_sketch(LG_REGISTERS, tgt_hll_type.HLL_8)
    for item in sorted(set(items)):
        sketch.update(item)
    packed: bytes = b"" if sketch.is_empty() else sketch.serialize_compact()
    return packed


def check_hll(data: bytes) -> bytes:
    """Return `data` if it has the shape of what `hll_bytes` makes.

    Raises:
        BadMessage: it has not.
    """
    size, head = len(data), data[:_HEADER_BYTES]
    if (size == BYTES_MAX and head in _DENSE) or (size in _LISTS and head == _LISTS[size]):
        return data
    raise BadMessage(
        f"expected an HLL_8 sketch of {2**LG_REGISTERS} registers, found {size} bytes "
        f"{head.hex()}.."
    )


class Distinct:
    """The union of many windows' sketches."""

    __slots__ = ("_union",)

    def __init__(self) -> None:
        self._union = hll_union(LG_REGISTERS)

    def add(self, data: bytes) -> None:
        """Add the sketch of one window.

        Raises:
            BadMessage: not a sketch of ours; nothing was added.
        """
        try:
            self._union.update(hll_sketch.deserialize(check_hll(data)))
        except (ValueError, IndexError, RuntimeError) as error:
            raise BadMessage(
                f"expected an HLL sketch, found {data[:16].hex()}..: {error}"
            ) from error

    def estimate(self) -> float:
        """How many different items were seen: exact below 8, then about.

        Flajolet et al. 2007, figure 3, with the correction for small ranges.
        """
        data = self.pack()
        if len(data) < BYTES_MAX:
            return float(max(0, len(data) - _HEADER_BYTES) // 4)
        registers = data[_REGISTERS_AT:]
        raw = _ALPHA * len(registers) ** 2 / math.fsum(2.0**-value for value in registers)
        empty = registers.count(0)
        if empty and raw <= 2.5 * len(registers):
            return len(registers) * math.log(len(registers) / empty)
        return raw

    def pack(self) -> bytes:
        """The union as bytes that `add` takes; empty when nothing was added."""
        if self._union.is_empty():
            return b""
        packed: bytes = self._union.get_result(tgt_hll_type.HLL_8).serialize_compact()
        return packed
