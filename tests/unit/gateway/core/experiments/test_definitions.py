"""The flag of an experiment, as the evaluator on devices reads it."""

from __future__ import annotations

import json

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments import definitions

PLAN = ExperimentPlan("e1", "a@2", "a@1", "bandit", latency_ms_max=12.5)
CANDIDATE = bytes(range(32))


def arms(share, devices=2_000):
    core = FlagdCore()
    flag = json.loads(definitions.allocation(PLAN, CANDIDATE, share))
    core.set_flags(json.dumps({"flags": {"experiment.e1": flag}}))
    return {
        number
        for number in range(devices)
        if core.resolve_object_value("experiment.e1", {}, EvaluationContext(f"d{number:05}")).value[
            "arm"
        ]
        == "candidate"
    }


def test_a_share_that_grows_only_adds_devices_and_is_about_as_large_as_it_says():
    before = set()
    for share in (0.0, 0.01, 0.02, 0.04, 0.08, 0.5, 1.0):
        now = arms(share)
        assert before <= now, f"at {share} a device lost its arm"
        assert abs(len(now) / 2_000 - share) < 0.03
        before = now
    assert not arms(0.0)
    assert len(arms(1.0)) == 2_000


def test_a_weight_is_never_above_its_share():
    assert [definitions.weight(share) for share in (0.0, 0.00019, 0.01, 0.29, 1.0)] == [
        0, 1, 100, 2_900, 10_000,
    ]  # fmt: skip


def test_the_candidates_variant_says_what_a_device_must_know():
    flag = json.loads(definitions.allocation(PLAN, CANDIDATE, 0.1))
    assert flag["variants"]["candidate"] == {
        "mode": "bandit",
        "bundle": CANDIDATE.hex(),
        "arm": "candidate",
        "errors_permille_max": 50,
        "latency_ms_max": 12.5,
        "apart_permille": 50,
    }


def test_the_end_is_one_variant_for_everybody():
    for mode in ("promote", "stop"):
        flag = json.loads(definitions.ending(mode, CANDIDATE))
        assert flag["variants"] == {mode: {"mode": mode, "bundle": CANDIDATE.hex()}}
        assert flag["defaultVariant"] == mode
        assert "targeting" not in flag
