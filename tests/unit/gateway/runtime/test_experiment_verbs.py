"""What an operator writes about an experiment, and what the core is told."""

from __future__ import annotations

import msgspec
import pytest

from devicesdk.wire.timebase import MINUTE
from gateway.core import stimuli as hear
from gateway.core.experiment_plan import ExperimentPlan
from gateway.runtime import operator, verbs

WORDS = {
    "verb": "experiment.create", "id": "e1", "bundle": "g@1.1.0", "production": "g@1.0.0",
    "mode": "bandit",
}  # fmt: skip


def told(words):
    return operator._stimulus(msgspec.convert(words, verbs.AnyVerb))


def test_the_defaults_of_the_verb_are_those_of_the_plan():
    assert told(WORDS) == hear.CreateExperiment(
        ExperimentPlan("e1", "g@1.1.0", "g@1.0.0", "bandit")
    )


def test_words_become_units():
    more = {"look": "5m", "jitter": "2m", "soak": "3m", "selector": {"b": "2", "a": "1"}}
    plan = told(WORDS | more).plan
    assert (plan.look_ns, plan.jitter_ms, plan.soak_ns) == (5 * MINUTE, 120_000, 3 * MINUTE)
    assert plan.selector == (("a", "1"), ("b", "2"))


def test_steering():
    for how in ("promote", "stop", "freeze", "thaw"):
        said = {"verb": "experiment.steer", "experiment": "e1", "how": how}
        assert told(said) == hear.SteerExperiment("e1", how)


@pytest.mark.parametrize("wrong", [{"mode": "abtest"}, {"share": 0}, {"shares": 1}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        told(WORDS | wrong)
