"""An experiment's candidate on its way to the inactive slots: a rollout that stages only.

Decides the rollout's plan, and why an experiment cannot begin. Leaves out the experiment itself
(gateway/core/experiments) and how a rollout runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.core import experiment_plan as plans
from gateway.core.control.members import Rollout
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.stimuli import GatePlan, RolloutPlan


def refusal(plan: ExperimentPlan, bundles: Collection[str], rollouts: Mapping[str, Rollout]) -> str:
    """Why it cannot begin; empty when it can, or when the same has begun already."""
    why = plans.refusal(plan)
    if why:
        return why
    for name in (plan.bundle, plan.production):
        if name not in bundles:
            return f"expected a bundle that is registered, found {name}: publish it first"
    known = rollouts.get(plan.id)
    if known is not None and known.plan != staging(plan):
        return "a rollout or an experiment has this id already; choose a new id"
    return ""


def staging(plan: ExperimentPlan) -> RolloutPlan:
    """The rollout that brings the candidate beside production."""
    return RolloutPlan(
        id=plan.id,
        bundle=plan.bundle,
        waves=plan.waves,
        soak_ns=plan.soak_ns,
        gate=GatePlan(failures=plan.staging_failures),
        selector=plan.selector,
        jitter_ms=plan.jitter_ms,
        policy=plan.policy,
        on_halt="hold",
        stage=True,
    )
