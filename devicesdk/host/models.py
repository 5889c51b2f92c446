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
from typing import Final, TypeAlias

import msgspec

from devicesdk.agent.effects import PLAIN, Mode
from devicesdk.agent.snapshot import Slot
from devicesdk.agent.stimuli import ProbeRan
from devicesdk.bundle.source import BUNDLE_FILE, SourceError
from devicesdk.host.camera import Camera, NoFrameError
from devicesdk.host.storage import READ_BYTES_MAX, Storage, StorageRefused
from devicesdk.inference.beside import Beside, beside_in
from devicesdk.inference.frames import Frame as Picture
from devicesdk.inference.kit import KitError
from devicesdk.inference.onnx import stop_all
from devicesdk.inference.runner import (
    AnyRunner,
    CannotRun,
    Judgement,
    Prepared,
    Stopwatch,
    open_image,
)

BUNDLES_MAX: Final = 256
_WORST_PERMILLE: Final = 1000
LIMIT_S: Final = 15.0
KIT_LIMITS: Final = 8
"""A validation kit may take so many times as long as a frame."""
_FAILED: Final = (*[0] * 11, 1)
"""The row of a frame that a model could not run at all."""
_log = logging.getLogger("fleetdrill.device")


class Frame(msgspec.Struct, frozen=True):
    """One frame that ran."""

    row: list[int]
    """As `devicesdk.inference.engine.agent_rows` spells it."""
    latency_ns: int
    shadow: Frame | None = None
    """What the other slot's model made of the same picture, where it was asked."""


Pixels: TypeAlias = Prepared
"""One frame as the model takes it, shape (1, 1024)."""


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
        limit_s: how long taking and running one frame may take.
    """

    def __init__(
        self,
        storage: Storage,
        camera: Camera,
        shelf: BundleShelf,
        stopwatch: Stopwatch,
        limit_s: float = LIMIT_S,
    ) -> None:
        self.limit_s = limit_s
        self._storage, self._camera, self._shelf = storage, camera, shelf
        self._stopwatch = stopwatch
        self._open: AnyRunner | None = None
        self._opened: tuple[str, Slot] | None = None
        self._beside: AnyRunner | None = None
        self._beside_holds: tuple[str, Slot] | None = None
        """Open while a shadow runs, and no longer: it is memory."""
        self.missed = 0
        """Frames that could not be taken or run."""

    def judge(self, slot: str, holds: Slot, kit_digest: str) -> Judgement:
        """Run the validation kit of what a slot holds."""
        try:
            return self._load(slot, holds).judge(kit_digest, self._stopwatch)
        except CannotRun as error:
            _log.error("kit=%s slot=%s why=%s", error.reason, slot, error)
            return Judgement(passed=False, reason=error.reason)

    def probe(self, slot: str, holds: Slot) -> ProbeRan:
        """Run the kit of what is active again, on the very session that reads frames; what cannot run
        has failed as badly as can be."""
        try:
            runner = self._runner(slot, holds)
            outcome = None if runner is None else runner.probe()
        except KitError as error:
            _log.error("probe=failed slot=%s why=%s", slot, error)
            outcome = None
        if outcome is None:
            return ProbeRan(slot, False, _WORST_PERMILLE, _WORST_PERMILLE, 0)
        return ProbeRan(
            slot,
            outcome.passed,
            outcome.residual_permille,
            outcome.worst_permille,
            outcome.argmax_mismatches,
            outcome.resembles,
        )

    def frame(self, slot: str, holds: Slot, now: int, mode: Mode = PLAIN) -> Frame | None:
        """Take a frame and run it; None: there is none this time."""
        self._beside = self._beside_holds = None
        pixels = self.take(slot, holds, mode.side, now)
        return None if pixels is None else self.run(slot, holds, pixels, mode.variant)

    def pair(
        self,
        slot: str,
        holds: Slot,
        shadow: str,
        shadow_holds: Slot,
        now: int,
        mode: Mode = PLAIN,
    ) -> Frame | None:
        """Take one frame and run both slots on it; a shadow that cannot run has made an error."""
        picture = self._picture(now)
        runner = None if picture is None else self._runner(slot, holds)
        if picture is None or runner is None:
            return None
        frame = self._read(runner, picture, mode)
        beside = self._shadow_runner(shadow, shadow_holds)
        seen = None if beside is None else self._read(beside, picture, PLAIN)
        if frame is None:
            return None
        return Frame(frame.row, frame.latency_ns, seen or Frame(list(_FAILED), 0))

    def _picture(self, now: int) -> Picture | None:
        try:
            return self._camera.frame(now)
        except NoFrameError as error:
            self._miss(error)
            return None

    def _read(self, runner: AnyRunner, picture: Picture, mode: Mode) -> Frame | None:
        try:
            pixels = runner.prepare(picture, mode.side)
        except ValueError as error:
            self._miss(error)
            return None
        return Frame(*runner.run(pixels, mode.variant, self._stopwatch))

    def _miss(self, error: Exception) -> None:
        self.missed += 1
        _log.warning("frame=missed count=%d why=%s", self.missed, error)

    def take(self, slot: str, holds: Slot, side: int, now: int) -> Pixels | None:
        """Take a frame and make it the model's input; None: there is none this time."""
        try:
            runner = self._runner(slot, holds)
            return None if runner is None else runner.prepare(self._camera.frame(now), side)
        except (NoFrameError, ValueError) as error:
            self._miss(error)
            return None

    def _shadow_runner(self, slot: str, holds: Slot) -> AnyRunner | None:
        if self._beside_holds != (slot, holds):
            self._beside, self._beside_holds = None, (slot, holds)
            try:
                self._beside = self._load(slot, holds)
            except CannotRun as error:
                _log.error("shadow=%s slot=%s why=%s", error.reason, slot, error)
        return self._beside

    def run(self, slot: str, holds: Slot, pixels: Pixels, variant: str) -> Frame | None:
        """Run a frame that was taken; None: nothing runs in this slot."""
        runner = self._runner(slot, holds)
        return None if runner is None else Frame(*runner.run(pixels, variant, self._stopwatch))

    def answer(
        self, slot: str, holds: Slot, frames: list[Pixels], outputs: bytes
    ) -> list[list[int]]:
        """Rows of frames that the gateway ran; none when nothing runs in this slot."""
        runner = self._runner(slot, holds)
        if runner is None or not frames:
            return []
        return runner.answer(frames, outputs)

    def stop(self) -> None:
        """Stop what runs in the worker, if a model does; called from the event loop."""
        stop_all()

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
