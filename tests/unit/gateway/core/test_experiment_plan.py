"""Which plans make sense."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core.experiment_plan import ExperimentPlan, refusal

PLAN = ExperimentPlan("e1", "gauge@1.1.0", "gauge@1.0.0", "bandit")


def test_defaults_make_sense_in_every_mode():
    for mode in ("shadow", "interleaved", "bandit"):
        assert not refusal(replace(PLAN, mode=mode))


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""}, {"id": "a/b"}, {"id": "x" * 65}, {"production": "gauge@1.1.0"}, {"share": 0.0},
        {"share": 1.1}, {"tolerated": 0.0}, {"tolerated": 1.0}, {"errors": 1.0}, {"apart": -0.1},
        {"brake": 1.0}, {"evidence": 0.5}, {"freeze": 1.0}, {"freeze": 30.0}, {"look_ns": 1},
        {"latency_ms_max": -1.0}, {"apart_permille": -1},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_words(wrong):
    assert refusal(replace(PLAN, **wrong)).startswith("expected "), wrong
