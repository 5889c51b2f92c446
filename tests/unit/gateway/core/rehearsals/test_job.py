"""The two documents of a rehearsal, and when a plan is the same plan."""

from __future__ import annotations

import msgspec
import pytest

from devicesdk.wire.messages import UpdatePolicy
from gateway.core.control.shape import Shape
from gateway.core.pace import Budget, Pace, read_windows
from gateway.core.rehearsals.job import (
    HELD,
    LINE_CHARS_MAX,
    VERDICT_BYTES_MAX,
    Job,
    Named,
    Step,
    Verdict,
    cut,
    plan_digest,
    read_job,
    read_step,
)
from gateway.core.stimuli import GatePlan, RolloutPlan

PLAN = RolloutPlan(
    "r", "gauge@1.1.0",
    pace=Pace(windows=read_windows(("Mon-Fri 01:00-05:00",)), budgets=(Budget("site", share=0.1),)),
)  # fmt: skip


def test_a_job_is_read_as_it_was_written():
    job = Job(
        number=3, plan=PLAN, candidate=Named("gauge@1.1.0", "ab" * 32), shape=Shape(0, 0, 1, ()),
        blobs="/b", folder="/f",
    )  # fmt: skip
    assert read_job(msgspec.json.encode(job)) == job
    for wrong in (b"", b"[]", b'{"number":1}', msgspec.json.encode(job).replace(b"abab", b"ABAB")):
        with pytest.raises(ValueError, match="expected a job"):
            read_job(wrong)


def test_a_step_is_read_and_anything_else_is_refused():
    step = Step(share=0.5, doing="seed 1", verdict=Verdict(outcome=HELD, why="held in 1 run"))
    assert read_step(msgspec.json.encode(step)) == step
    long = b'{"doing":"%s"}' % (b"x" * (LINE_CHARS_MAX + 1))
    for wrong in (
        b"hello",
        b'{"share":2}',
        long,
        b'{"verdict":{"outcome":"fine","why":""}}',
        b"\xff",
    ):
        with pytest.raises(ValueError, match="expected how far"):
            read_step(wrong)
    with pytest.raises(ValueError, match="at most"):
        read_step(b" " * (VERDICT_BYTES_MAX + 1))


def test_any_difference_makes_another_plan():
    same = msgspec.json.decode(msgspec.json.encode(PLAN), type=RolloutPlan)
    assert plan_digest(same) == plan_digest(PLAN)
    policy = UpdatePolicy(trial_ms=int("60000"))
    assert policy == PLAN.policy, "said, and yet the default"
    assert plan_digest(msgspec.structs.replace(PLAN, policy=policy)) == plan_digest(PLAN)
    others = [
        msgspec.structs.replace(PLAN, **more)
        for more in ({"id": "s"}, {"soak_ns": 1}, {"gate": GatePlan(evidence=21.0)}, {"pace": None})
    ]
    assert len({plan_digest(other) for other in (PLAN, *others)}) == 5


def test_a_line_is_cut_to_what_fits():
    assert cut("a\n  b") == "a b"
    assert len(cut("x" * 10_000)) == LINE_CHARS_MAX
