"""The flag of an experiment: what the devices of a segment are told.

Decides the flagd definition of each state. Leaves out when it changes. The weights always add up to
`WEIGHTS` and the candidate's come first, so a share that grows only adds devices, and one that shrinks
gives those back that came last.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.core.experiment_plan import ExperimentPlan

PREFIX: Final = "experiment."
WEIGHTS: Final = 10_000


def weight(share: float) -> int:
    """A share in ten-thousandths, never above it."""
    return min(WEIGHTS, int(share * WEIGHTS + 1e-9))


def allocation(plan: ExperimentPlan, candidate: bytes, share: float) -> str:
    """While the experiment runs: this share of devices has the candidate."""
    ours = {
        "mode": plan.mode,
        "bundle": candidate.hex(),
        "arm": "candidate",
        "errors_permille_max": int(plan.errors * 1000),
        "latency_ms_max": plan.latency_ms_max,
        "apart_permille": plan.apart_permille,
    }
    theirs = {"mode": plan.mode, "bundle": candidate.hex(), "arm": "production"}
    part = weight(share)
    split = {"fractional": [["candidate", part], ["production", WEIGHTS - part]]}
    return _definition({"candidate": ours, "production": theirs}, "production", targeting=split)


def ending(mode: str, candidate: bytes) -> str:
    """At the end: `mode` is ``promote`` or ``stop``."""
    return _definition({mode: {"mode": mode, "bundle": candidate.hex()}}, mode)


def _definition(variants: dict[str, Any], default: str, **more: Any) -> str:
    said = {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}
    return msgspec.json.encode(said).decode()
