"""Rollout plans by name."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.scenario import ScenarioError, load
from devicesim.scenario.errors import Refusal
from devicesim.scenario.plans import PLANS, fill_in

FILE = """
scenario: lab
fleet: [{group: kiosk, count: 3, profile: rpi4-kiosk, link: fcc-dsl}]
bundles:
  - {id: gauge, version: 1.0.0, path: models/gauge/1.0.0}
  - {id: gauge, version: 1.1.0, path: models/gauge/1.1.0}
rollouts:
  - {id: r1, bundle: gauge@1.1.0, at: 1h, %s}
"""


def rollout(words):
    return load(FILE % words, (), None).rollouts[0]


@pytest.mark.parametrize("name", PLANS)
def test_each_plan_makes_a_rollout_that_ends_with_everybody(name):
    waves = list(rollout(f"plan: {name}").waves)
    assert waves[-1] == 1.0, f"{name} leaves somebody out: {waves}"
    assert waves == sorted(set(waves)), f"{name} has a wave that adds nobody: {waves}"


def test_a_plan_means_what_it_would_mean_spelled_out():
    spelled = "waves: [1%, 5%, 25%, 50%, 100%], soak: 1h, jitter: 10m"
    named, by_hand = rollout("plan: staged"), rollout(spelled)
    assert named.model_copy(update={"plan": None}) == by_hand


def test_what_the_rollout_says_itself_stands():
    made = rollout("plan: canary, soak: 3m")
    assert made.soak_ns == 3 * MINUTE
    assert len(made.waves) == 3, "the rest of the plan is gone"
    assert rollout("plan: cautious").soak_ns == 6 * HOUR


def test_a_plan_nobody_knows_is_refused_with_the_nearest():
    with pytest.raises(ScenarioError) as refused:
        rollout("plan: canaries")
    assert "canary" in str(refused.value)
    assert "plan" in str(refused.value)


def test_what_is_no_name_is_refused():
    with pytest.raises(Refusal, match="the name of a plan"):
        fill_in({"plan": 7})


@pytest.mark.parametrize("value", ["text", {"waves": ["100%"]}, {"plan": None}])
def test_what_names_no_plan_passes_untouched(value):
    assert fill_in(value) is value


def test_filling_in_changes_no_plan_and_not_what_was_handed_in():
    said = {"plan": "canary", "waves": ["100%"]}
    assert fill_in(said)["soak"] == "20m"
    assert said == {"plan": "canary", "waves": ["100%"]}
    assert PLANS["canary"]["waves"] == ("1%", "10%", "100%")
