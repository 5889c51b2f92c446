from __future__ import annotations

import pytest

from devicesdk.sketches.cardinality import BYTES_MAX, Distinct, check_hll, hll_bytes
from devicesdk.wire.errors import BadMessage


@pytest.mark.parametrize("count", [1, 7, 8, 63, 1000, 100_000])
def test_estimates_are_near_and_bytes_bounded(count: int) -> None:
    union = Distinct()
    union.add(hll_bytes(range(count)))
    assert abs(union.estimate() / count - 1) < 0.4
    assert len(hll_bytes(range(count))) <= BYTES_MAX


def test_the_order_of_merging_does_not_matter() -> None:
    parts = [hll_bytes(range(n, 3 * n + 1)) for n in (2, 30, 400)]
    one, other = Distinct(), Distinct()
    for part in parts:
        one.add(part)
        one.add(part)
    for part in parts[::-1]:
        other.add(part)
    assert one.estimate() == other.estimate()
    again = Distinct()
    again.add(one.pack())
    assert again.estimate() == one.estimate()
    assert hll_bytes([5, 9, 5, 700]) == hll_bytes([700, 9, 5])


def test_nothing_is_no_bytes() -> None:
    assert hll_bytes([]) == b""
    assert Distinct().pack() == b""
    assert Distinct().estimate() == 0.0


def test_other_encodings_never_reach_the_native_parser() -> None:
    dense, small = hll_bytes(range(500)), hll_bytes(range(3))
    hostile = [b"", b"\xff" * 60, dense[:-1], dense + b"\0", small + b"\0\0\0\0"]
    hostile += [bytes([dense[i] ^ 1 if i == j else dense[i] for i in range(104)]) for j in range(8)]
    hostile += [small[:6] + b"\x04" + small[7:]]
    for data in hostile:
        with pytest.raises(BadMessage):
            check_hll(data)


def test_lying_registers_crash_nothing() -> None:
    union = Distinct()
    dense = hll_bytes(range(500))
    for fill in (0, 1, 63, 255):
        try:
            union.add(dense[:8] + bytes([fill]) * 96)
        except BadMessage:
            continue
    union.add(dense)
    assert union.estimate() >= 0


def test_coupons_that_the_parser_refuses_are_a_bad_message() -> None:
    small = hll_bytes(range(3))
    union = Distinct()
    with pytest.raises(BadMessage):
        union.add(small[:-4])
    assert union.pack() == b""
