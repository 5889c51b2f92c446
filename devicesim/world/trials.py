"""Experiments of a world: from the scenario's words to the gateway's plan, and what came of them.

Decides the plan and the counts that measures read. Leaves out promises (checks/exposure.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicesdk.wire.messages import UpdatePolicy
from devicesdk.wire.timebase import MINUTE, MS
from devicesim.scenario.experiments import Experiment
from devicesim.scenario.release import Rollout
from devicesim.world.hearing import Listener
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments import notes

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World
    from gateway.core import effects as gw


def plan_of(experiment: Experiment) -> ExperimentPlan:
    """The gateway's plan of a scenario's experiment."""
    policy = experiment.policy
    return ExperimentPlan(
        id=experiment.id,
        bundle=experiment.bundle,
        production=experiment.production,
        mode=experiment.mode,
        segment=experiment.group,
        selector=(("group", experiment.group),),
        share=experiment.share,
        tolerated=experiment.tolerated,
        brake=experiment.brake,
        freeze=experiment.freeze,
        promote=experiment.promote,
        errors=experiment.errors,
        apart=experiment.apart,
        apart_permille=experiment.apart_permille,
        look_ns=experiment.look_ns,
        jitter_ms=experiment.jitter_ns // MS,
        policy=UpdatePolicy(
            battery_percent_min=round(policy.battery_min * 100),
            chip_c_max=policy.chip_c_max,
            plugged=policy.plugged,
            trial_ms=policy.trial_ns // MS,
        ),
    )


def staging_of(experiment: Experiment) -> Rollout:
    """The rollout that brings the candidate to the devices, for checks of rollouts."""
    return Rollout.model_construct(
        id=experiment.id,
        bundle=experiment.bundle,
        at_ns=experiment.at_ns,
        waves=(1.0,),
        soak_ns=MINUTE,
    )


class TrialMeter:
    """Counts what experiments did; of a world without any it is never told anything.

    Args:
        world: whose experiments.
    """

    __slots__ = ("_on", "devices", "promoted", "stopped")

    def __init__(self, world: World) -> None:
        self._on = bytearray(len(world.hosts))
        self.devices = 0
        """Devices on which a candidate ever took a turn."""
        self.stopped = self.promoted = 0

    def tried_on(self, host: DeviceHost) -> None:
        """A candidate has a turn."""
        if not self._on[host.index]:
            self._on[host.index] = 1
            self.devices += 1

    @property
    def tried_ratio(self) -> float:
        """`devices`, of all."""
        return self.devices / max(1, len(self._on))


class TrialEars(Listener):
    """Listens for a `TrialMeter`, where there are experiments."""

    def __init__(self, meter: TrialMeter) -> None:
        self._meter = meter

    def tried(self, host: DeviceHost, effect: ask.RunModel, now: int) -> None:
        """A candidate has a turn."""
        del effect, now
        self._meter.tried_on(host)

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """An experiment ends."""
        del now
        if effect.kind == notes.STOPPED:
            self._meter.stopped += 1
        elif effect.kind == notes.PROMOTED:
            self._meter.promoted += 1
