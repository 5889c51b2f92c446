"""Percentiles: exact while few, within a per cent when many, the maximum always."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesim.live.soak.sketch import EXACT_MAX, RELATIVE_ERROR, Sketch


def exact(values: list[int], share: float) -> int:
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def filled(values: list[int]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def test_nothing_has_no_percentile() -> None:
    assert Sketch().quantile(0.5) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 1.0]))
def test_few_samples_are_exact(values: list[int], share: float) -> None:
    assert filled(values).quantile(share) == exact(values, share)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 0.999])
def test_many_samples_are_within_the_promised_error(share: float) -> None:
    values = [int(1.0007 ** (n * 7919 % 20_000) * 1_000) for n in range(20_000)]
    assert len(values) > EXACT_MAX
    found, true = filled(values).quantile(share), exact(values, share)
    assert found is not None
    assert abs(found - true) <= RELATIVE_ERROR * true + 1, f"{share}: {found} for {true}"


def test_the_maximum_and_zero_survive_the_buckets() -> None:
    sketch = filled([0] * EXACT_MAX + [7, 123_456_789])
    assert sketch.quantile(1.0) == 123_456_789
    assert sketch.quantile(0.5) == 0


def test_a_dumped_sketch_goes_on() -> None:
    sketch = filled(list(range(1, 3_000)))
    other = Sketch.load(sketch.dump())
    other.add(10**9)
    assert (other.count, other.quantile(1.0)) == (3_000, 10**9)
