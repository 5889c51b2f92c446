"""When a window counts against its arm."""

from __future__ import annotations

import pytest

from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments import outcomes
from gateway.core.internal import WindowSeen

PLAN = ExperimentPlan("e1", "a@2", "a@1", "shadow", errors=0.25, latency_ms_max=20.0, apart=0.5)


@pytest.mark.parametrize(
    ("window", "bad"),
    [
        ((4, 0, 5_000, ()), False),
        ((4, 1, 5_000, ()), False),
        ((4, 2, 5_000, ()), True),
        ((4, 0, 20_000, ()), False),
        ((4, 0, 20_001, ()), True),
        ((4, 0, 5_000, (4, 2, 0, 0)), False),
        ((4, 0, 5_000, (4, 3, 0, 0)), True),
    ],
)
def test_a_window_is_bad_over_any_bound(window, bad):
    assert outcomes.is_bad(PLAN, WindowSeen(b"12345678", *window)) is bad


def test_pairs_say_who_failed_more_frames_alone():
    def alone(*shadow):
        return outcomes.who_failed_alone(WindowSeen(b"12345678", 4, 0, 0, shadow))

    assert alone(4, 3, 2, 1) == (True, False)
    assert alone(4, 3, 1, 2) == (False, True)
    assert alone(4, 2, 1, 1) == (False, False)
    assert alone() == (False, False)
