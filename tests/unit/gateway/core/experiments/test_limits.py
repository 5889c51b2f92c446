"""Bounds that are reached are said."""

from __future__ import annotations

from gateway.core.experiments.limits import ExperimentLimits


def test_bounds_are_positive_and_the_seed_is_fixed():
    limits = ExperimentLimits()
    assert 0 < limits.running_max <= limits.kept_max
    assert limits.seed == ExperimentLimits().seed
