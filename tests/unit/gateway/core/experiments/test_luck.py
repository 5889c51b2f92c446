"""Draws of an experiment: the same for the same place, of the right shape."""

from __future__ import annotations

import pytest

from gateway.core.experiments.luck import Luck


def test_the_same_place_gives_the_same_draws_and_another_gives_others():
    first = [Luck(7, "e1", 3).beta(2, 5) for _ in range(2)]
    assert first[0] == first[1]
    others = {Luck(7, "e1", 4).beta(2, 5), Luck(7, "e2", 3).beta(2, 5), Luck(8, "e1", 3).beta(2, 5)}
    assert len(others | {first[0]}) == 4, "two streams drew the same"


@pytest.mark.parametrize(("a", "b"), [(0.08, 3.92), (0.5, 0.5), (2.0, 5.0), (40.0, 2_000.0)])
def test_beta_has_its_mean_and_variance(a, b):
    luck, draws = Luck(1, "beta", 0), 4_000
    values = [luck.beta(a, b) for _ in range(draws)]
    mean = sum(values) / draws
    variance = sum((value - mean) ** 2 for value in values) / draws
    true = a / (a + b)
    sigma = (true * (1 - true) / (a + b + 1)) ** 0.5
    assert abs(mean - true) < 5 * sigma / draws**0.5, f"mean {mean}, expected {true}"
    assert variance == pytest.approx(sigma**2, rel=0.25)


def test_uniform_stays_inside():
    luck = Luck(1, "u", 0)
    values = [luck.uniform() for _ in range(5_000)]
    assert 0.0 < min(values) < 0.01
    assert 0.99 < max(values) <= 1.0
