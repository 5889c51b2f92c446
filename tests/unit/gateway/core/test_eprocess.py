"""The e-process on other counts than a rollout's; its false stops are counted in simulation/test_brakes."""

from __future__ import annotations

import math
from itertools import product

import pytest

from gateway.core import eprocess

P0 = 0.02


def test_rare_failures_are_evidence_that_they_are_rare():
    values = [eprocess.rarer(n, 0, 0.05) for n in range(0, 300, 20)]
    assert values == sorted(values), f"more good outcomes made weaker evidence: {values}"
    assert eprocess.rarer(200, 0, 0.05) > 20
    assert eprocess.rarer(200, 10, 0.05) < 1


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_a_bet_on_rarity_is_fair_where_they_are_just_that_frequent(share):
    mean = share * eprocess.rarer(1, 1, share) + (1 - share) * eprocess.rarer(1, 0, share)
    assert mean == pytest.approx(1.0)


def test_inputs_on_which_both_fail_say_nothing_and_pairs_cancel():
    assert eprocess.paired(0, 0) == 1.0
    assert eprocess.paired(12, 0) > 20 > eprocess.paired(12, 12)
    assert eprocess.paired(0, 12) < 1


def test_two_samples_need_a_difference_in_the_right_direction():
    assert eprocess.two_sample((100, 14), (100, 0)) > 20
    assert eprocess.two_sample((100, 0), (100, 14)) <= 1
    assert eprocess.two_sample((0, 0), (0, 0)) == pytest.approx(1.0)
    assert eprocess.two_sample((50, 1), (50, 1)) < 1


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_the_expected_two_sample_value_of_equal_arms_is_at_most_one(share):
    """Exactly: over all outcomes of 6 windows of each arm."""
    total, each = 0.0, 6
    for bad, of_bad in product(range(each + 1), repeat=2):
        weight = math.comb(each, bad) * math.comb(each, of_bad)
        chance = weight * share ** (bad + of_bad) * (1 - share) ** (2 * each - bad - of_bad)
        total += chance * eprocess.two_sample((each, bad), (each, of_bad))
    assert total <= 1.0 + 1e-12, f"expected value {total} at share {share}"


def test_no_counts_overflow():
    huge = 10**9
    for value in (
        eprocess.e_value(huge, huge, P0),
        eprocess.two_sample((huge, huge), (huge, 0)),
        eprocess.rarer(huge, 0, P0),
    ):
        assert math.isfinite(value), f"{value}"


def test_nothing_tolerated_is_refuted_by_one():
    assert eprocess.e_value(1, 1, 0.0) > 20
    assert eprocess.e_value(100, 0, 0.0) == 1.0
