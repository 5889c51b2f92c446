"""What of the core's own state may be an alarm: halted rollouts, drift, devices that are away, a full outbox.

Decides whom each kind of alarm concerns, and how bad things are. Leaves out when it is raised (gateway/core/alarms), and
what the core cannot see: files, disks, the audit log (gateway/runtime/probes.py).

Rules: looking changes nothing; a halted rollout is somebody's business until it is retried or aborted, or a newer one
with the same selector was created, or a week has passed; a device that was never online is not missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rules import DRIFT, OFFLINE, OUTBOX, ROLLOUT_HALTED
from gateway.core.collect.collect import Collect
from gateway.core.control.control import Control
from gateway.core.rows import Phase, RolloutRow
from gateway.core.stimuli import Reading

FLEET: Final = "fleet"
BAD: Final = 1
WORSE: Final = 2
_WORDS: Final = {
    "data": (BAD, "what is read has changed"),
    "sensor": (BAD, "single devices see something else"),
    "hardware": (WORSE, "the machine computes wrongly"),
    "both": (WORSE, "the machine and what is read have changed"),
}


def conditions(
    control: Control, collect: Collect, limits: AlarmLimits, at: int
) -> dict[str, list[Reading]]:
    """Readings by kind, as things are at `at` (UTC, ns)."""
    rows = control.outbox_rows
    return {
        ROLLOUT_HALTED: halted(control.rollout_rows(), at - limits.halted_ns_max),
        DRIFT: drifting(collect.verdicts()),
        OFFLINE: offline(*control.presences(), limits.offline_devices_min),
        OUTBOX: [Reading("outbox", rows)],
    }


def halted(rollouts: Iterable[RolloutRow], since: int) -> list[Reading]:
    """Rollouts that stopped by themselves after `since` (UTC, ns)."""
    known = [row for row in rollouts if not row.plan.initial and not row.plan.stage]
    newest: dict[tuple[tuple[str, str], ...], int] = {}
    for row in known:
        selector = row.plan.selector
        newest[selector] = max(newest.get(selector, 0), row.ordinal)
    return [
        Reading(row.plan.id, BAD, row.why)
        for row in known
        if row.phase is Phase.HALTED
        and row.ordinal >= newest[row.plan.selector]
        and max((wave.closed_ns for wave in row.waves), default=0) > since
    ]


def drifting(verdicts: Iterable[tuple[str, str]]) -> list[Reading]:
    """Cohorts with a verdict."""
    return [Reading(name, *_WORDS[verdict]) for name, verdict in verdicts if verdict in _WORDS]


def offline(known: int, online: int, devices_min: int) -> list[Reading]:
    """The share of devices that were online once and are not, percent."""
    if known < max(devices_min, 1):
        return []
    away = known - online
    return [Reading(FLEET, 100 * away // known, f"{away} of {known} devices")]
