"""Whatever the counts, they survive their bytes; whatever the bytes, nothing but `BadMessage` comes of them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.sketches import divergence, histogram
from devicesdk.sketches.cardinality import Distinct, hll_bytes
from devicesdk.sketches.quantile import K_DEVICE, kll_bytes, kll_values
from devicesdk.wire.errors import BadMessage

QUICK = settings(derandomize=True, max_examples=150, deadline=None, database=None)
COUNTS = st.one_of(st.integers(0, 127), st.integers(0, 20_000), st.integers(0, histogram.COUNT_MAX))


@QUICK
@given(st.lists(COUNTS, max_size=140))
def test_counts_survive_their_bytes(counts):
    packed = histogram.pack(counts)
    assert histogram.unpack(packed, len(counts)) == counts
    assert histogram.well_formed(packed, len(counts))


@QUICK
@given(st.lists(st.lists(COUNTS, min_size=5, max_size=5), max_size=12))
def test_many_rows_are_what_each_row_is(rows):
    unpacked = histogram.unpack_many([histogram.pack(row) for row in rows], 5)
    assert unpacked.tolist() == rows


@QUICK
@given(st.binary(max_size=24), st.integers(0, 24))
def test_bytes_are_the_only_spelling_of_counts_or_refused(data, bins):
    try:
        counts = histogram.unpack(data, bins)
    except BadMessage:
        assert not histogram.well_formed(data, bins)
        return
    assert len(counts) == bins
    assert histogram.pack(counts) == data


@QUICK
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=K_DEVICE + 2))
def test_exact_sketches_survive_their_bytes(values):
    data = kll_bytes(values)
    if 0 < len(values) <= K_DEVICE:
        assert kll_values(data) == tuple(sorted(values))
        assert kll_bytes(values[::-1]) == data
    else:
        assert data == b""


@QUICK
@given(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=6),
    st.data(),
)
def test_damaged_sketches_are_refused(values, data):
    good = kll_bytes([v for v in values if abs(v) < 1e30] or [0.0])
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    try:
        found = kll_values(bad)
    except BadMessage:
        return
    assert kll_bytes(found) == bad, "believed only if it is what we would have written"


@QUICK
@given(st.lists(st.lists(st.integers(0, 2**63 - 1), max_size=60), max_size=5))
def test_distinct_counts_do_not_depend_on_order_or_repetition(parts):
    one, other = Distinct(), Distinct()
    for part in parts:
        if part:
            one.add(hll_bytes(part))
            one.add(hll_bytes(part[::-1]))
    for part in parts[::-1]:
        if part:
            other.add(hll_bytes(part))
    assert one.estimate() == other.estimate()


@QUICK
@given(
    st.lists(st.lists(st.integers(0, 500), min_size=10, max_size=10), min_size=1, max_size=6),
    st.lists(st.floats(0, 1), min_size=10, max_size=10),
    st.floats(1, 1e6),
    st.floats(1, 50),
    st.booleans(),
)
def test_a_comparison_is_always_a_probability(devices, baseline, samples, alike, together):
    if math.fsum(baseline) <= 0:
        return
    rows = np.array(devices, np.int64)
    sizes = rows.sum(axis=1)
    products = None
    if together:
        squares = int((sizes * sizes).sum())
        products = divergence.Products(len(rows), squares, sizes @ rows, rows.T @ rows)
    counts = rows.sum(axis=0).tolist()
    found = divergence.compare(counts, baseline, samples, products, alike)
    assert 0 <= found.p <= 1
    assert found.statistic >= 0
    assert 0 <= found.freedom < 10


@QUICK
@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0.001, 0.5))
def test_discoveries_are_the_smallest_p_values(p_values, q):
    called = divergence.discoveries(p_values, q)
    inside = [p for p, c in zip(p_values, called, strict=True) if c]
    outside = [p for p, c in zip(p_values, called, strict=True) if not c]
    assert not inside or not outside or max(inside) <= min(outside)
    bound = q * len(inside) / max(1, len(p_values))
    assert all(p <= bound for p in inside)


@QUICK
@given(st.lists(st.binary(max_size=9), min_size=1, max_size=4), st.integers(1, 4))
def test_rows_together_are_refused_exactly_when_one_is(rows, bins):
    good = all(histogram.well_formed(row, bins) for row in rows)
    try:
        unpacked = histogram.unpack_many(rows, bins)
    except BadMessage:
        assert not good
        return
    assert good
    assert unpacked.tolist() == [histogram.unpack(row, bins) for row in rows]
