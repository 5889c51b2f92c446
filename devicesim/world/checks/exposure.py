"""Checks of experiments: the exposure cap holds, and the run has exercised what it is about.

Decides whether a device may have run a candidate. Leaves out whether the candidate was good.

The bucket of a device is computed here anew from flagd's specification (MurmurHash3 of the CBOR of flag key
and targeting key), so neither the agent's evaluator nor the gateway's arithmetic is believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import cbor2
import mmh3

from devicesdk.wire.timebase import SECOND
from devicesim.world.checks.check import Check
from devicesim.world.checks.sometimes import Sometimes
from gateway.core.experiments import notes

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.scenario.experiments import Experiment
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World
    from gateway.core import effects as gw

NAME: Final = "exposure_cap"
WEIGHTS: Final = 10_000
FIRST: Final = 100
"""One percent: where a bandit's cap begins."""
LOOKS_MAX: Final = 14
"""From any cap so many doublings are everybody."""


def bucket(experiment: str, device: str) -> int:
    """Where a device falls, of `WEIGHTS` buckets."""
    name = cbor2.dumps([f"experiment.{experiment}", device], canonical=True)
    return mmh3.hash(name, signed=False) * WEIGHTS >> 32


def _looks(elapsed_ns: int, look_ns: int) -> int:
    """How many looks there may have been: where the share stays as it was nothing is said of them."""
    return min(LOOKS_MAX, max(1, -((SECOND - elapsed_ns) // look_ns)))


class ExposureCap(Check):
    """No device runs a candidate that the allocation never named, and the cap at most doubles at each look.

    Devices hear of an allocation late, so a share that was lowered counts as it was at its highest.
    """

    name: ClassVar[str] = NAME
    suspect: ClassVar[str] = "gateway"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._of_group = {plan.group: plan for plan in world.scenario.experiments}
        self._highest: dict[str, int] = {}
        self._cap: dict[str, tuple[int, int]] = {}

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """The gateway says what it allows."""
        if effect.kind != notes.ALLOCATED:
            return
        self.judged += 1
        name, share, cap = effect.subject, effect.a, effect.b
        plan = next(p for p in self._of_group.values() if p.id == name)
        first = FIRST if plan.mode == "bandit" else WEIGHTS
        if name in self._cap:
            before, at = self._cap[name]
            allowed = (before + 1 << _looks(now - at, plan.look_ns)) - 1
        else:
            allowed = min(first, round(plan.share * WEIGHTS))
        if share > cap or cap > allowed:
            found = f"{share} under a cap of {cap}"
            self.fail(
                now, f"expected {name} to allow at most {allowed} of {WEIGHTS}, found {found}"
            )
        self._cap[name] = cap, now
        self._highest[name] = max(share, self._highest.get(name, 0))

    def tried(self, host: DeviceHost, effect: ask.RunModel, now: int) -> None:
        """A device runs the candidate: was it ever meant?"""
        del effect
        self.judged += 1
        plan: Experiment | None = self._of_group.get(host.parts.group)
        highest = 0 if plan is None else self._highest.get(plan.id, 0)
        place = WEIGHTS if plan is None else bucket(plan.id, host.device)
        if place >= highest:
            self.fail(
                now,
                f"expected a candidate to run only below bucket {highest}, found it in {place}",
                host,
            )


class CandidateRan(Sometimes):
    """A candidate took a turn on a device."""

    name: ClassVar[str] = "candidate_ran"

    def tried(self, host: DeviceHost, effect: ask.RunModel, now: int) -> None:
        """It did."""
        del effect
        self.see(now, host)


class ExperimentStopped(Sometimes):
    """The brake ended an experiment; nobody was asked."""

    name: ClassVar[str] = "experiment_stopped_by_itself"
    ends: ClassVar[str] = notes.STOPPED

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """The scenario language has no verb for people to do so."""
        if effect.kind == self.ends:
            self.see(now)


class ExperimentPromoted(ExperimentStopped):
    """A candidate was promoted on its evidence."""

    name: ClassVar[str] = "experiment_promoted_by_itself"
    ends: ClassVar[str] = notes.PROMOTED
