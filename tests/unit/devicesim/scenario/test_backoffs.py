"""How a fleet comes back, in a scenario file."""

from __future__ import annotations

import msgspec
import pytest
from pydantic import ValidationError

from devicesdk.agent.backoff_policies import POLICIES, named
from devicesdk.agent.config import BackoffConfig
from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.scenario import ScenarioError, load
from devicesim.scenario.backoffs import Backoff, read_backoff
from devicesim.scenario.errors import Refusal

STABLE = 7 * SECOND
FILE = """
scenario: lab
agent: {backoff: %s}
fleet: [{group: kiosk, count: 3, profile: rpi4-kiosk, link: fcc-dsl, %s}]
bundles: [{id: gauge, version: 1.0.0, path: models/gauge/1.0.0}]
"""


@pytest.mark.parametrize("name", POLICIES)
def test_a_name_alone_is_the_library_out_of_the_box(name):
    made = read_backoff(name)
    assert isinstance(made, Backoff)
    assert made.config(STABLE) == named(name)


def test_keys_beside_a_policy_change_it_and_nothing_else():
    made = Backoff(policy="hivemq", cap="5m").config(STABLE)
    assert made == msgspec.structs.replace(named("hivemq"), cap_ns=5 * MINUTE)


def test_figures_without_a_policy_are_the_agents_own_and_forget_as_it_does():
    made = Backoff(base="2s", jitter="full").config(STABLE)
    expected = BackoffConfig(stable_ns=STABLE, base_ns=2 * SECOND, jitter="full")
    assert made == expected


def test_a_spread_is_told_per_thousand_to_both_sides():
    made = Backoff(jitter="share", spread="25%").config(STABLE)
    assert (made.below_permille, made.above_permille) == (250, 250)


@pytest.mark.parametrize(
    ("words", "story"),
    [
        ({"base": "1m", "cap": "1s"}, "at least base"),
        ({"jitter": "full", "spread": "10%"}, "spread only beside it"),
        ({"attempts": -1}, "attempts"),
        ({"wait": "1s"}, "wait"),
    ],
)
def test_what_makes_no_sense_is_refused(words, story):
    with pytest.raises((Refusal, ValidationError), match=story):
        Backoff.model_validate(words)


@pytest.mark.parametrize("value", [7, "", {"policy": 7}, {"policy": "hivemk"}])
def test_what_names_no_policy_is_refused(value):
    with pytest.raises(Refusal):
        read_backoff(value)


def test_a_misspelt_policy_is_refused_with_the_nearest():
    with pytest.raises(ScenarioError) as refused:
        load(FILE % ("hivemk", "labels: {a: b}"), (), None)
    assert "hivemq" in str(refused.value)


def test_a_group_has_its_own_or_the_fleets():
    scenario = load(FILE % ("hivemq", "backoff: paho-python"), (), None)
    assert scenario.backoff_of(scenario.fleet[0]) == named("paho-python")
    plain = load(FILE % ("hivemq", "labels: {a: b}"), (), None)
    assert plain.backoff_of(plain.fleet[0]) == named("hivemq")
