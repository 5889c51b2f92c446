from __future__ import annotations

import math

import pytest

from devicesdk.sketches.quantile import K_DEVICE, Quantiles, kll_bytes, kll_values
from devicesdk.wire.errors import BadMessage


def test_the_bytes_do_not_depend_on_the_order() -> None:
    values = [float(i * 37 % K_DEVICE) for i in range(K_DEVICE)]
    assert kll_bytes(values) == kll_bytes(values[::-1]) != b""
    assert kll_values(kll_bytes(values)) == tuple(sorted(values))
    assert kll_values(kll_bytes([0.5])) == (0.5,)


@pytest.mark.parametrize("values", [[], [1.0] * (K_DEVICE + 1), [math.nan], [1.0, math.inf]])
def test_no_sketch_travels_that_is_not_exact(values: list[float]) -> None:
    assert kll_bytes(values) == b""


def test_foreign_bytes_are_refused_before_the_native_parser_sees_them() -> None:
    good = kll_bytes([1.0, 2.0, 3.0])
    broken = [good[:i] + bytes([good[i] ^ 0x41]) + good[i + 1 :] for i in range(len(good) - 12)]
    for data in (b"", b"x" * 12, b"\xff" * 300, good[:-1], good + b"\0", *broken):
        with pytest.raises(BadMessage):
            kll_values(data)


def test_merged_sketches_answer_within_their_error_bound() -> None:
    left, right = Quantiles(), Quantiles()
    left.add(float(i) for i in range(0, 10_000, 2))
    right.add(float(i) for i in range(1, 10_000, 2))
    left.merge(right)
    assert left.count == 10_000
    for share in (0.05, 0.5, 0.95):
        assert abs(left.quantile(share) / 10_000 - share) < 2 * left.rank_error
        assert abs(left.rank(10_000 * share) - share) < 2 * left.rank_error


def test_of_nothing_nothing_is_known() -> None:
    empty = Quantiles()
    assert math.isnan(empty.quantile(0.5))
    assert math.isnan(empty.rank(1.0))
