"""Exact histograms as bytes: one unsigned LEB128 varint a bin.

Decides the bytes of the histograms in a telemetry window and the bins of latency. Leaves out what
is counted (the device) and what a shift means (divergence.py). Histograms are the primary record:
they merge by addition, in any order, to the same numbers.

Rules: the number of bins is known to both sides and is not on the wire; a varint is at most 4 bytes
(counts below 2^28) and has one spelling only, so equal histograms have equal bytes; whatever a peer
sends, `unpack` returns the right number of counts or raises `BadMessage`. Counts below 128 are one
byte each, which is nearly always so, and then nothing here loops in Python.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt

from devicesdk.wire.errors import BadMessage

CONFIDENCE_BINS: Final = 20
ENTROPY_BINS: Final = 16
LATENCY_BINS: Final = 16
FEATURES: Final = 8
FEATURE_BINS: Final = 10

COUNT_MAX: Final = 2**28 - 1
VARINT_BYTES_MAX: Final = 4

LATENCY_EDGES_US: Final = tuple(round(1000 * 2 ** (k / 2)) for k in range(LATENCY_BINS - 1))
"""Bin 0 is below 1 ms, bin k is [edge k-1, edge k), the last bin is 128 ms and more."""

_CONTINUES: Final = bytes(range(128, 256))
# Each byte as its role in a varint: 2 continues, 0 is the zero byte, 1 any other last byte.
_ROLES: Final = bytes([0]) + bytes([1]) * 127 + bytes([2]) * 128


def latency_bin(latency_us: int) -> int:
    """Bin of a latency in microseconds: powers of sqrt 2 from 1 ms, open at both ends."""
    return bisect_right(LATENCY_EDGES_US, latency_us)


def pack(counts: Sequence[int]) -> bytes:
    """Spell counts (each 0..`COUNT_MAX`) as varints, in order.

    Raises:
        ValueError: a count is negative or too large.
    """
    try:
        packed = bytes(counts)
    except ValueError:
        return _pack_wide(counts)
    return packed if packed.isascii() else _pack_wide(counts)


def _pack_wide(counts: Sequence[int]) -> bytes:
    out = bytearray()
    for count in counts:
        if not 0 <= count <= COUNT_MAX:
            raise ValueError(f"expected counts of 0..{COUNT_MAX}, found {count}; split the window")
        rest = count
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def well_formed(data: bytes, bins: int) -> bool:
    """Whether `data` spells exactly `bins` counts; costs no loop and no memory beyond the bytes."""
    if data.isascii():
        return len(data) == bins
    if data[-1] & 0x80 or len(data.translate(None, _CONTINUES)) != bins:
        return False
    roles = data.translate(_ROLES)
    return b"\2\2\2\2" not in roles and b"\2\0" not in roles


def unpack(data: bytes, bins: int) -> list[int]:
    """Read `bins` counts.

    Raises:
        BadMessage: another number of counts, a count too large, or a varint spelled too long.
    """
    if not well_formed(data, bins):
        raise BadMessage(
            f"expected {bins} counts as shortest varints of at most {VARINT_BYTES_MAX} bytes, "
            f"found {len(data)} bytes {data[:24].hex()}.."
        )
    if len(data) == bins:
        return list(data)
    counts, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            counts.append(value)
            value = shift = 0
    return counts


def unpack_many(rows: Sequence[bytes], bins: int) -> npt.NDArray[np.int64]:
    """Read one histogram a row into an array of shape (rows, bins), without a loop over rows.

    Raises:
        BadMessage: a row is malformed, as in `unpack`.
    """
    joined = b"".join(rows)
    if not joined.isascii() or len(joined) != bins * len(rows):
        return _unpack_wide(rows, joined, bins)
    if any(len(row) != bins for row in rows):
        _refuse(rows, bins)
    return np.frombuffer(joined, np.uint8).astype(np.int64).reshape(len(rows), bins)


def _unpack_wide(rows: Sequence[bytes], joined: bytes, bins: int) -> npt.NDArray[np.int64]:
    raw = np.frombuffer(joined, np.uint8)
    last = np.flatnonzero(raw < 0x80)
    ends = np.cumsum([len(row) for row in rows]) - 1
    if not np.array_equal(last[bins - 1 :: bins], ends) or len(last) != bins * len(rows):
        _refuse(rows, bins)
    first = np.concatenate(([0], last[:-1] + 1))
    extra = last - first
    if extra.max() >= VARINT_BYTES_MAX or np.any((extra > 0) & (raw[last] == 0)):
        _refuse(rows, bins)
    values = (raw[first] & 0x7F).astype(np.int64)
    for place in range(1, VARINT_BYTES_MAX):
        longer = np.flatnonzero(extra >= place)
        values[longer] |= (raw[first[longer] + place] & 0x7F).astype(np.int64) << (7 * place)
    return values.reshape(len(rows), bins)


def _refuse(rows: Sequence[bytes], bins: int) -> NoReturn:
    index = next(i for i, row in enumerate(rows) if not well_formed(row, bins))
    raise BadMessage(
        f"expected {bins} counts in row {index} of {len(rows)}, found {rows[index][:24].hex()}.."
    )


def merge(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Add two histograms of the same bins.

    Raises:
        ValueError: they have different numbers of bins.
    """
    return [a + b for a, b in zip(left, right, strict=True)]


def quantile_us(counts: Sequence[int], share: float) -> float:
    """Latency (us) below which `share` of a latency histogram lies, geometric within its bin.

    The ends are open: what lies in the first bin is taken as 0.71-1 ms, in the last as 128-181 ms.

    Raises:
        ValueError: the histogram is empty.
    """
    low, high, inside = quantile_bin_us(counts, share)
    return low * float((high / low) ** inside)


def quantile_bin_us(counts: Sequence[int], share: float) -> tuple[float, float, float]:
    """Edges (us) of the bin that holds the quantile, and how far into it (0..1) the quantile lies.

    Raises:
        ValueError: the histogram is empty.
    """
    total = sum(counts)
    if total == 0:
        raise ValueError("expected a histogram with at least one count, found an empty one")
    target, below, index = share * total, 0, 0
    while not counts[index] or below + counts[index] < target:
        below += counts[index]
        index += 1
    low = 1000.0 * 2.0 ** ((index - 1) / 2)
    return low, low * 2.0**0.5, max(0.0, (target - below) / counts[index])
