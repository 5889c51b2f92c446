"""An installed image that runs: from a camera frame to a row of small integers.

Decides how an image is opened, what its validation kit says of this very device, and how one frame
is read. Leaves out where images and frames come from (devicesdk/host), and when anything is run.

Rules: an image whose bytes are not those that were verified does not open; an image for which no kit
is at hand has failed its kit, because nobody knows what it should say; latency is measured a sample
at a time, after one that warms up, by a stopwatch that is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec
import numpy as np

from devicesdk.inference import preprocess
from devicesdk.inference.beside import Beside, SealError, unseal
from devicesdk.inference.engine import Engine, Floats, agent_rows
from devicesdk.inference.frames import Frame
from devicesdk.inference.kit import KitError, KitOutcome, judge, unpack_kit
from devicesdk.inference.onnx import ModelError, OnnxEngine, metadata_of, open_session
from devicesdk.inference.pictures import PictureError
from devicesdk.inference.preprocess import Bytes
from devicesdk.inference.summary import row_of
from devicesdk.inference.tasks import interpret
from devicesdk.inference.tensor_kit import judge_tensors, unpack_tensor_kit
from devicesdk.inference.tensors import TensorEngine, as_sample

_Given = TypeVar("_Given")
Stopwatch: TypeAlias = Callable[[], int]
"""Real nanoseconds since some instant."""
Shelf: TypeAlias = Callable[[bytes], Beside | None]
"""From the digest of an image to what is known of it on this device, if anything is."""

_P95: Final = 0.95
_US: Final = 1_000
_MS: Final = 1_000_000
_KIB_A_MIB: Final = 1024


class CannotRun(RuntimeError):
    """The image cannot be run here; `reason` is one word for reports."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Judgement(msgspec.Struct, frozen=True):
    """What the kit said of an image on this device."""

    passed: bool
    reason: str
    """Empty when passed; else ``model``, ``kit``, ``nan``, ``deviation``, ``latency`` or ``memory``."""
    worst_permille: int = 0
    latency_us: int = 0
    """95th percentile of one inference."""


def open_image(image: bytes, digest: bytes, shelf: Shelf) -> AnyRunner:
    """Load an image and what belongs to it.

    Args:
        image: all of it, as storage has it.
        digest: its SHA-256 as it was verified; empty when nobody told.
        shelf: where to look for an image that carries nothing (`devicesdk.bundle.sealed`) itself.

    Raises:
        CannotRun: other bytes, not a model, or nothing is known about its input and its bins.
    """
    found = sha256(image).digest()
    if digest and found != digest:
        raise CannotRun(
            "model",
            f"expected the image {digest.hex()}, found {len(image)} bytes with digest "
            f"{found.hex()}: storage has changed it since it was verified",
        )
    try:
        session = open_session(image)
        known = unseal(metadata_of(session)) or shelf(found)
    except (ModelError, SealError) as error:
        raise CannotRun("model", str(error)) from error
    if known is None:
        raise CannotRun(
            "kit",
            f"expected an image that carries its kit, or the bundle of image {found.hex()} in a "
            "bundle directory of this device, found neither: publish it sealed, or name the "
            "directory",
        )
    task = known.spec.task
    try:
        if task is not None:
            return TensorRunner(TensorEngine(session, task), known)
        return Runner(OnnxEngine(session), known)
    except ModelError as error:
        raise CannotRun("model", str(error)) from error


