"""The check that a release reaches no more devices than its open waves allow.

Decides who counts as offered and as exposed, and what each wave allows, from the scenario's plan and
the world's own knowledge. Which wave is open is taken from the gateway's rows, and that is held against
the plan: no share is left out that would have added anybody, and none opens before its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from devicesdk.wire.messages import Want
from devicesdk.wire.timebase import format_duration, to_seconds
from devicesim.world.checks.check import Check
from devicesim.world.checks.releases import digest_of, name_of, targets_of
from devicesim.world.trials import staging_of
from gateway.core import notes, rows

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.scenario.release import Rollout
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World
    from gateway.core import effects as gw


def cap(share: float, population: int) -> int:
    """How many devices a cumulative share allows: rounded down, but one of any."""
    return min(population, max(1, int(share * population + 1e-9)))


class _Exposure:
    """Who was offered one rollout, and who ran it. Sets: membership and size only."""

    __slots__ = (
        "exposed", "manifest", "offered", "opened_at", "plan", "population", "share", "targets", "waves",
    )  # fmt: skip

    def __init__(self, plan: Rollout, manifest: bytes, targets: list[int]) -> None:
        self.plan, self.manifest = plan, manifest
        self.targets = frozenset(targets)
        self.population = len(targets)
        self.offered: set[int] = set()
        self.exposed: set[int] = set()
        self.waves = self.opened_at = 0
        self.share = 0.0

    @property
    def allowed(self) -> int:
        """How many devices may have been exposed by now."""
        return cap(self.share, self.population) if self.waves else 0

    def skipped(self, share: float) -> float | None:
        """A share of the plan that would have added somebody and is left out if this one is next."""
        for planned in self.plan.waves:
            if self.share < planned < share and cap(planned, self.population) > self.allowed:
                return planned
        return None


class WaveCap(Check):
    """No more devices are offered or run a release than the open waves allow, none that it is not for,
    and no wave opens before the one before has soaked."""

    name: ClassVar[str] = "wave_cap"
    suspect: ClassVar[str] = "gateway"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._rollouts: dict[str, _Exposure] = {}
        for plan in world.scenario.rollouts:
            digest = digest_of(world, plan.bundle)
            self._rollouts[plan.id] = _Exposure(plan, digest, targets_of(world, plan))
        for experiment in world.scenario.experiments:
            digest = digest_of(world, experiment.bundle)
            targets = [h.index for h in world.hosts if h.parts.group == experiment.group]
            self._rollouts[experiment.id] = _Exposure(staging_of(experiment), digest, targets)
        self._ran: list[list[bytes]] = [[] for _ in world.hosts]

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """How many devices the gateway found for a rollout; never more than it is for."""
        del now
        if effect.kind == notes.ROLLOUT_CREATED:
            rollout = self._rollouts.get(effect.subject)
            if rollout is not None:
                rollout.population = min(effect.b, len(rollout.targets))

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """Waves open."""
        if effect.table != rows.ROLLOUT or effect.row is None:
            return
        rollout = self._rollouts.get(effect.key)
        waves = effect.row.waves
        if rollout is not None and len(waves) > rollout.waves:
            self._opens(rollout, waves[-1].share, now)

    def _opens(self, rollout: _Exposure, share: float, now: int) -> None:
        self.judged += 1
        name, soak, soaked = rollout.plan.id, rollout.plan.soak_ns, now - rollout.opened_at
        if rollout.waves and soaked < soak:
            self.fail(
                now,
                f"expected wave {rollout.waves} of {name} to soak for {format_duration(soak)}, found "
                f"the next one open after {to_seconds(soaked):.0f} s",
            )
        skipped = rollout.skipped(share)
        if skipped is not None:
            self.fail(
                now,
                f"expected {name} to open its wave of {100 * skipped:g} % next, found {100 * share:g} %",
            )
        rollout.waves += 1
        rollout.share = max(share, rollout.share)
        rollout.opened_at = now

    def wanted(self, device: str, want: Want, now: int) -> None:
        """A device is offered a release."""
        rollout = self._rollouts.get(want.deployment)
        if rollout is None or want.manifest != rollout.manifest or want.hold:
            return
        host = self.world.host(device)
        self.judged += 1
        if host.index not in rollout.targets:
            self.fail(
                now, f"expected {rollout.plan.id} not to reach a device outside its target", host
            )
        rollout.offered.add(host.index)

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """A device runs a release."""
        ran = self._ran[host.index]
        if not effect.slot or effect.manifest in ran:
            return
        first = not ran
        ran.append(effect.manifest)
        offered = False
        for rollout in self._rollouts.values():
            if rollout.manifest == effect.manifest and host.index in rollout.offered:
                offered = True
                rollout.exposed.add(host.index)
                self._judge(rollout, len(rollout.exposed), "running it", now)
        factory = first and effect.manifest == host.parts.identity.factory_manifest
        if not offered and not factory:
            name = name_of(self.world, effect.manifest)
            self.fail(now, f"expected an offer before {name} runs, found none", host)

    def checkpoint(self, now: int) -> None:
        """Offers keep the cap too."""
        for rollout in self._rollouts.values():
            if rollout.offered:
                self._judge(rollout, len(rollout.offered), "offered it", now)

    def _judge(self, rollout: _Exposure, found: int, what: str, now: int) -> None:
        self.judged += 1
        if found > rollout.allowed:
            self.fail(
                now,
                f"expected at most {rollout.allowed} devices in {rollout.waves} waves of "
                f"{rollout.plan.id}, found {found} {what}",
            )
