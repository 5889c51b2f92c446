"""The images in a device's slots, opened and run. Everything here happens in the worker thread.

Decides which image is open (one at a time: the one that was read from last) and where the kit of an
image is looked for. Leaves out what running means (devicesdk/inference/runner.py) and when.

Rules: an image is read from storage with the size and digest that the agent's saved state names; an
image that cannot be run is tried again only after another was activated; a frame that could not be
taken or run is said once and then counted, and stands for nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from devicesdk.agent.snapshot import Slot
from devicesdk.bundle.source import BUNDLE_FILE, SourceError
from devicesdk.host.camera import Camera, NoFrameError
from devicesdk.host.storage import READ_BYTES_MAX, Storage, StorageRefused
from devicesdk.inference.beside import Beside, beside_in
from devicesdk.inference.runner import AnyRunner, CannotRun, Judgement, Stopwatch, open_image

BUNDLES_MAX: Final = 256
_log = logging.getLogger("fleetdrill.device")


class Frame(msgspec.Struct, frozen=True):
    """One frame that ran."""

    row: list[int]
    """As `devicesdk.inference.engine.agent_rows` spells it."""
    latency_ns: int


class BundleShelf:
    """Bundle directories of this machine, for images that carry no kit of their own.

    Args:
        folders: each a bundle directory, or one that has some below it (two levels).
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def __call__(self, image: bytes) -> Beside | None:
        """What belongs to the image with this digest, or None."""
        for folder in self._folders:
            for depth in ("", "*/", "*/*/"):
                found = sorted(folder.glob(depth + BUNDLE_FILE))[:BUNDLES_MAX]
                for path in found:
                    known = self._look(path.parent, image)
                    if known is not None:
                        return known
        return None

    @staticmethod
    def _look(folder: Path, image: bytes) -> Beside | None:
        try:
            if image.hex() not in (folder / BUNDLE_FILE).read_text(encoding="utf-8"):
                return None
            return beside_in(folder, image)
        except (OSError, ValueError, SourceError) as error:
            _log.warning("bundle=%s unusable=%s", folder, error)
            return None


class Models:
    """Opens and runs what is in the slots.

    Args:
        storage: where the slots are.
        camera: takes frames.
        shelf: finds kits.
        stopwatch: measures latencies, in real ns.
    """

    def __init__(
        self, storage: Storage, camera: Camera, shelf: BundleShelf, stopwatch: Stopwatch
    ) -> None:
        self._storage, self._camera, self._shelf = storage, camera, shelf
        self._stopwatch = stopwatch
        self._open: AnyRunner | None = None
        self._opened: tuple[str, Slot] | None = None
        self.missed = 0
        """Frames that could not be taken or run."""

    def judge(self, slot: str, holds: Slot, kit_digest: str) -> Judgement:
        """Run the validation kit of what a slot holds."""
        try:
            return self._load(slot, holds).judge(kit_digest, self._stopwatch)
        except CannotRun as error:
            _log.error("kit=%s slot=%s why=%s", error.reason, slot, error)
            return Judgement(passed=False, reason=error.reason)

    def frame(self, slot: str, holds: Slot, now: int) -> Frame | None:
        """Take a frame and run it; None: there is none this time."""
        try:
            runner = self._runner(slot, holds)
            if runner is None:
                return None
            row, latency_ns = runner.read(self._camera.frame(now), self._stopwatch)
        except (NoFrameError, ValueError) as error:
            self.missed += 1
            _log.warning("frame=missed count=%d why=%s", self.missed, error)
            return None
        return Frame(row, latency_ns)

    def _runner(self, slot: str, holds: Slot) -> AnyRunner | None:
        if self._opened != (slot, holds):
            self._open, self._opened = None, (slot, holds)
            try:
                self._open = self._load(slot, holds)
            except CannotRun as error:
                _log.error("model=%s slot=%s why=%s", error.reason, slot, error)
        return self._open

    def _load(self, slot: str, holds: Slot) -> AnyRunner:
        try:
            image = self._storage.read(f"slot-{slot}", holds.size_bytes or READ_BYTES_MAX)
        except StorageRefused as error:
            raise CannotRun("model", str(error)) from error
        if image is None:
            raise CannotRun("model", f"expected an image in slot {slot}, found no file")
        return open_image(image, holds.image, self._shelf)