class AnyRunner(Protocol):
    """An opened image with what its bundle pins."""

    known: Beside

    def read(self, frame: Frame, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run one frame.

        Args:
            frame: an array (for a dial reader uint8 of shape (h, w) or (h, w, 3)), or named tensors.
            stopwatch: measures the model alone.

        Returns:
            The row, as `engine.agent_rows` spells it, and the latency in ns.

        Raises:
            ValueError: the frame does not fit the bundle's pinned operations or the model.
        """
        ...

    def judge(self, kit_digest: str, stopwatch: Stopwatch) -> Judgement:
        """Run the validation kit and hold it against the goldens and the budgets.

        Args:
            kit_digest: SHA-256 in hex that the signed manifest names; empty: it names none.
            stopwatch: measures each sample.
        """
        ...


class Runner:
    """A dial reader with what its bundle pins.

    Args:
        engine: the loaded model.
        known: what is beside it.
    """

    __slots__ = ("_engine", "known")

    def __init__(self, engine: Engine, known: Beside) -> None:
        self._engine, self.known = engine, known

    def read(self, frame: Frame, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run one camera frame; see `AnyRunner.read`."""
        picture = as_picture(frame)
        pixels = preprocess.prepare(picture[np.newaxis], self.known.spec.preprocess)
        began = stopwatch()
        probabilities = self._engine.run(pixels)
        latency_ns = stopwatch() - began
        made = preprocess.quantise(pixels, probabilities, self.known.spec.edges)
        return agent_rows(made.rows)[0], latency_ns

    def judge(self, kit_digest: str, stopwatch: Stopwatch) -> Judgement:
        """Run the validation kit; see `AnyRunner.judge`."""
        known = self.known
        if _other_kit(known, kit_digest):
            return Judgement(passed=False, reason="kit")
        try:
            kit = unpack_kit(known.kit)
            images = kit.images()
            rows = [images[row : row + 1] for row in range(len(images))]
            outputs, latency_ns = _timed(self._engine.run, rows, stopwatch)
            rule = known.spec.kit.rule
            outcome = judge(kit, rule, known.variant, np.concatenate(outputs))
        except KitError:
            return Judgement(passed=False, reason="kit")
        return _judgement(known, outcome, latency_ns)


class TensorRunner:
    """A model with a task, with what its bundle pins.

    Args:
        engine: the loaded model.
        known: what is beside it.
    """

    __slots__ = ("_engine", "known")

    def __init__(self, engine: TensorEngine, known: Beside) -> None:
        self._engine, self.known = engine, known

    def read(self, frame: Frame, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run one frame; see `AnyRunner.read`."""
        spec, task = self.known.spec, self._engine.task
        sample = as_sample(frame, task, spec.preprocess)
        began = stopwatch()
        output = self._engine.run_raw(sample)
        latency_ns = stopwatch() - began
        finished = self._engine.finish(output, sample)
        said = interpret(task, finished.astype(np.float64))
        return row_of(task, spec.edges, sample, said), latency_ns

    def judge(self, kit_digest: str, stopwatch: Stopwatch) -> Judgement:
        """Run the validation kit; see `AnyRunner.judge`."""
        known, task = self.known, self._engine.task
        if _other_kit(known, kit_digest):
            return Judgement(passed=False, reason="kit")
        try:
            kit = unpack_tensor_kit(known.kit, task)
            outputs, latency_ns = _timed(self._engine.run, kit.samples, stopwatch)
            outcome = judge_tensors(kit, known.spec.kit.rule, task, known.variant, outputs)
        except (KitError, ValueError):
            return Judgement(passed=False, reason="kit")
        return _judgement(known, outcome, latency_ns)


def as_picture(frame: Frame) -> Bytes:
    """A frame for a dial reader.

    Raises:
        PictureError: it is no picture.
    """
    grey = not isinstance(frame, dict) and frame.ndim == 2
    colour = not isinstance(frame, dict) and frame.ndim == 3 and frame.shape[2] == 3
    if isinstance(frame, dict) or frame.dtype != np.uint8 or not (grey or colour):
        found = sorted(frame) if isinstance(frame, dict) else f"{frame.dtype} {frame.shape}"
        raise PictureError(f"expected uint8 of shape (h, w) or (h, w, 3), found {found}")
    return frame.view(np.uint8)


def _other_kit(known: Beside, kit_digest: str) -> bool:
    """Whether the kit is another one than the signed manifest names."""
    return bool(kit_digest) and sha256(known.kit).hexdigest() != kit_digest


def _timed(
    run: Callable[[_Given], Floats], samples: Sequence[_Given], stopwatch: Stopwatch
) -> tuple[list[Floats], int]:
    """Outputs of all samples, and the 95th percentile of their latencies in ns."""
    run(samples[0])
    outputs, latencies = [], []
    for sample in samples:
        began = stopwatch()
        outputs.append(run(sample))
        latencies.append(stopwatch() - began)
    latencies.sort()
    return outputs, latencies[math.ceil(_P95 * len(latencies)) - 1]


def _judgement(known: Beside, outcome: KitOutcome, latency_ns: int) -> Judgement:
    spec = known.spec
    reason, memory_kib = "", spec.variants[known.variant].memory_kib
    if not outcome.passed:
        reason = "nan" if outcome.not_finite else "deviation"
    elif latency_ns > spec.budgets.latency_ms_p95_max * _MS:
        reason = "latency"
    elif memory_kib > spec.budgets.memory_mib_max * _KIB_A_MIB:
        reason = "memory"
    return Judgement(not reason, reason, outcome.worst_permille, latency_ns // _US)
