"""Who a rollout is for, in which order, and whether a plan makes sense.

Decides membership at the moment it is asked. Leaves out when (rollouts.py) and the order's own rules
(strata.py).

Rules: a member is enrolled, carries all labels of the selector, fits a variant of the bundle, has not
got the bundle in quarantine and does not belong to a newer rollout. A member is *taken* when it was
offered since the start or the last retry, or has committed: taken ones fill the cap.
"""

from __future__ import annotations

import itertools
from collections import deque

from gateway.core import names
from gateway.core.control import strata
from gateway.core.control.members import Members, Rollout
from gateway.core.control.twins import Twin, Twins
from gateway.core.limits import ControlLimits
from gateway.core.rows import Outcome, Purpose
from gateway.core.stimuli import RolloutPlan

_ID_CHARS_MAX = 96
_HAVE_IT = (Outcome.COMMITTED, Outcome.STAGED)


def refusal(plan: RolloutPlan, limits: ControlLimits) -> str:
    """Why a plan cannot be run; empty when it can."""
    gate, waves = plan.gate, plan.waves
    if not 0 < len(plan.id) <= _ID_CHARS_MAX:
        return f"expected an id of 1 to {_ID_CHARS_MAX} characters, found {len(plan.id)}"
    if unaskable := names.refusal(plan.id):
        return unaskable
    if not 0 < len(waves) <= limits.waves_max:
        return f"expected 1 to {limits.waves_max} waves, found {len(waves)}"
    if any(b <= a for a, b in itertools.pairwise((0.0, *waves))) or waves[-1] > 1:
        return f"expected rising shares above 0 and up to 1, found {waves}"
    if not (0 <= gate.failures <= 1 and gate.evidence > 1 and 0 < gate.quorum <= 1):
        return (
            "expected a gate with failures in [0, 1], evidence above 1 and quorum in (0, 1], found "
            f"{gate.failures}, {gate.evidence}, {gate.quorum}"
        )
    if gate.latency_p95_ratio is not None and gate.latency_p95_ratio <= 0:
        return f"expected a latency ratio above 0, found {gate.latency_p95_ratio}"
    if gate.drain_ratio is not None and gate.drain_ratio <= 0:
        return f"expected a drain ratio above 0, found {gate.drain_ratio}"
    if min(plan.soak_ns, plan.jitter_ms, plan.expires_ns) < 0 or plan.wave_timeout_ns <= 0:
        return "expected durations that are not negative and a wave timeout above 0"
    return ""


def covers(newer: RolloutPlan, older: RolloutPlan) -> bool:
    """Whether everybody the older plan is for is also meant by the newer, for the same bundle id."""
    same_bundle = newer.bundle.partition("@")[0] == older.bundle.partition("@")[0]
    return same_bundle and set(newer.selector) <= set(older.selector)


def selects(plan: RolloutPlan, twin: Twin) -> bool:
    """Whether an enrolled device carries all labels that the plan asks for."""
    labels = twin.device.labels
    return twin.device.enrolled and all(labels.get(key) == value for key, value in plan.selector)


class Population:
    """Looks up the members of rollouts."""

    __slots__ = ("_members", "_twins")

    def __init__(self, twins: Twins, members: Members) -> None:
        self._twins = twins
        self._members = members

    def taken(self, rollout: Rollout, twin: Twin) -> bool:
        """Whether a device fills a place of the cap already."""
        desired, row = twin.desired, rollout.row
        if desired is None or desired.rollout != rollout.name:
            return False
        if desired.purpose is not Purpose.UPDATE:
            return False
        open_still = desired.outcome is Outcome.OPEN and not desired.hold
        return desired.wave >= row.first_wave or open_still or desired.outcome in _HAVE_IT

    def candidate(self, rollout: Rollout, twin: Twin) -> bool:
        """Whether a device may be offered now."""
        row, desired = rollout.row, twin.desired
        if rollout.bundle is None or not selects(row.plan, twin) or self.taken(rollout, twin):
            return False
        if row.manifest in twin.device.quarantine:
            return False
        if desired is not None and desired.rollout != rollout.name:
            other = self._members.by_name.get(desired.rollout)
            if other is not None and other.row.ordinal > row.ordinal:
                return False
        return self._twins.fits(twin, rollout.bundle.manifest)

    def order(self, rollout: Rollout) -> tuple[int, list[str]]:
        """How many are taken, and all candidates in the order in which they shall be offered."""
        taken, everyone, stratum = 0, [], self._twins.stratum
        waiting: dict[str, None] = {}
        for name, twin in self._twins.by_name.items():
            if self.taken(rollout, twin):
                taken += 1
            elif self.candidate(rollout, twin):
                waiting[name] = None
            else:
                continue
            everyone.append((name, stratum(twin)))
        ranked = strata.stratified(rollout.name, everyone)
        return taken, [name for name in ranked if name in waiting]

    def exists(self, rollout: Rollout) -> bool:
        """Whether there is anybody to offer to."""
        candidate = self.candidate
        return any(candidate(rollout, twin) for twin in self._twins.by_name.values())

    def baseline(self, rollout: Rollout) -> bytes:
        """The digest that most candidates would go back to; empty when nobody knows one."""
        counts: dict[bytes, int] = {}
        for twin in self._twins.by_name.values():
            if self.candidate(rollout, twin):
                previous, _ = twin.previous_for(rollout.row.manifest)
                if previous:
                    counts[previous] = counts.get(previous, 0) + 1
        return max(counts, key=lambda digest: (counts[digest], digest), default=b"")

    def of(self, rollout: Rollout) -> deque[str]:
        """The devices whose newest want is this rollout's update."""
        return deque(
            name
            for name, twin in self._twins.by_name.items()
            if twin.desired is not None
            and twin.desired.rollout == rollout.name
            and twin.desired.purpose is Purpose.UPDATE
        )
