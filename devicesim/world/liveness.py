"""The liveness mode: at one instant a core is healed, the rest is frozen, and no hardship comes any more.

Decides who the core is and what healing and freezing are. Leaves out whether it converges
(checks/convergence.py).

Theory of operation. Checks of safety never tell that nothing happens any more: a device that waits for a
timer that nobody set breaks no promise. So give a part of the system everything that it could wish for and
insist that it gets on with it, as the simulator of TigerBeetle does in its liveness mode
(https://tigerbeetle.com/blog/2023-07-06-simulation-testing-for-liveness). *Healed* means: every fault
of the timeline is undone, no other one begins, links of the core have no outages of their own, batteries
are plugged in, whoever was switched off boots; broker and gateway run, at the speed that the scenario
gave them. *Frozen* means: without power, for good.

Rules: who is in the core depends on seed and selector alone. Nothing here runs before its instant, so a run
with the mode is the same run up to it, and what is promised of the fleet in this time (always, eventually,
sometimes) is judged up to it where the rest is frozen. Rollouts, flags and experiments are plans, not hardship: they go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import NEVER
from devicesim.models import crossing
from devicesim.models.availability import AlwaysUp
from devicesim.scenario.services import UNLIMITED_PER_S
from devicesim.world.device_host import BOOT_NS
from devicesim.world.trace import WORLD

if TYPE_CHECKING:
    from devicesim.scenario.promises import Liveness
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.timeline import Timeline
    from devicesim.world.world import World

NAME: Final = "liveness"


def core_of(world: World, liveness: Liveness) -> list[DeviceHost]:
    """The devices of the core, in the fleet's order."""
    labels = [host.parts.labels for host in world.hosts]
    return [world.hosts[i] for i in liveness.core.select(labels, world.entropy, NAME)]


def frozen_ns(world: World) -> int:
    """When a part of the fleet goes silent for good, and promises about the fleet are over; NEVER: never."""
    liveness = world.scenario.checks.liveness
    frozen = liveness is not None and liveness.freeze and NAME not in world.stage.unseen
    return liveness.at_ns if liveness is not None and frozen else NEVER


class Healing:
    """Brings the mode about.

    Args:
        world: whose core.
        timeline: brings hardship until then.
        liveness: what the scenario says.
    """

    def __init__(self, world: World, timeline: Timeline, liveness: Liveness) -> None:
        self._world, self._timeline, self._liveness = world, timeline, liveness
        self._core = core_of(world, liveness)

    def arm(self) -> None:
        """Put the instant on the clock."""
        self._world.kernel.at(self._liveness.at_ns, self._come)

    def _come(self, now: int, _: object) -> None:
        world = self._world
        world.trace.row(now, WORLD, NAME, len(self._core))
        inside = {host.index for host in self._core}  # membership only
        self._timeline.cease(now, inside, keep=not self._liveness.freeze)
        if self._liveness.freeze:
            for host in world.hosts:
                if host.index not in inside:
                    _freeze(host, now)
        self._services(now)
        for host in self._core:
            world.heals.end_for(now, host)
            _heal(host, now)

    def _services(self, now: int) -> None:
        world = self._world
        broker, gateway = world.broker, world.gateway
        if not broker.up:
            broker.start()
        rate = world.scenario.broker.accept_rate_per_s
        broker.core.set_accept_rate(None if rate >= UNLIMITED_PER_S else rate)
        gateway.commit_ns = 0
        gateway.tamper(None)
        if not gateway.up:
            gateway.start(now)


def _freeze(host: DeviceHost, now: int) -> None:
    host.wanted_on = False
    host.power_off(now, tear=False)


def _heal(host: DeviceHost, now: int) -> None:
    host.path.steady(now, AlwaysUp())
    host.parts.body.apply(now, crossing.plugged(on=True))
    host.wanted_on = True
    if host.on:
        host.body_changed(now)
    else:
        host.shop.kernel.at(now + BOOT_NS, host.power_on)
