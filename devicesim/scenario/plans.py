"""Rollout plans by name: waves, soak and jitter as people have found them worth having.

Decides what each name stands for. Leaves out what a wave or a gate is (release.py), and the device's own
conditions, which are a rollout's ``policy``.

Rules: a name only fills in what the rollout does not say itself; it never changes its meaning.

    all-at-once  everybody in one wave: what an outage report regrets
    canary       1 %, 10 %, everybody; 20 minutes each (a canary release: D. Sato, "CanaryRelease",
                 martinfowler.com, 25 June 2014)
    doubling     1 %, 2 %, 4 % ... everybody: what is hit doubles, and so does what is known
    staged       1 %, 5 %, 25 %, 50 %, everybody; an hour each, devices spread over ten minutes
    cautious     one in a thousand first; six hours each, a tighter gate, devices spread over half an hour
"""

from __future__ import annotations

from typing import Any, Final

from devicesim.scenario.errors import Refusal, show
from devicesim.scenario.fields import must_be_one_of

PLANS: Final[dict[str, dict[str, Any]]] = {
    "all-at-once": {"waves": ("100%",), "soak": "20m"},
    "canary": {"waves": ("1%", "10%", "100%"), "soak": "20m"},
    "doubling": {
        "waves": ("1%", "2%", "4%", "8%", "16%", "32%", "64%", "100%"), "soak": "20m",
    },
    "staged": {"waves": ("1%", "5%", "25%", "50%", "100%"), "soak": "1h", "jitter": "10m"},
    "cautious": {
        "waves": ("0.1%", "1%", "10%", "50%", "100%"), "soak": "6h", "jitter": "30m",
        "gate": {"failures": "1%"},
    },
}  # fmt: skip


def fill_in(value: object) -> object:
    """Fill a rollout with what its plan says and it does not.

    Raises:
        Refusal: no such plan.
    """
    if not isinstance(value, dict) or value.get("plan") is None:
        return value
    name = value["plan"]
    if not isinstance(name, str):
        raise Refusal("the name of a plan", found=show(name), at=("plan",))
    must_be_one_of(name, PLANS, "a rollout plan", ("plan",))
    return {**PLANS[name], **value}
