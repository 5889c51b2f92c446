"""Pinned bins."""

import numpy as np
import pytest

from devicesdk.packing.bins import counted, pinned, rising, span_of, unit_for


def test_edges_rise_even_where_a_population_is_constant():
    assert rising(np.arange(100), 4, 1000) == (25, 50, 75)
    assert rising(np.full(50, 7.0), 5, 1000) == (7, 8, 9, 10)
    assert rising(np.full(50, 1000.0), 5, 1000) == (997, 998, 999, 1000)


def test_a_population_fills_its_bins_about_equally():
    g = np.random.Generator(np.random.Philox(key=1))
    features = g.normal(0, 10_000, (4000, 8)).round()
    edges = pinned(g.integers(0, 1001, 4000), g.integers(0, 1001, 4000), features)
    filled = np.bincount(np.searchsorted(edges.features[3], features[:, 3], side="right"))
    assert len(filled) == 10
    assert filled.min() > 300


def test_rows_are_counted_without_errors_and_no_bin_is_empty():
    good, failed = [500, 3, 2, *range(8), 0], [0, 0, 15, *range(8), 1]
    found = counted([good, good, failed])
    assert (found.frames, found.confidence[3], found.entropy[2]) == (2, 3, 3)
    assert sum(found.entropy) == 2 + 16
    assert found.features[7] == (1, 1, 1, 1, 1, 1, 1, 3, 1, 1)
    assert sum(counted([]).confidence) == 20


@pytest.mark.parametrize(
    ("values", "unit"),
    [([0.0, 1.0], -4), ([0.0, 0.02], -6), ([5e5, 7e5], 1), ([3.0, 3.0], -4), ([0.0], 0), ([0, 1e-300], -30)],
)  # fmt: skip
def test_a_unit_makes_some_ten_thousand_of_a_spread(values, unit):
    assert unit_for(np.array(values, dtype=np.float64)) == unit


@pytest.mark.parametrize(
    ("low", "high"), [(-1.5, 2.5), (0.0, 1e-6), (3.0, 3.0), (0.0, 0.0), (-9e8, 9e8)]
)
def test_a_span_holds_both_ends_and_is_never_empty(low, high):
    span = span_of(low, high)
    first, last = span.ends
    assert first <= low + 1e-12 * abs(low)
    assert last >= high - 1e-12 * abs(high)
    assert first < last
