"""Differences of words: exact in every form, and small where it counts."""

from __future__ import annotations

import numpy as np
import pytest

from devicesdk.bundle.delta import BadDelta
from devicesdk.bundle.delta_words import FORMS, Form, add, difference, lay_out, pick_up
from devicesdk.bundle.zstd import pack

RNG = np.random.Generator(np.random.Philox(5))
WEIGHTS = (RNG.standard_normal(20_000) * 0.05).astype("<f4")
TUNED = WEIGHTS + (RNG.standard_normal(20_000) * 5e-5).astype("<f4")
BYTES = RNG.integers(0, 256, 20_001, dtype=np.uint8)


def _reader(data):
    at = 0

    def exactly(size):
        nonlocal at
        at += size
        return data[at - size : at]

    return exactly


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("count", [1, 3, 8, 1000])
def test_each_form_is_exact(width, form, count):
    base = BYTES[: count * width].tobytes()
    target = BYTES[7 : 7 + count * width].tobytes()
    for new in (target, base[:-1] + bytes([base[-1] ^ 0x80])):
        zigzag = difference(base, new, width)
        data = lay_out(zigzag, base, width, form)
        assert add(base, pick_up(_reader(data), base, width, form), width) == new


@pytest.mark.parametrize("places", [[0], [254], [255], [256, 257], [0, 1, 600], [511, 999]])
def test_gaps_of_any_length(places):
    target = bytearray(BYTES[:1000].tobytes())
    for place in places:
        target[place] ^= 1
    base = BYTES[:1000].tobytes()
    data = lay_out(difference(base, bytes(target), 1), base, 1, Form.GAPS)
    assert add(base, pick_up(_reader(data), base, 1, Form.GAPS), 1) == target


@pytest.mark.parametrize(
    ("gaps", "why"),
    [
        (b"", "bytes of gaps"),
        (b"\0" * 17, "bytes of gaps"),
        (b"\xff", "behind"),
        (b"\x08", "behind"),
    ],
)
def test_wrong_gaps_are_refused(gaps, why):
    data = len(gaps).to_bytes(4, "big") + gaps + bytes(8)
    with pytest.raises(BadDelta, match=why):
        pick_up(_reader(data), bytes(8), 1, Form.GAPS)


def test_a_step_up_and_a_step_down_are_small_numbers():
    base, target = np.array([10, 10, 0, 255], "u1"), np.array([9, 11, 255, 0], "u1")
    assert difference(base.tobytes(), target.tobytes(), 1).tolist() == [1, 2, 1, 2]


def test_words_are_little_endian():
    assert difference(b"\0\1\0\0", b"\0\2\0\0", 4).tolist() == [512]


def _packed(base, target, width, form):
    zigzag = difference(base, target, width)
    return len(pack(lay_out(zigzag, base, width, form), 9))


def test_sorting_by_exponent_pays_where_all_weights_moved_alike():
    old, new = WEIGHTS.tobytes(), TUNED.tobytes()
    sizes = {form: _packed(old, new, 4, form) for form in FORMS[4]}
    assert min(sizes, key=sizes.get) is Form.SORTED, sizes
    assert sizes[Form.SORTED] < 0.97 * sizes[Form.PLANES], sizes


def test_gaps_pay_where_few_words_moved_and_bits_where_many_moved_a_little():
    few, many = BYTES.copy(), BYTES.copy()
    few[RNG.integers(0, BYTES.size, 400)] += 1
    many += RNG.integers(0, 3, BYTES.size, dtype=np.uint8)
    for target, best in ((few, Form.GAPS), (many, Form.BITS)):
        sizes = {form: _packed(BYTES.tobytes(), target.tobytes(), 1, form) for form in FORMS[1]}
        assert min(sizes, key=sizes.get) is best, sizes
