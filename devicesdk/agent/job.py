"""The update in hand, as far as it came in this boot, and what may hold it back.

Decides whether an update may go on now. Leaves out the steps (update.py). RAM only: after a boot the
steps find what is on storage.
"""

from __future__ import annotations

from typing import Final

from devicesdk.agent.stimuli import Conditions
from devicesdk.bundle.chunks import HashList
from devicesdk.bundle.manifest import Variant
from devicesdk.wire.messages import DeltaRef, Want
from devicesdk.wire.timebase import NEVER

DELTA_FILE: Final = "delta"
SMALL_DELTA_FILE: Final = "meta-delta"
MANIFEST_FILE: Final = "meta-manifest"
HASHES_FILE: Final = "meta-hashes"


class Job:
    """What is known of the update in hand."""

    __slots__ = (
        "checked",
        "confidence",
        "delta",
        "delta_file",
        "delta_hashes",
        "delta_here",
        "delta_used",
        "hashes",
        "hashes_file",
        "image_failures",
        "kit_passed",
        "manifest_file",
        "promoted",
        "start_at",
        "told",
        "variant",
        "vetted",
        "wake_at",
        "want",
    )

    def __init__(self, want: Want, start_at: int) -> None:
        self.want = want
        self.start_at = start_at
        """Drawn inside the want's jitter: nothing begins before it."""
        self.wake_at = NEVER
        self.manifest_file: bytes | None = None
        """Contents of `MANIFEST_FILE`, None until it was read."""
        self.hashes_file: bytes | None = None
        self.variant: Variant | None = None
        self.confidence = b""
        """The manifest's reference histogram, as `snapshot.Slot.confidence`."""
        self.hashes: HashList | None = None
        self.checked = False
        """The slot was read back in this boot and had its digest."""
        self.kit_passed = False
        self.image_failures = 0
        self.delta: DeltaRef | None = None
        """The delta on whose way this update is; what follows is about it (delta.py)."""
        self.delta_file: bytes | None = None
        """Contents of `SMALL_DELTA_FILE`, None until it was read."""
        self.delta_hashes: HashList | None = None
        self.delta_here = False
        """All of it is in its file."""
        self.delta_used = False
        """What is in the slot came of it."""
        self.promoted = False
        """Staged before, and to be tried now although its want says to stage only."""
        self.told = False
        """An event said that the download began."""
        self.vetted = -1
        """`Trust.serial` when the roles let it go on."""


def blocked_by(job: Job, conditions: Conditions, now: int) -> str:
    """One word for what holds the update back now; empty when nothing does."""
    want = job.want
    policy = want.policy
    if want.hold:
        return "hold"
    if now < job.start_at:
        return "jitter"
    if policy.plugged and not conditions.plugged:
        return "power"
    if conditions.battery_percent < policy.battery_percent_min:
        return "battery"
    if conditions.chip_c > policy.chip_c_max:
        return "heat"
    return ""
