"""Differences of words, and the forms in which they compress.

Decides how the difference of two equally long stretches of weights is written down, so that a general
compressor finds what little is in it, and how it is read back. Leaves out which stretches correspond
(delta_align.py) and the compressor (zstd.py).

Theory of operation. Weights that were trained a little further differ from the old ones by a small number
of units in the last place, up or down. Seen as integers, the difference modulo ``2 ** bits`` is small in
magnitude; zigzag (0, -1, 1, -2 ... to 0, 1, 2, 3 ...) makes its high bits zero whatever the sign. Then:

==========  =====================================================================================
``PLANES``  all lowest bytes, then all second ones, ...: high planes are zeros
``SORTED``  the same, words ordered by the *base's* exponent: a step of one size is many units in the last
            place of a small weight and few of a large one, so neighbours then have the same spread
``BITS``    all lowest bits, then all second ones, ...: for words of few bits, where a byte wastes most
``GAPS``    how many words are the same before each that differs (a byte, 255: and more), then the planes
            of those that do: for rare changes, which this writes in hardly more than their entropy
==========  =====================================================================================

Rules: all four are exact, and exact inverses; the reader needs the base's words and the record alone;
words are little endian as in ONNX's ``raw_data``.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from devicesdk.bundle.delta import BadDelta

Words: TypeAlias = npt.NDArray[Any]
"""Unsigned words of one width, one dimension."""

_TYPES: Final[dict[int, Any]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}
_EXPONENT_SHIFT: Final = {1: 7, 2: 10, 4: 23}
"""Of IEEE 754 binary16 and binary32; of bfloat16 the upper part of it."""


_COUNT: Final = struct.Struct(">I")
_GOES_ON: Final = 255


class Form(enum.IntEnum):
    """How differences are laid out; numbers are the format's."""

    PLANES = 0
    SORTED = 1
    BITS = 2
    GAPS = 3


FORMS: Final[dict[int, tuple[Form, ...]]] = {
    1: (Form.PLANES, Form.BITS, Form.GAPS),
    2: (Form.SORTED, Form.BITS, Form.GAPS),
    4: (Form.SORTED, Form.PLANES, Form.GAPS),
}
"""Which forms are worth trying, by width."""


def difference(base: bytes | memoryview, target: bytes | memoryview, width: int) -> Words:
    """Zigzag of ``target - base``, word by word; both have the same length, a multiple of `width`."""
    kind = _TYPES[width]
    gap = np.frombuffer(target, kind) - np.frombuffer(base, kind)
    sign = kind.type(0) - (gap >> kind.type(8 * width - 1))
    zigzag: Words = (gap << kind.type(1)) ^ sign
    return zigzag


def add(base: bytes, zigzag: Words, width: int) -> bytes:
    """The target of a difference."""
    kind = _TYPES[width]
    gap = (zigzag >> kind.type(1)) ^ (kind.type(0) - (zigzag & kind.type(1)))
    target: Words = np.frombuffer(base, kind) + gap
    return target.tobytes()


def lay_out(zigzag: Words, base: bytes | memoryview, width: int, form: Form) -> bytes:
    """A difference in one of the forms."""
    if form is Form.SORTED:
        zigzag = zigzag[_order(base, width)]
    elif form is Form.BITS:
        return _bit_planes(zigzag, width)
    elif form is Form.GAPS:
        places = np.flatnonzero(zigzag)
        gaps = _gaps(places)
        return _COUNT.pack(len(gaps)) + gaps + _planes(zigzag[places], width)
    return _planes(zigzag, width)


def pick_up(exactly: Callable[[int], bytes], base: bytes, width: int, form: Form) -> Words:
    """Read a difference back.

    Args:
        exactly: reads so many bytes of the record.
        base: the base's words.
        width: bytes of a word.
        form: how it was laid out.

    Raises:
        BadDelta: no difference of so many words looks like this.
    """
    count = len(base) // width
    if form is Form.BITS:
        return _from_bit_planes(exactly(8 * width * -(-count // 8)), count, width)
    if form is Form.GAPS:
        (size,) = _COUNT.unpack(exactly(_COUNT.size))
        if not 0 < size <= 2 * count:
            raise BadDelta(f"expected at most {2 * count} bytes of gaps, found {size}")
        places = _places(exactly(size))
        if not places.size or places[-1] >= count:
            raise BadDelta(f"expected differences within {count} words, found some behind them")
        out = np.zeros(count, _TYPES[width])
        out[places] = _from_planes(exactly(places.size * width), width)
        return out
    words = _from_planes(exactly(len(base)), width)
    if form is Form.SORTED:
        out = np.empty_like(words)
        out[_order(base, width)] = words
        return out
    return words


def _order(base: bytes | memoryview, width: int) -> npt.NDArray[np.intp]:
    kind = _TYPES[width]
    twice = np.frombuffer(base, kind) << kind.type(1)  # without the sign
    exponent = (twice >> kind.type(_EXPONENT_SHIFT[width] + 1)).astype(np.uint8)
    return np.argsort(exponent, kind="stable")


def _gaps(places: npt.NDArray[np.intp]) -> bytes:
    """Distances of rising numbers in base 255: digits of 255 go on, any other ends a number."""
    gaps = np.diff(places, prepend=-1) - 1
    more = gaps // _GOES_ON
    ends = np.cumsum(more + 1) - 1
    digits = np.full(int(ends[-1]) + 1 if ends.size else 0, _GOES_ON, np.uint8)
    digits[ends] = gaps % _GOES_ON
    return digits.tobytes()


def _places(digits: bytes) -> npt.NDArray[np.intp]:
    """The inverse of `_gaps`; digits that end no number are none."""
    values = np.frombuffer(digits, np.uint8)
    ends = np.flatnonzero(values != _GOES_ON)
    return np.cumsum(values, dtype=np.intp)[ends] + np.arange(ends.size)


def _planes(words: Words, width: int) -> bytes:
    return np.ascontiguousarray(words.view(np.uint8).reshape(-1, width).T).tobytes()


def _from_planes(data: bytes, width: int) -> Words:
    bytes_of = np.frombuffer(data, np.uint8).reshape(width, -1).T
    return np.ascontiguousarray(bytes_of).reshape(-1).view(_TYPES[width])


def _bit_planes(words: Words, width: int) -> bytes:
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, width), axis=1, bitorder="little")
    return np.packbits(bits.T, axis=1).tobytes()


def _from_bit_planes(data: bytes, count: int, width: int) -> Words:
    packed = np.frombuffer(data, np.uint8).reshape(8 * width, -1)
    bits = np.unpackbits(packed, axis=1, count=count)
    words = np.packbits(bits.T, axis=1, bitorder="little")
    return np.ascontiguousarray(words).reshape(-1).view(_TYPES[width])
