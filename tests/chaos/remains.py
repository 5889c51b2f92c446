"""What a device that was killed left on its disk, and whether its later lives took it up.

Decides what a kill of a device cost: chunks that were handed to it, are in its slot, right, and not in the
saved map. What the relay had handed over and the process had not read is no cost: it never had it.

Rule: no later life asks for a chunk that the saved map names.
"""

from __future__ import annotations

from typing import NamedTuple

from devicesim.world.checks.transfers import asked_chunks
from tests.chaos.bundles import Published
from tests.chaos.plant import Device
from tests_kit.left_on_disk import forgotten, map_left

BOOT_SHIFT = 16
"""Transfers are numbered by the boot that began them, in the bits above."""


class Remains(NamedTuple):
    """Of one device, killed."""

    boot: int
    """The life that ended."""
    saved: frozenset[int]
    """Chunks that the map names."""
    forgotten_bytes: int
    """Received, and to be fetched again."""


def remains(device: Device, wanted: Published) -> Remains:
    """Look at the disk of a device that is dead, before it starts again."""
    shown = device.shown()
    slots = shown["slots"]
    if any((slot or {}).get("manifest") == wanted.digest.hex() for slot in slots.values()):
        return Remains(shown["boot"], frozenset(), 0)  # the image is there as a whole
    inactive = "b" if shown["committed"] == "a" else "a"
    here = map_left(device.state, wanted.image, wanted.image_bytes, wanted.chunk_bytes)
    image = wanted.blobs[wanted.image]
    received = {
        chunk
        for chunk in forgotten(device.state / f"slot-{inactive}", here, image)
        if device.relay.delivered[wanted.image[:8], chunk]
    }
    cost = sum(device.relay.bytes_of[wanted.image[:8], chunk] for chunk in received)
    saved = frozenset(chunk for chunk in range(here.chunks) if chunk in here)
    return Remains(shown["boot"], saved, cost)


def saved_and_asked_for(device: Device, wanted: Published, left: Remains) -> set[int]:
    """Chunks that the map named, and a later life asked for."""
    asked = [get for get in device.relay.asked if get.blob == wanted.image]
    assert asked, f"{device.name} fetched {wanted.name}, and no request of it was seen"
    later = [get for get in asked if get.transfer >> BOOT_SHIFT > left.boot]
    return {chunk for get in later for chunk in asked_chunks(get)} & left.saved
