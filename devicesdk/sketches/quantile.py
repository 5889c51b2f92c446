"""Quantiles of a window's readings as a KLL sketch, beside the exact histograms.

Karnin, Lang, Liberty 2016, "Optimal Quantile Approximation in Streams", by Apache DataSketches.
Decides when a sketch may travel and which bytes are believed. Leaves out every decision: a sketch
that has begun to compact tosses coins that cannot be seeded, so nothing may depend on its bytes or
on the last digits of its answers.

Rules: a device sends a sketch only while it is exact (at most k values), and then its bytes are the
same for the same values in any order; a received sketch is believed only if it is byte for byte what
`kll_bytes` makes of the values in it, so no foreign bytes ever reach the native parser.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from datasketches import kll_floats_sketch

from devicesdk.wire.errors import BadMessage

K_DEVICE: Final = 64
K_MERGED: Final = 200
_PREAMBLE_BYTES: Final = 32
_SINGLE_BYTES: Final = 12


def kll_bytes(values: Sequence[float], k: int = K_DEVICE) -> bytes:
    """Serialise 32-bit values while the sketch of them is exact; empty bytes when there are none,
    more than `k`, or one is not a finite number."""
    if not 0 < len(values) <= k or not all(map(math.isfinite, values)):
        return b""
    sketch = kll_floats_sketch(k)
    for value in sorted(values):
        sketch.update(value + 0.0)  # minus zero becomes zero: they sort alike but differ in bytes
    packed: bytes = sketch.serialize()
    return packed


def kll_values(data: bytes, k: int = K_DEVICE) -> tuple[float, ...]:
    """The values in an exact sketch, sorted.

    Raises:
        BadMessage: not the bytes that `kll_bytes` makes of at most `k` values.
    """
    count = 1 if len(data) == _SINGLE_BYTES else (len(data) - _PREAMBLE_BYTES) // 4
    if 0 < count <= k and len(data) >= _SINGLE_BYTES:
        values = tuple(sorted(struct.unpack(f"<{count}f", data[-4 * count :])))
        if kll_bytes(values, k) == data:
            return values
    raise BadMessage(
        f"expected a KLL sketch (k = {k}) of 1-{k} sorted values, found {len(data)} bytes "
        f"{data[:16].hex()}..; send none once a window has more values"
    )


class Quantiles:
    """Quantiles of many windows, within `rank_error`.

    Args:
        k: size parameter; 200 keeps the rank error near 1.3 %.
    """

    __slots__ = ("_sketch",)

    def __init__(self, k: int = K_MERGED) -> None:
        self._sketch = kll_floats_sketch(k)

    @property
    def count(self) -> int:
        """How many values were added."""
        return int(self._sketch.n)

    @property
    def rank_error(self) -> float:
        """Half-width of the 99 % confidence interval of a rank (a share of the values)."""
        return float(self._sketch.normalized_rank_error(False))

    def add(self, values: Iterable[float]) -> None:
        """Add the values of one window."""
        update = self._sketch.update
        for value in values:
            update(value)

    def merge(self, other: Quantiles) -> None:
        """Add all that another one has seen."""
        self._sketch.merge(other._sketch)

    def quantile(self, share: float) -> float:
        """The value below which `share` of the values lie, NaN when there are none."""
        return float(self._sketch.get_quantile(share)) if self.count else math.nan

    def rank(self, value: float) -> float:
        """The share of the values that are below or equal to `value`, NaN when there are none."""
        return float(self._sketch.get_rank(value, inclusive=True)) if self.count else math.nan
