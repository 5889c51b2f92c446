"""Checks of what is in the slots: whole before it runs, fitting, never twice after it failed.

Decides how slots, chunk maps and quarantines are held against the flash and the bundles themselves.
Leaves out how bytes come (transfers.py) and who is offered what (releases.py).

A factory image is part of the hardware here: until something is written to its slot it counts as
whole without bytes in the flash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.bundle.chunks import ChunkMap
from devicesdk.bundle.manifest import Variant
from devicesdk.wire.errors import BadManifest
from devicesdk.wire.messages import Event, Get, Have, UpdateState, Want
from devicesim.world.checks.check import Check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from devicesdk.agent import effects as ask
    from devicesim.world.bundles import InstalledBundle
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

FACTORY_SLOT: Final = "a"
MAP_FILE: Final = "map"
INNOCENT_REASONS: Final = ("storage", "superseded")
"""Reasons to go back that say nothing about the bundle."""


def slot_file(slot: str) -> str:
    """The file of a slot."""
    return f"slot-{slot}"


def inactive_slot(host: DeviceHost) -> str:
    """The slot that does not run."""
    return "b" if host.slot == "a" else "a"


def variants_named(world: World, manifest: bytes, variant: str) -> list[Variant]:
    """The entries of a manifest under this name: one for each hardware class; none if unknown."""
    bundle = world.bundles.get(manifest)
    if bundle is None:
        return []
    return [found for found in bundle.manifest.variants if found.name == variant]


def slot_is_whole(world: World, host: DeviceHost, slot: str, manifest: bytes, variant: str) -> bool:
    """Whether the flash holds, byte for byte, what is said to be in this slot."""
    flash, file = host.parts.flash, slot_file(slot)
    identity = host.parts.identity
    factory = (FACTORY_SLOT, identity.factory_manifest, identity.factory_variant)
    if factory == (slot, manifest, variant) and not flash.holds(file, 0):
        return True
    found = variants_named(world, manifest, variant)
    return bool(found) and flash.digest(file, found[0].image.size_bytes) == found[0].image.raw


def boots(world: World, host: DeviceHost) -> bool:
    """Whether the device has a whole image in the slot that it runs."""
    return bool(host.slot) and slot_is_whole(world, host, host.slot, host.manifest, host.variant)


class ImageIndex:
    """Which bundles an image belongs to."""

    __slots__ = ("_by_image",)

    def __init__(self, bundles: Iterable[InstalledBundle]) -> None:
        self._by_image: dict[bytes, list[tuple[InstalledBundle, Variant]]] = {}
        for bundle in bundles:
            for variant in bundle.manifest.variants:
                self._by_image.setdefault(variant.image.raw, []).append((bundle, variant))

    def get(self, blob: bytes) -> list[tuple[InstalledBundle, Variant]]:
        """Every variant whose image this blob is; empty for manifests and hash lists."""
        return self._by_image.get(blob, [])


class DigestBeforeActivation(Check):
    """No image runs before its bytes hash to what the manifest says; chunk maps only grow.

    A map is also held against the flash: it may name a chunk only when a power cut would leave it.
    """

    name: ClassVar[str] = "digest_before_activation"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._images = ImageIndex(world.bundles.values())
        self._maps: dict[int, ChunkMap] = {}
        self._suspects: dict[int, tuple[int, str]] = {}

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """Hash what is about to run."""
        if effect.slot:
            self._hash(host, effect, now)

    def stood_by(self, host: DeviceHost, effect: ask.StandBy, now: int) -> None:
        """What may run beside is held to the same."""
        self._hash(host, effect, now)

    def _hash(self, host: DeviceHost, effect: ask.Activate | ask.StandBy, now: int) -> None:
        self.judged += 1
        world = self.world
        if not slot_is_whole(world, host, effect.slot, effect.manifest, effect.variant):
            bundle = world.bundles.get(effect.manifest)
            name = bundle.name if bundle is not None else effect.manifest.hex()[:16]
            self.fail(
                now,
                f"expected slot {effect.slot} to hold {name} {effect.variant} before it runs, found "
                "bytes with another digest",
                host,
            )

    def stored(self, host: DeviceHost, effect: ask.Write | ask.Save | ask.Delete, now: int) -> None:
        """Follow the chunk map."""
        if self._suspects:
            self._convict(host, now)
        if effect.file != MAP_FILE:
            return
        data = getattr(effect, "data", None)
        if data is None:
            self._maps.pop(host.index, None)
            return
        try:
            new = ChunkMap.from_bytes(bytes(data))
        except BadManifest as error:
            self.fail(now, f"expected a chunk map to be saved, found: {error}", host)
            return
        old = self._maps.get(host.index)
        self._maps[host.index] = new
        self.judged += 1
        self._grown(host, old, new, now)

    def _grown(self, host: DeviceHost, old: ChunkMap | None, new: ChunkMap, now: int) -> None:
        before = old.members if old is not None and old.blob == new.blob else 0
        lost, added = before & ~new.members, new.members & ~before
        if lost:
            chunk = _lowest(lost)
            self.fail(now, f"expected the chunk map to keep chunk {chunk}, found it gone", host)
            return
        file = slot_file(inactive_slot(host)) if self._images.get(new.blob) else ""
        while added and file:
            chunk = _lowest(added)
            added &= added - 1
            if not host.parts.flash.holds(file, chunk * new.chunk_bytes, durably=True):
                story = (
                    f"expected chunk {chunk} to be durable in {file} before the map names it, found "
                    "that a power cut would lose it"
                )
                self._suspects[host.index] = (now, story)
                return

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A write was refused: the agent learns of it after the batch, and forgets its map then."""
        suspect = self._suspects.get(host.index)
        if suspect is not None and effect.kind == NoteKind.STORAGE_FAILED and suspect[0] == now:
            del self._suspects[host.index]

    def _convict(self, host: DeviceHost, now: int) -> None:
        """Time has passed and nothing excused it."""
        suspect = self._suspects.get(host.index)
        if suspect is not None and suspect[0] < now:
            del self._suspects[host.index]
            self.fail(suspect[0], suspect[1], host)

    def ended(self, now: int) -> None:
        """Whoever is still suspected did it."""
        for host in self.world.hosts:
            self._convict(host, now + 1)


