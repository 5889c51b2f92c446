"""The check that a transfer goes on where it stopped.

Decides what counts as fetching again: asking, in a new request, for a chunk that the device has
written and that its flash still holds. Leaves out late and double frames, which cost nothing but air.
Only images are followed; manifests and hash lists are small and live in RAM until they are whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.limits import REFETCH_AFTER_POWER_CUT_BYTES_MAX
from devicesdk.wire.messages import Get
from devicesim.world.checks.check import Check
from devicesim.world.checks.images import ImageIndex, inactive_slot, slot_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World


_EXCUSES: Final = (NoteKind.IMAGE_BAD, NoteKind.STORAGE_FAILED, NoteKind.DELTA_CHOSEN)


def asked_chunks(get: Get) -> Iterator[int]:
    """The numbers of the chunks that a request names."""
    if not get.bitmap:
        yield from range(get.base, get.base + get.count)
        return
    bits = int.from_bytes(get.bitmap, "little")
    for place in range(get.count):
        if bits >> place & 1:
            yield get.base + place


class Slot:
    """One image on its way into one slot: what is written of it, and what a power cut may cost."""

    __slots__ = ("allowed_bytes", "blob", "chunk_bytes", "size_bytes", "wiped", "written")

    def __init__(self, blob: bytes, chunk_bytes: int, size_bytes: int) -> None:
        self.blob = blob
        self.chunk_bytes = chunk_bytes
        self.size_bytes = size_bytes
        self.written: set[int] = set()
        """Membership only: its order is never looked at."""
        self.allowed_bytes = 0
        self.wiped = False
        """The agent itself deleted the file, with what had been written of the image in it."""


class Resume(Check):
    """A chunk that is durable is not fetched again, beyond 64 KiB for each loss of power.

    So a transfer starts from zero only when its storage was lost: when the image read back wrong, or
    another one has overwritten it.
    """

    name: ClassVar[str] = "resume"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._images = ImageIndex(world.bundles.values())
        self._slots: dict[tuple[int, str], Slot] = {}
        self._seen: dict[int, tuple[int, int]] = {}

    def asked(self, host: DeviceHost, get: Get, now: int) -> None:
        """Is anything asked for that is here?"""
        found = self._images.get(get.blob)
        if not found or self._seen.get(host.index) == (get.transfer, get.seq):
            return
        self._seen[host.index] = (get.transfer, get.seq)
        self.judged += 1
        file = slot_file(inactive_slot(host))
        slot = self._slots.get((host.index, file))
        if slot is None or slot.blob != get.blob:
            variant = found[0][1]
            self._slots[host.index, file] = Slot(
                get.blob, variant.chunk_bytes, variant.image.size_bytes
            )
            return
        again = self._again(host, file, slot, get)
        slot.allowed_bytes -= again * slot.chunk_bytes
        if again and slot.allowed_bytes < 0:
            self.fail(
                now,
                f"expected the transfer to go on after {len(slot.written) + again} chunks, found "
                f"{again} of them asked for again",
                host,
            )

    def _again(self, host: DeviceHost, file: str, slot: Slot, get: Get) -> int:
        flash, again = host.parts.flash, 0
        for chunk in asked_chunks(get):
            if chunk in slot.written:
                slot.written.discard(chunk)
                again += slot.wiped or flash.holds(file, chunk * slot.chunk_bytes)
        return again

    def stored(self, host: DeviceHost, effect: ask.Write | ask.Save | ask.Delete, now: int) -> None:
        """Note which chunks are written. A slot that is deleted keeps them: that is no excuse."""
        del now
        slot = self._slots.get((host.index, effect.file))
        if slot is None:
            return
        offset = getattr(effect, "offset", None)
        if offset is not None:
            slot.written.add(offset // slot.chunk_bytes)
            return
        holds, size = host.parts.flash.holds, slot.chunk_bytes
        slot.written = {chunk for chunk in slot.written if holds(effect.file, chunk * size)}
        slot.wiped = True

    def went_off(self, host: DeviceHost, now: int) -> None:
        """Power went: what was not checkpointed may be fetched again."""
        del now
        slot = self._slots.get((host.index, slot_file(inactive_slot(host))))
        if slot is not None:
            slot.allowed_bytes = REFETCH_AFTER_POWER_CUT_BYTES_MAX + max(0, slot.allowed_bytes)

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """Lost storage excuses: a write was refused, or the image read back wrong and really is. So does
        a delta, whose image goes where a part of the wanted one may have been."""
        del now
        if effect.kind not in _EXCUSES:
            return
        file = slot_file(inactive_slot(host))
        slot = self._slots.get((host.index, file))
        if slot is None:
            return
        refused = effect.kind != NoteKind.IMAGE_BAD
        if refused or host.parts.flash.digest(file, slot.size_bytes) != slot.blob:
            slot.written.clear()
            slot.wiped = False
