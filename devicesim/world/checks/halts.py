"""The check that a halt holds: nothing of the release starts on a device that knows, or could know.

Decides who has been told and who could have heard. Leaves out why a rollout was halted; the instant is
taken from the gateway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from devicesdk.wire.messages import Have, Want
from devicesdk.wire.timebase import MINUTE, SECOND, to_seconds
from devicesim.world.checks.check import Check
from devicesim.world.checks.releases import digest_of
from gateway.core import notes, rows

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World
    from gateway.core import effects as gw

HEARD_NS: Final = 5 * SECOND
"""How long a published want may take to a device on a clear path."""
TOLD_NS: Final = 2 * MINUTE
"""How long a gateway that is up may take to tell all devices of a halt."""


class _Halt(msgspec.Struct, frozen=True):
    """When a rollout was halted, of what, and how often the gateway had crashed by then."""

    at_ns: int
    manifest: bytes
    crashes: int


class _Order(msgspec.Struct, frozen=True, gc=False):
    """The newest want that was published for, or heard by, a device."""

    at_ns: int
    generation: int
    manifest: bytes
    deployment: str
    hold: bool


class HaltHolds(Check):
    """After a halt nothing of that rollout is activated by a device that heard of it or could have.

    A device that has been connected on a clear path for 5 s since it was told has heard it; a
    gateway that is up tells everybody within two minutes.
    """

    name: ClassVar[str] = "halt_holds"
    follows: ClassVar[tuple[str, ...]] = (notes.ROLLOUT_HALTED,)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._bundles = {r.id: digest_of(world, r.bundle) for r in world.scenario.rollouts}
        for experiment in world.scenario.experiments:
            self._bundles[experiment.id] = digest_of(world, experiment.bundle)
        self._halts: dict[str, _Halt] = {}
        self._told: dict[str, _Order] = {}
        self._heard: dict[int, _Order] = {}
        self._connected_at = [0] * len(world.hosts)
        self._settled: list[list[bytes]] = [[] for _ in world.hosts]

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """A halt."""
        if effect.table != rows.ROLLOUT or effect.row is None:
            return
        manifest = self._bundles.get(effect.key)
        row = effect.row
        braked = row.phase is rows.Phase.ABORTED and row.brake != rows.Brake.NONE
        stopped = row.phase is rows.Phase.HALTED or braked
        if manifest and stopped and effect.key not in self._halts:
            self.judged += 1
            self._halts[effect.key] = _Halt(now, manifest, self.world.gateway.crashes)

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """What a device runs for good, it may go back to."""
        del now
        settled = self._settled[host.index]
        if not have.trial and have.running and have.running not in settled:
            settled.append(have.running)

    def connected(self, host: DeviceHost, now: int) -> None:
        """From now on it can hear."""
        self._connected_at[host.index] = now

    def wanted(self, device: str, want: Want, now: int) -> None:
        """The gateway tells a device; what is published again keeps its instant."""
        known = self._told.get(device)
        if known is None or want.generation > known.generation:
            self._told[device] = _order(want, now)

    def heard_want(self, host: DeviceHost, want: Want, now: int) -> None:
        """A device is told."""
        known = self._heard.get(host.index)
        if known is None or want.generation > known.generation:
            self._heard[host.index] = _order(want, now)

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """Something else runs from now on: not of a halted rollout, if the device knows."""
        if not effect.slot or effect.manifest == host.manifest:
            return
        if effect.manifest in self._settled[host.index]:
            return  # going back to what it ran for good before
        heard = self._heard.get(host.index)
        for rollout, halt in self._halts.items():
            if halt.manifest != effect.manifest:
                continue
            if heard is not None and _asks_for(heard, effect.manifest, rollout):
                continue  # a later rollout ships the same bundle
            self.judged += 1
            story = self._offence(host, rollout, halt, heard, now)
            if story:
                self.fail(
                    now, f"expected nothing of {rollout} to start after its halt, {story}", host
                )

    def _offence(
        self, host: DeviceHost, rollout: str, halt: _Halt, heard: _Order | None, now: int
    ) -> str:
        if heard is not None and _stops(heard, halt, rollout):
            return (
                f"found it started {to_seconds(now - heard.at_ns):.1f} s after the device was told"
            )
        told = self._told.get(host.device)
        if told is None or not _stops(told, halt, rollout):
            return self._untold(halt, now)
        path = host.path
        since = now - max(told.at_ns, self._connected_at[host.index], path.cleared_at)
        reachable = host.online and not path.black and not path.on_the_wire()[1]
        if reachable and since > HEARD_NS + self.world.stage.tolerance_ns:
            return f"found a connected device that was not told for {to_seconds(since):.1f} s"
        return ""

    def _untold(self, halt: _Halt, now: int) -> str:
        gateway = self.world.gateway
        well = gateway.up and gateway.connected and gateway.crashes == halt.crashes
        if well and now - halt.at_ns > TOLD_NS + self.world.stage.tolerance_ns:
            return f"found nobody told the device in {to_seconds(now - halt.at_ns):.0f} s"
        return ""


def _order(want: Want, now: int) -> _Order:
    return _Order(now, want.generation, want.manifest, want.deployment, want.hold)


def _asks_for(order: _Order, manifest: bytes, rollout: str) -> bool:
    return order.manifest == manifest and not order.hold and order.deployment != rollout


def _stops(order: _Order, halt: _Halt, rollout: str) -> bool:
    """Whether a want that was made after the halt asks for anything but that release."""
    if order.at_ns < halt.at_ns:
        return False
    return order.hold or order.manifest != halt.manifest or order.deployment != rollout
