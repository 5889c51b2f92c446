"""Intervals: exact where all is alike, right as often as they say, the same every time."""

import math

import numpy as np
import pytest

from devicesim.compare.stats import Interval, over_devices, over_seeds, t_975
from devicesim.entropy import Entropy


def draws(seed, count):
    luck = Entropy(seed).stream("test")
    return [luck.normal() for _ in range(count)]


def test_no_difference_has_no_width():
    (found,) = over_devices(np.zeros((50, 1)), 1)
    assert (found.low, found.high) == (0.0, 0.0)
    assert not found.excludes_zero


def test_one_difference_for_all_is_sure():
    (found,) = over_devices(np.full((50, 1), -3.0), 1)
    assert (found.low, found.high) == (-3.0, -3.0)
    assert found.excludes_zero


def test_the_same_runs_give_the_same_interval():
    table = np.array(draws(4, 300)).reshape(100, 3)
    assert over_devices(table, 7) == over_devices(table, 7)
    assert over_devices(table, 7) != over_devices(table, 8)


def test_a_bootstrap_of_many_is_the_normal_interval():
    values = np.array(draws(9, 4000)).reshape(-1, 1) + 0.5
    (found,) = over_devices(values, 1)
    mean, error = values.mean(), values.std() / math.sqrt(4000)
    assert found.low == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(mean + 1.96 * error, abs=0.1 * error)


def test_pairs_without_a_value_do_not_count():
    table = np.array([[1.0], [np.nan], [1.0], [np.nan]])
    (found,) = over_devices(table, 1)
    assert (found.low, found.high, found.n) == (1.0, 1.0, 2)
    assert over_devices(np.array([[1.0], [np.nan]]), 1) == [None], "one pair is no sample"


def test_intervals_over_seeds_hold_the_truth_nineteen_times_in_twenty():
    missed = 0
    for trial in range(400):
        found = over_seeds([1.0 + value for value in draws(trial, 6)])
        missed += not found.low <= 1.0 <= found.high
    assert 8 <= missed <= 34, f"expected about 20 of 400 to miss, found {missed}"


def test_one_seed_is_no_sample():
    assert over_seeds([1.0]) is None
    assert over_seeds([1.0, math.nan]) is None


def test_students_points_join_their_tail():
    # Abramowitz and Stegun, table 26.10: 2.021 for 40, 1.980 for 120
    assert t_975(40) == pytest.approx(2.021, abs=5e-4)
    assert t_975(120) == pytest.approx(1.980, abs=5e-4)
    assert t_975(31) < t_975(30)


def test_an_interval_that_touches_zero_does_not_exclude_it():
    assert not Interval(0.0, 2.0, "seeds", 3).excludes_zero
    assert Interval(-2.0, -1.0, "seeds", 3).excludes_zero