def _lowest(members: int) -> int:
    """The lowest set bit."""
    return (members & -members).bit_length() - 1


class BootableSlot(Check):
    """Every device keeps a slot that boots: what runs, and on trial also what ran before, is never
    written to, and at the end it is whole."""

    name: ClassVar[str] = "bootable_slot"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._on_trial = bytearray(len(world.hosts))
        self._fallback: dict[int, str] = {}

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A trial is on, or it has ended: then the slot of before may be overwritten."""
        del now
        if effect.kind != NoteKind.UPDATE_STATE:
            return
        trial = effect.a == UpdateState.TRIAL
        self._on_trial[host.index] = trial
        if not trial:
            self._fallback.pop(host.index, None)

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """During a trial the slot that ran before is the way back."""
        del now
        swapped = effect.slot and host.slot and effect.slot != host.slot
        if swapped and self._on_trial[host.index]:
            self._fallback[host.index] = host.slot

    def stored(self, host: DeviceHost, effect: ask.Write | ask.Save | ask.Delete, now: int) -> None:
        """Nobody saws off the branch on which the device sits."""
        if not effect.file.startswith("slot-"):
            return
        self.judged += 1
        slot = effect.file.removeprefix("slot-")
        if slot == host.slot:
            self._sawn(host, effect, "that runs", now)
        elif slot == self._fallback.get(host.index):
            self._sawn(host, effect, "that a failed trial would go back to", now)

    def _sawn(
        self, host: DeviceHost, effect: ask.Write | ask.Save | ask.Delete, what: str, now: int
    ) -> None:
        verb = type(effect).__name__.lower()
        self.fail(
            now, f"expected the slot {what} to be left alone, found a {verb} of {effect.file}", host
        )

    def ended(self, now: int) -> None:
        """What runs is whole."""
        for host in self.world.hosts:
            if not host.boot_id:
                continue
            had_one = bool(host.manifest or host.parts.identity.factory_manifest)
            if had_one:
                self.judged += 1
                if not boots(self.world, host):
                    slot = host.slot or "no slot"
                    self.fail(
                        now, f"expected a slot that boots, found {slot} running and not whole", host
                    )


class NoReflash(Check):
    """A bundle that failed on a device (its kit, or its trial) is never fetched or run there again,
    whatever is wanted and however often the device boots."""

    name: ClassVar[str] = "no_reflash"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._images = ImageIndex(world.bundles.values())
        self._failed: dict[int, dict[bytes, int]] = {}
        self._wants: dict[int, tuple[int, bytes]] = {}

    def heard_want(self, host: DeviceHost, want: Want, now: int) -> None:
        """What a device was asked to run last."""
        del now
        known = self._wants.get(host.index)
        if known is None or want.generation > known[0]:
            self._wants[host.index] = (want.generation, want.manifest)

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """A device says that what it was asked to run has failed."""
        want = self._wants.get(host.index)
        if want is not None and want[0] == have.generation:
            self._take(host, have.state, have.reason, want[1], now)

    def said_event(self, host: DeviceHost, event: Event, now: int) -> None:
        """The same from the durable outbox, with the digest."""
        if event.kind == "update" and event.digest:
            self._take(host, event.state, event.reason, event.digest, now)

    def _take(
        self, host: DeviceHost, state: UpdateState, reason: str, manifest: bytes, now: int
    ) -> None:
        rolled_back = state is UpdateState.ROLLED_BACK and not reason.startswith(INNOCENT_REASONS)
        invalid = state is UpdateState.FAILED and reason.startswith("validation")
        if rolled_back or invalid:
            self._failed.setdefault(host.index, {}).setdefault(manifest, now)
            self.judged += 1

    def asked(self, host: DeviceHost, get: Get, now: int) -> None:
        """Nothing of a failed bundle is fetched."""
        failed = self._failed.get(host.index)
        if failed is None:
            return
        want = self._wants.get(host.index)
        if want is not None and want[1] in failed and self._images.get(get.blob):
            self._again(host, want[1], "fetched", now)

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """Nothing that failed runs."""
        failed = self._failed.get(host.index)
        if failed is not None and effect.slot and effect.manifest in failed:
            self._again(host, effect.manifest, "run", now)

    def _again(self, host: DeviceHost, manifest: bytes, what: str, now: int) -> None:
        bundle = self.world.bundles.get(manifest)
        name = bundle.name if bundle is not None else manifest.hex()[:16]
        self.fail(
            now,
            f"expected {name}, which failed here, never to be {what} again, found it {what}",
            host,
        )


class HardwareFit(Check):
    """A device gets, and runs, only images that its hardware class and memory fit."""

    name: ClassVar[str] = "hardware_fit"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._images = ImageIndex(world.bundles.values())

    def asked(self, host: DeviceHost, get: Get, now: int) -> None:
        """An image that is fetched must fit."""
        found = self._images.get(get.blob)
        if found:
            self._judge(host, [variant for _, variant in found], "fetch", now)

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """An image that runs must fit."""
        if effect.slot:
            found = variants_named(self.world, effect.manifest, effect.variant)
            self._judge(host, found, "run", now)

    def _judge(self, host: DeviceHost, variants: list[Variant], verb: str, now: int) -> None:
        self.judged += 1
        profile = self.world.profile_of(host)
        hardware = profile.hardware.hardware_class
        memory_mib = profile.processor.memory_bytes // 2**20
        for variant in variants:
            if ("*" in variant.hardware or hardware in variant.hardware) and (
                variant.memory_mib <= memory_mib
            ):
                return
        names = ", ".join(dict.fromkeys(v.name for v in variants)) or "something unknown"
        self.fail(
            now,
            f"expected only images for {hardware} with {memory_mib} MiB, found it {verb} {names}",
            host,
        )
