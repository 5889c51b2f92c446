"""Whether one telemetry window counts against the arm that it is of.

Decides good or bad, for each window alone: a window is one outcome of the e-process, whatever its number of
frames, because frames of a window are no independent witnesses. Leaves out the sums.
"""

from __future__ import annotations

from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.internal import WindowSeen


def is_bad(plan: ExperimentPlan, seen: WindowSeen) -> bool:
    """Whether the window's safety metrics are over their bounds."""
    if seen.errors > plan.errors * seen.frames:
        return True
    if 0.0 < plan.latency_ms_max * 1000.0 < seen.latency_us:
        return True
    if seen.shadow:
        pairs, apart, _, _ = seen.shadow
        return apart > plan.apart * pairs
    return False


def who_failed_alone(seen: WindowSeen) -> tuple[bool, bool]:
    """Of a shadow's window: whether (the candidate, production) failed more frames alone."""
    if not seen.shadow:
        return False, False
    _, _, candidate, production = seen.shadow
    return candidate > production, production > candidate
