"""The discrete Laplace mechanism: its distribution, exactly as named, out of integers alone."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from devicesdk.agent.dice import Dice
from devicesdk.sketches.laplace import (
    SENSITIVITY,
    discrete_laplace,
    noisy,
    offset_of,
    variance_of,
)


@pytest.mark.parametrize(("top", "bottom"), [(1, 1), (3, 1), (5, 2)])
def test_the_distribution_is_discrete_laplace(top, bottom):
    below, draws = Dice(11, 1).below, 20_000
    found = Counter(discrete_laplace(top, bottom, below) for _ in range(draws))
    alpha = math.exp(-bottom / top)
    for value in range(-4, 5):
        expected = draws * (1 - alpha) / (1 + alpha) * alpha ** abs(value)
        assert abs(found[value] - expected) < 5 * math.sqrt(expected) + 1, value


def test_half_of_epsilon_is_twice_the_noise():
    assert offset_of(500) == 2 * offset_of(1000) == 2 * 16 * SENSITIVITY
    below = Dice(3, 1).below
    drawn = [count - offset_of(1000) for count in noisy([0] * 4_000, 1000, below)]
    spread = sum(value * value for value in drawn) / len(drawn)
    assert spread == pytest.approx(variance_of(1000), rel=0.15)


def test_counts_stay_on_the_wire_side_of_zero():
    assert min(noisy([0] * 2_000, 1000, Dice(5, 1).below)) >= 0


@pytest.mark.parametrize("epsilon", [0, 9, 100_001])
def test_an_epsilon_that_cannot_be_meant_is_refused(epsilon):
    with pytest.raises(ValueError, match="1000 is 1"):
        noisy([1], epsilon, Dice(1, 1).below)
