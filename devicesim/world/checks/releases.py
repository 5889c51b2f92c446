"""The check that success is real: what the gateway counts as done runs, for good, on the device.

Decides what the world itself knows of a release: who was sent which want, who runs what, who said so.
Leaves out what is in the slots (images.py) and how far a release may reach (waves.py, halts.py). The
gateway's notes are its claims; they are held against that knowledge and never taken for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.wire.messages import Have, Want
from devicesdk.wire.timebase import MINUTE
from devicesim.world.checks.check import Check
from gateway.core import notes, rows

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.scenario.release import Rollout
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World
    from gateway.core import effects as gw

REMEMBERED_GENERATIONS_MAX: Final = 8
SETTLE_NS: Final = 2 * MINUTE
"""At the end: how long a device must have been connected for its report to have arrived."""


def targets_of(world: World, rollout: Rollout) -> list[int]:
    """The indices of the devices that a rollout is for."""
    label = f"rollout-{rollout.id}"
    return [host.index for host in world.hosts if host.parts.labels.get(label) == "yes"]


def digest_of(world: World, reference: str) -> bytes:
    """The manifest digest of a bundle by ``id@version``; empty when this world has none."""
    for digest, bundle in world.bundles.items():
        if bundle.name == reference:
            return digest
    return b""


def name_of(world: World, digest: bytes) -> str:
    """``id@version`` of a manifest digest, its beginning in hex if unknown, ``nothing`` if empty."""
    bundle = world.bundles.get(digest)
    return bundle.name if bundle is not None else digest.hex()[:16] or "nothing"


def _remember(table: dict[int, bytes], generation: int, digest: bytes) -> None:
    table[generation] = digest
    if len(table) > REMEMBERED_GENERATIONS_MAX:
        del table[next(iter(table))]


class NoFalseSuccess(Check):
    """What the gateway calls done really runs on the device, and the device said so, for good.

    A device may not say that it runs what it does not; the gateway may count only what a device has
    said of the generation that was wanted; and at the end its books agree with the slots.
    """

    name: ClassVar[str] = "no_false_success"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        count = len(world.hosts)
        self._ran: list[list[bytes]] = [[] for _ in range(count)]
        self._said: list[tuple[int, int]] = [(0, 0)] * count
        self._claims: dict[int, dict[int, bytes]] = {}
        self._wants: dict[str, dict[int, bytes]] = {}
        self._changed_at = [0] * count

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """The truth: this runs from now on."""
        self._changed_at[host.index] = now
        ran = self._ran[host.index]
        if effect.slot and effect.manifest not in ran:
            ran.append(effect.manifest)

    def connected(self, host: DeviceHost, now: int) -> None:
        """A device that was away needs a moment to report."""
        self._changed_at[host.index] = now

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """Is it true? A report that is sent again is not judged again."""
        if (have.boot_id, have.seq) <= self._said[host.index]:
            return
        self._said[host.index] = (have.boot_id, have.seq)
        self.judged += 1
        if have.running and have.running != host.manifest:
            world = self.world
            self.fail(
                now,
                f"expected its report to name what it runs, {name_of(world, host.manifest)}, found "
                f"{name_of(world, have.running)}",
                host,
            )
        if not have.trial:
            claims = self._claims.setdefault(host.index, {})
            _remember(claims, have.generation, have.running)

    def wanted(self, device: str, want: Want, now: int) -> None:
        """What a generation stands for."""
        del now
        _remember(self._wants.setdefault(device, {}), want.generation, want.manifest)

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """The gateway counts a success."""
        if effect.kind not in (notes.COMMITTED, notes.REVERTED):
            return
        self.judged += 1
        host = self.world.host(effect.subject)
        manifest = self._wants.get(effect.subject, {}).get(effect.a)
        if manifest is None:
            self.fail(now, f"expected a want behind generation {effect.a}, found none", host)
            return
        claims = self._claims.get(host.index, {})
        said = any(g >= effect.a and d == manifest for g, d in claims.items())
        ran = manifest in self._ran[host.index]
        if not (said and ran):
            missing = "the device to have run it" if not ran else "the device to have said so"
            name = name_of(self.world, manifest)
            self.fail(
                now, f"expected {missing} before {name} counts as committed, found it not", host
            )

    def ended(self, now: int) -> None:
        """Books and slots agree, as far as devices had time to report."""
        gateway = self.world.gateway
        for table, device, row in gateway.store.rows():
            if table != rows.DESIRED or row.outcome != rows.Outcome.COMMITTED:
                continue
            host = self.world.host(device)
            if row.purpose == rows.Purpose.FACTORY:
                continue
            self.judged += 1
            if row.manifest not in self._ran[host.index]:
                self._differs(now, host, row.manifest, "never ran it")
            elif row.manifest != host.manifest and self._had_time(host, now):
                self._differs(now, host, row.manifest, f"runs {name_of(self.world, host.manifest)}")

    def _differs(self, now: int, host: DeviceHost, manifest: bytes, found: str) -> None:
        name = name_of(self.world, manifest)
        self.fail(
            now,
            f"expected {name}, which the gateway counts as committed, found a device that {found}",
            host,
        )

    def _had_time(self, host: DeviceHost, now: int) -> bool:
        gateway = self.world.gateway
        since = now - max(self._changed_at[host.index], host.path.cleared_at)
        connected = host.online and not host.path.black and gateway.up and gateway.connected
        return connected and since > SETTLE_NS
