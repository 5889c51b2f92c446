"""What an operator says about when and how many, and what the core is told."""

from __future__ import annotations

import msgspec
import pytest

from devicesdk.wire.timebase import SECOND
from gateway.core import stimuli as hear
from gateway.core.access.roles import Permission
from gateway.core.pace import Budget, Pace, read_windows
from gateway.runtime import operator, verbs
from gateway.runtime.permissions import NEEDS

PLAN = {"id": "r1", "bundle": "gauge@1.1.0"}


def verb(name, **words):
    return msgspec.convert({"verb": f"rollout.{name}", **words}, verbs.AnyVerb)


def created(**words):
    return operator._stimulus(verb("create", **PLAN, **words)).plan


def test_a_plan_that_says_nothing_of_it_has_no_pace():
    assert created().pace is None


def test_words_become_a_pace():
    plan = created(
        start_at="2026-03-01T02:00:00Z",
        windows=["Mon-Fri 01:00-05:00"],
        zone="Europe/Berlin",
        budgets={"site": 2, "region": "10%"},
        approvals=[2, 1, 1],
        late_per_hour=20,
        late_after_gate=True,
    )
    assert plan.pace == Pace(
        start_at_ns=1_772_330_400 * SECOND,
        windows=read_windows(("Mon-Fri 01:00-05:00",)),
        zone="Europe/Berlin",
        budgets=(Budget("region", share=0.1), Budget("site", count=2)),
        approvals=(1, 2),
        late_per_hour=20,
        late_after_gate=True,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"windows": ["whenever"]}, "expected a window such as"),
        ({"budgets": {"site": "some"}}, "expected a budget such as 2 or 10%"),
        ({"start_at": "2026-03-01T02:00:00"}, "with its zone"),
    ],
)
def test_other_words_are_refused_with_what_was_expected(words, said):
    with pytest.raises(ValueError, match=said):
        created(**words)


def test_decisions_name_a_wave_and_a_reason():
    assert operator._stimulus(verb("approve", rollout="r1", wave=2, why="seen")) == hear.DecideWave(
        "r1", approved=True, wave=2, why="seen"
    )
    assert operator._stimulus(verb("deny", rollout="r1")) == hear.DecideWave("r1", approved=False)
    steered = operator._stimulus(verb("steer", rollout="r1", how="trigger-next"))
    assert steered == hear.SteerRollout("r1", "trigger-next")


def test_a_dry_run_needs_no_more_than_looking_and_a_decision_needs_to_approve():
    assert NEEDS[verbs.PreviewRollout] is Permission.READ
    assert NEEDS[verbs.ApproveRollout] is NEEDS[verbs.DenyRollout] is Permission.APPROVE
    asked = verb("preview", plan={**PLAN, "windows": ["01:00-05:00"]}, limit=7)
    assert isinstance(asked, verbs.Reading)
    assert asked.plan.windows == ("01:00-05:00",)
