"""Who a rollout is for, and which plans make no sense."""

from __future__ import annotations

import pytest

from gateway.core.control import planning
from gateway.core.limits import ControlLimits
from gateway.core.stimuli import CreateRollout, GatePlan, RolloutPlan
from tests_kit.gateway_charts import Chart, bundle, digest_of, plan

LIMITS = ControlLimits(waves_max=4)


def test_a_sound_plan_is_not_refused():
    assert planning.refusal(plan(), LIMITS) == ""
    assert planning.refusal(plan(gate=GatePlan(latency_p95_ratio=1.2)), LIMITS) == ""
    assert planning.refusal(plan(gate=GatePlan(failures=1.0)), LIMITS) == "", "no brake is a plan"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"name": ""}, "id of 1"),
        ({"name": "x" * 97}, "id of 1"),
        ({"name": ".."}, "part of an address"),
        ({"name": "."}, "part of an address"),
        ({"waves": ()}, "waves"),
        ({"waves": (0.1, 0.2, 0.3, 0.4, 1.0)}, "1 to 4 waves"),
        ({"waves": (0.5, 0.5, 1.0)}, "rising"),
        ({"waves": (0.0, 1.0)}, "rising"),
        ({"waves": (0.5, 1.1)}, "rising"),
        ({"gate": GatePlan(failures=1.1)}, "gate"),
        ({"gate": GatePlan(evidence=1.0)}, "gate"),
        ({"gate": GatePlan(quorum=0.0)}, "gate"),
        ({"gate": GatePlan(latency_p95_ratio=0.0)}, "ratio"),
        ({"gate": GatePlan(drain_ratio=0.0)}, "drain ratio"),
        ({"soak_ns": -1}, "durations"),
        ({"wave_timeout_ns": 0}, "durations"),
        ({"jitter_ms": -1}, "durations"),
        ({"expires_ns": -1}, "durations"),
    ],
)
def test_a_plan_without_sense_is_refused(fields, word):
    assert word in planning.refusal(plan(**fields), LIMITS)


@pytest.mark.parametrize(
    ("newer", "older", "covers"),
    [
        ((), (), True),
        ((), (("region", "eu"),), True),
        ((("region", "eu"),), (), False),
        ((("region", "eu"),), (("region", "us"),), False),
    ],
)
def test_which_rollout_replaces_which(newer, older, covers):
    one = RolloutPlan("new", "gauge@2.0.0", selector=newer)
    assert planning.covers(one, RolloutPlan("old", "gauge@1.0.0", selector=older)) is covers
    assert not planning.covers(one, RolloutPlan("old", "other@1.0.0", selector=older))


def test_the_canary_spans_strata_and_is_drawn_anew():
    """hawkBit 1086: the canary was filled in creation order."""
    chart = Chart.with_fleet(0)
    for number in range(300):
        labels = {"region": ("eu", "us", "ap")[number % 3], "hardware": ("pi", "x")[number % 2]}
        chart.enroll(f"d{number:03}", labels)
    canaries = []
    for number in range(3):
        name = f"gauge@2.{number}.0"
        chart >> bundle(name) >> CreateRollout(plan(f"r{number}", name, waves=(0.03, 1.0)))
        canaries.append(frozenset(chart.wants()))
    assert [len(canary) for canary in canaries] == [9, 9, 9]
    for canary in canaries:
        strata = {
            (chart.twin(d).labels["region"], chart.twin(d).labels["hardware"]) for d in canary
        }
        assert len(strata) == 6, f"the canary spans {strata}"
    assert len(set(canaries)) == 3
    assert not any(canary == {f"d{n:03}" for n in range(9)} for canary in canaries)


def test_the_baseline_is_what_most_members_run():
    chart = Chart.with_fleet(3)
    chart >> bundle("gauge@1.0.5")
    chart.commit("d000", "gauge@1.0.5", generation=0)
    chart >> CreateRollout(plan())
    rollout = chart.machine._control._members.by_name["r1"]
    assert rollout.row.baseline == digest_of("gauge@1.0.0")
    nothing = Chart() >> bundle()
    nothing.enroll("d1")
    nothing >> CreateRollout(plan())
    assert nothing.machine._control._members.by_name["r1"].row.baseline == b""
