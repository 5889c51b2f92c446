"""Bounds of the experiments machine; the unit is last in each name."""

from __future__ import annotations

from gateway.core.limits import CoreLimits


class ExperimentLimits(CoreLimits, frozen=True):
    """How many, and whose luck."""

    running_max: int = 16
    """Full: a further experiment is refused. Each telemetry window is looked up once, however many."""
    kept_max: int = 256
    """Experiments that ended and are kept for people; full: the oldest goes."""
    seed: int = 20_240_719
    """Of Thompson sampling's draws; kept the same, a look that is repeated draws the same."""
