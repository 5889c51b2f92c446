"""What a device that was killed left on its disk, and whether its later lives took it up.

Decides what a kill of a device cost: chunks that it had received and that the saved map does not name. Received is
what is in its slot, right, and was handed to it; and what it must have read, as it has two requests outstanding at
most and asked for more. What else the relay had handed over lies in the socket of the dead: it never had it.

Rule: no later life asks for a chunk that the saved map names, and each asks for all others.
"""

from __future__ import annotations

from typing import NamedTuple

from devicesim.world.checks.transfers import asked_chunks
from tests.chaos.bundles import Published
from tests.chaos.plant import Device
from tests.chaos.relay import boot_of
from tests_kit.left_on_disk import forgotten, map_left

OUTSTANDING_MAX = 2
"""Requests of a device that may be unanswered."""


class Remains(NamedTuple):
    """Of one device, killed."""

    boot: int
    """The life that ended."""
    chunks: int
    """Of the image."""
    saved: frozenset[int]
    """Chunks that the map names; all of them where the image was there as a whole."""
    forgotten_bytes: int
    """Received, and to be fetched again."""

    @property
    def halfway(self) -> bool:
        """Whether the kill came in the middle of the download."""
        return 0 < len(self.saved) < self.chunks


def remains(device: Device, wanted: Published) -> Remains:
    """Look at the disk of a device that is dead, before it starts again."""
    shown = device.shown()
    boot, slots = shown["boot"], shown["slots"]
    here = map_left(device.state, wanted.image, wanted.image_bytes, wanted.chunk_bytes)
    if any((slot or {}).get("manifest") == wanted.digest.hex() for slot in slots.values()):
        return Remains(boot, here.chunks, frozenset(range(here.chunks)), 0)
    inactive = "b" if shown["committed"] == "a" else "a"
    on_disk = forgotten(device.state / f"slot-{inactive}", here, wanted.blobs[wanted.image])
    relay, short = device.relay, wanted.image[:8]
    received = {chunk for chunk in on_disk if relay.delivered[short, chunk]}
    received |= {chunk for chunk in _read(device, wanted, boot) if chunk not in here}
    cost = sum(relay.bytes_of[short, chunk] for chunk in received)
    saved = frozenset(chunk for chunk in range(here.chunks) if chunk in here)
    return Remains(boot, here.chunks, saved, cost)


def _read(device: Device, wanted: Published, boot: int) -> set[int]:
    """Chunks that a life must have read, as all but one of its requests were over when it made the last; none where
    one was over for want of an answer, which may have come too late to be read."""
    asked = [(get.transfer, get.seq) for get in device.relay.asked_in(wanted.image, boot)]
    if device.relay.asked_twice(wanted.image, boot):
        return set()
    answers = device.relay.answers
    ended = {(one.transfer, one.seq): place for place, one in enumerate(answers, start=1)}
    ends = sorted(ended.get(request, 0) for request in asked[:-1])
    over = len(asked) - OUTSTANDING_MAX
    read = answers[: ends[over - 1]] if over > 0 else []  # a stream is read in its order
    return {one.chunk[1] for one in read if one.chunk[0] == wanted.image[:8]}


def taken_up(device: Device, wanted: Published, left: Remains) -> None:
    """Demand that later lives asked for what the map did not name, and for nothing else."""
    later = [
        get
        for get in device.relay.asked
        if get.blob == wanted.image and boot_of(get.transfer) > left.boot
    ]
    asked = {chunk for get in later for chunk in asked_chunks(get)}
    again, missing = asked & left.saved, set(range(left.chunks)) - left.saved - asked
    assert not again, f"{device.name} had saved chunks {sorted(again)}, and asked for them"
    assert not missing, f"nobody saw {device.name} ask for chunks {sorted(missing)}"
