"""A scenario's rollout as the gateway's pace, the zones of its devices, and the person who approves its waves.

Decides what the words of `devicesim.scenario.pace` become, and when the person answers. Leaves out what the gateway makes
of it.

Rules: a person answers at the named instant, or, when the wave does not wait yet, looks again once a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from devicesdk.wire.timebase import MINUTE
from devicesim.scenario.pace import ZONE_LABEL, Approval
from devicesim.scenario.release import Rollout
from devicesim.scenario.schema import Scenario
from devicesim.world.world import World
from gateway.core import stimuli as hear
from gateway.core.pace import Pace, pace_of

LOOK_EVERY_NS: Final = MINUTE
Tell = Callable[[hear.AnyStimulus, int], None]


def pace_in(rollout: Rollout, start_unix_ns: int) -> Pace | None:
    """The gateway's pace of a rollout; None when it asks for nothing.

    Args:
        rollout: of a scenario.
        start_unix_ns: when its run starts.
    """
    starts_ns = rollout.start_at_ns
    return pace_of(
        Pace(
            start_at_ns=0 if starts_ns is None else start_unix_ns + starts_ns,
            windows=rollout.windows,
            zone=rollout.zone,
            budgets=rollout.budgets,
            approvals=tuple(sorted({approval.wave for approval in rollout.approvals})),
            late_per_hour=rollout.late_per_hour,
            late_after_gate=rollout.late_after_gate,
        )
    )


def zone_of(scenario: Scenario, region: str) -> str | None:
    """The zone of devices of a region that name none, where a rollout has windows; None: nobody asks."""
    place = scenario.regions.get(region)
    if place is None or not any(rollout.windows for rollout in scenario.rollouts):
        return None
    hours, minutes = divmod(round(abs(place.utc_offset_h) * 60), 60)
    return f"UTC{'-' if place.utc_offset_h < 0 else '+'}{hours:02}:{minutes:02}"


def labelled(scenario: Scenario, labels: dict[str, str]) -> dict[str, str]:
    """The label of a device's zone, where somebody asks for it."""
    zone = None if ZONE_LABEL in labels else zone_of(scenario, labels["region"])
    return {} if zone is None else {ZONE_LABEL: zone}


class Approver:
    """The person who approves or denies waves.

    Args:
        world: whose gateway is looked at.
        tell: asks the gateway, again and again while it is away.
    """

    def __init__(self, world: World, tell: Tell) -> None:
        self._world, self._tell = world, tell

    def arm(self) -> None:
        """Put all answers on the clock."""
        for rollout in self._world.scenario.rollouts:
            for approval in rollout.approvals:
                if approval.at_ns is not None:
                    self._world.kernel.at(approval.at_ns, self._answer, (rollout.id, approval))

    def _answer(self, now: int, which: tuple[str, Approval]) -> None:
        name, approval = which
        for view in self._world.gateway.core.rollout_views() if self._world.gateway.up else ():
            if view.id == name:
                if view.approval == approval.wave:
                    self._tell(hear.DecideWave(name, not approval.deny, approval.wave), now)
                    return
                if view.state in ("completed", "halted", "aborted"):
                    return
        self._world.kernel.at(now + LOOK_EVERY_NS, self._answer, which)
