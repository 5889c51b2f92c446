"""What an experiment is asked to be, and why a plan may be refused.

Decides the fields of a plan, their defaults and their bounds. Leaves out what happens to it
(experiments.py).
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from devicesdk.wire.messages import UpdatePolicy

Mode = Literal["shadow", "interleaved", "bandit"]
LOOK_NS_MIN: Final = 10**9
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ExperimentPlan(msgspec.Struct, frozen=True):
    """A candidate beside production."""

    id: str
    """Also the id of the rollout that stages the candidate, and of the flag ``experiment.<id>``."""
    bundle: str
    """The candidate, ``id@semver``."""
    production: str
    """What it is compared with, ``id@semver``."""
    mode: Mode
    segment: str = "all"
    """Whose flags carry the allocation."""
    selector: tuple[tuple[str, str], ...] = ()
    """Labels a device must carry to get the candidate staged, all of them."""
    share: float = 1.0
    """Share of devices that take part; for a bandit, where the exposure cap ends."""
    tolerated: float = 0.02
    """Share of the candidate's windows that may be bad."""
    brake: float = 20.0
    """E-value that stops the experiment."""
    freeze: float = 2.0
    """E-value that keeps the allocation from growing."""
    evidence: float = 20.0
    """E-value of "bad less often than tolerated" that promotes."""
    promote: Literal["evidence", "manual"] = "evidence"
    errors: float = 0.05
    """More frames in error than this share make a window bad, and a device fall back."""
    latency_ms_max: float = 0.0
    """A p95 latency above this makes a window bad, and a device fall back; 0: not judged."""
    apart_permille: int = 50
    """Readings of shadow and production that are further apart disagree."""
    apart: float = 0.05
    """More disagreements than this share of frames make a shadow's window bad."""
    look_ns: int = 15 * 60 * 10**9
    """Between two looks at the arms."""
    waves: tuple[float, ...] = (1.0,)
    """In which the candidate is staged."""
    soak_ns: int = 60 * 10**9
    staging_failures: float = 0.02
    """Devices that may fail to stage it; see `GatePlan.failures`."""
    jitter_ms: int = 60_000
    policy: UpdatePolicy = UpdatePolicy()


def refusal(plan: ExperimentPlan) -> str:
    """Why a plan makes no sense; empty when it does."""
    if not _ID.fullmatch(plan.id):
        return f"expected an id of 1 to 64 letters, digits and . _ -, found {plan.id!r}"
    if plan.bundle == plan.production:
        return f"expected a candidate that is not production, found {plan.bundle} twice"
    shares = {"share": plan.share, "tolerated": plan.tolerated}
    for name, value in shares.items():
        if not 0.0 < value <= 1.0:
            return f"expected {name} in (0, 1], found {value}"
    if plan.tolerated >= 1.0 or not 0.0 <= plan.errors < 1.0 or not 0.0 <= plan.apart < 1.0:
        return "expected tolerated, errors and apart below 1"
    if not (plan.brake > 1.0 and plan.evidence > 1.0 and 1.0 < plan.freeze <= plan.brake):
        return "expected brake and evidence above 1, and freeze above 1 and not above brake"
    if plan.look_ns < LOOK_NS_MIN or plan.latency_ms_max < 0.0 or plan.apart_permille < 0:
        return "expected a look every second at most, and bounds that are not negative"
    return ""
