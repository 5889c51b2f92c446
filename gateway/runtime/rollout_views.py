"""Rollouts as people are told of them: instants in UTC, and pages.

Decides names and the order of pages. Leaves out what a rollout does (gateway/core/control).

Rules: rollouts are never removed, so a page ends at a place counted from the oldest, which stays the same when newer
ones come.
"""

from __future__ import annotations

from typing import Any

import msgspec

from devicesdk.wire.timebase import SECOND
from gateway.core.control.views import RolloutView, WaveCounts, WaveView
from gateway.core.gateway import Gateway
from gateway.core.pace import Pace
from gateway.runtime.verbs import PageRollouts, VerbError

MS_NS = 1_000_000


class WaveTold(WaveCounts, frozen=True):
    """One wave: counts of devices. Instants are UTC, ms; 0: not yet."""

    opened_ms: int
    closed_ms: int


class PlanTold(msgspec.Struct, frozen=True):
    """What was asked for, as far as people decide by it."""

    waves: tuple[float, ...]
    """Shares of the fleet, cumulative."""
    selector: dict[str, str]
    soak_s: float
    failures: float
    """Tolerated share of failures."""
    evidence: float
    """Halts past it."""
    quorum: float
    on_halt: str
    starts_ms: int = 0
    """Nothing before this instant, UTC; 0: at once."""
    windows: tuple[str, ...] = ()
    """Maintenance windows on each device's own clock; none: always."""
    zone: str = ""
    """Of devices whose labels name none; empty: nothing depends on it."""
    budgets: dict[str, str] = {}
    """Of each value of a label, how many may be updating or offline at once: ``2``, or ``10%``."""
    approvals: tuple[int, ...] = ()
    """Waves, counted from 0, that open only when somebody approves."""
    late_per_hour: int = 0
    """Devices that join late: so many an hour; 0: at once."""
    late_after_gate: bool = False
    """They wait until the last wave has passed its gate."""
    expires_s: float = 0.0
    """How long after its wave opened a device may still begin; 0: for ever."""


class RolloutTold(msgspec.Struct, frozen=True):
    """One rollout with its waves."""

    id: str
    bundle: str
    state: str
    why: str
    waves: list[WaveTold]
    plan: PlanTold
    approval: int | None = None
    """The wave that waits for somebody's approval."""
    late: int = 0
    """Devices that came late and wait."""


class RolloutsPage(msgspec.Struct, frozen=True):
    """Rollouts in the order of their creation, or against it; `next` is a position."""

    rollouts: list[RolloutTold]
    next: int | None


def rollouts_of(core: Gateway) -> list[RolloutTold]:
    """All rollouts, the oldest first."""
    return [_rollout(core, view) for view in core.rollout_views()]


def rollout_of(core: Gateway, name: str) -> RolloutTold | None:
    """One rollout; None where there is none."""
    found = (view for view in core.rollout_views() if view.id == name)
    return next((_rollout(core, view) for view in found), None)


def _rollout(core: Gateway, view: RolloutView) -> RolloutTold:
    waves = [_wave(wave, core.control.offset_ns) for wave in view.waves]
    plan = core.control.plan_of(view.id)
    told = PlanTold(
        plan.waves,
        dict(plan.selector),
        plan.soak_ns / SECOND,
        plan.gate.failures,
        plan.gate.evidence,
        plan.gate.quorum,
        plan.on_halt,
        expires_s=plan.expires_ns / SECOND,
        **({} if plan.pace is None else _paced(plan.pace)),
    )
    return RolloutTold(
        view.id, view.bundle, view.state, view.why, waves, told, view.approval, view.late
    )


def _paced(pace: Pace) -> dict[str, Any]:
    """What a plan says of when, and of how many at once."""
    return {
        "starts_ms": to_ms(pace.start_at_ns),
        "windows": tuple(map(str, pace.windows)),
        "zone": pace.zone if pace.windows else "",
        "budgets": {one.label: str(one.count or f"{100 * one.share:g}%") for one in pace.budgets},
        "approvals": pace.approvals,
        "late_per_hour": pace.late_per_hour,
        "late_after_gate": pace.late_after_gate,
    }


def _wave(view: WaveView, offset_ns: int) -> WaveTold:
    same = {name: getattr(view, name) for name in WaveCounts.__struct_fields__}
    closed = view.closed_at_ns
    return WaveTold(
        **same,
        opened_ms=to_ms(view.opened_at_ns + offset_ns),
        closed_ms=0 if closed is None else to_ms(closed + offset_ns),
    )


def rollouts_page(core: Gateway, verb: PageRollouts) -> RolloutsPage:
    """A page of rollouts."""
    views = core.rollout_views()
    if verb.newest:
        views.reverse()
    first = verb.after if not verb.newest else max(0, len(views) - verb.after) if verb.after else 0
    page = views[first : first + verb.limit]
    end = first + len(page)
    # A place counted from the oldest stays the same when there are newer ones.
    place = end if not verb.newest else len(views) - end
    more = end < len(views)
    return RolloutsPage([_rollout(core, view) for view in page], place if more else None)


def rollout_shown(core: Gateway, name: str) -> RolloutTold:
    """One rollout.

    Raises:
        VerbError: ``unknown``.
    """
    found = rollout_of(core, name)
    if found is None:
        raise VerbError("unknown", f"expected the id of a rollout, found {name!r}")
    return found


def to_ms(at_ns: int) -> int:
    """Whole milliseconds."""
    return at_ns // MS_NS
