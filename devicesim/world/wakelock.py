"""Bundles that keep a device busy between inferences: a wake lock, a spin, a table that fills.

Decides when the load begins and ends on each device. Leaves out what a busy core draws (models/body.py).
Made only for a world that has such a bundle.

Rules: the load belongs to the bundle that runs, not to the slot: it goes with a rollback and comes back
with the next activation; what counts for its delay is when the device first ran the bundle, so a reboot
heals nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicesim.models import crossing
from devicesim.world.watch import Watcher

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.scenario.costs import Costs
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World


class WakeLocks(Watcher):
    """Lays the loads of bundles on the devices that run them.

    Args:
        world: whose devices.
    """

    def __init__(self, world: World) -> None:
        self._kernel = world.kernel
        self._costs: dict[bytes, Costs] = {}
        for digest, bundle in world.bundles.items():
            costs = world.scenario.bundle(bundle.name).costs
            if costs.keeps_busy:
                self._costs[digest] = costs
        self._first: dict[tuple[int, bytes], int] = {}
        self._runs: dict[int, bytes] = {}
        self._laid: dict[int, crossing.Modifier] = {}

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """Another bundle runs, or the same one again."""
        index, manifest = host.index, effect.manifest if effect.slot else b""
        if self._runs.get(index) == manifest:
            return
        self._runs[index] = manifest
        self._lift(host, now)
        costs = self._costs.get(manifest)
        if costs is not None:
            since = self._first.setdefault((index, manifest), now)
            self._kernel.at(max(now, since + costs.after_ns), self._lay, (host, manifest))

    def _lay(self, now: int, argument: tuple[DeviceHost, bytes]) -> None:
        host, manifest = argument
        if self._runs[host.index] != manifest or host.index in self._laid:
            return
        laid = self._laid[host.index] = crossing.load(self._costs[manifest].keeps_busy)
        host.parts.body.apply(now, laid)
        host.body_changed(now)

    def _lift(self, host: DeviceHost, now: int) -> None:
        laid = self._laid.pop(host.index, None)
        if laid is not None:
            host.parts.body.undo(now, laid)
            self._kernel.at(now, self._changed, host)

    def _changed(self, now: int, host: DeviceHost) -> None:
        """The device is in the middle of a step while it activates: it hears of it afterwards."""
        host.body_changed(now)


def wanted(world: World) -> bool:
    """Whether any bundle of this world keeps devices busy."""
    return any(bundle.costs.keeps_busy for bundle in world.scenario.bundles)
