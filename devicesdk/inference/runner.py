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
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import msgspec
import numpy as np

from devicesdk.inference import preprocess
from devicesdk.inference.beside import Beside, SealError, unseal
from devicesdk.inference.carried import Carried, answered_rows, failed_rows
from devicesdk.inference.engine import Engine, Floats, InferenceError, agent_rows
from devicesdk.inference.frames import Frame
from devicesdk.inference.kit import KitError, KitOutcome, judge, unpack_kit
from devicesdk.inference.onnx import ModelError, OnnxEngine, Stopped, metadata_of, open_session
from devicesdk.inference.pictures import PictureError
from devicesdk.inference.preprocess import Bytes
from devicesdk.inference.reduce import reduced
from devicesdk.inference.summary import row_of
from devicesdk.inference.tasks import NOTHING, Sample, interpret
from devicesdk.inference.tensor_kit import judge_tensors, unpack_tensor_kit
from devicesdk.inference.tensors import TensorEngine, as_sample

_Given = TypeVar("_Given")
Prepared: TypeAlias = Any
"""A frame as one runner's model takes it: pixels of a dial, or named tensors."""
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
        return Runner(OnnxEngine(session), known, Carried(known, metadata_of(session)))
    except ModelError as error:
        raise CannotRun("model", str(error)) from error


class AnyRunner(Protocol):
    """An opened image with what its bundle pins."""

    known: Beside

    def prepare(self, frame: Frame, side: int = 0) -> Prepared:
        """Make a frame the model's input.

        Args:
            frame: an array (for a dial reader uint8 of shape (h, w) or (h, w, 3)), or named tensors.
            side: of a dial, reduced to so many pixels a side; 0: as the bundle pins it.

        Raises:
            ValueError: the frame does not fit the bundle's pinned operations or the model.
        """
        ...

    def run(self, prepared: Prepared, variant: str, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run one prepared frame; a run that fails or is stopped is a frame in error.

        Args:
            prepared: by `prepare` of this very runner.
            variant: empty for the image's own.
            stopwatch: measures the model alone.

        Returns:
            The row, as `engine.agent_rows` spells it, and the latency in ns.
        """
        ...

    def answer(self, frames: Sequence[Prepared], outputs: bytes) -> list[list[int]]:
        """Rows of prepared frames that the gateway ran."""
        ...

    def read(self, frame: Frame, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """`prepare` and `run` the image's own model."""
        ...

    def judge(self, kit_digest: str, stopwatch: Stopwatch) -> Judgement:
        """Run the validation kit and hold it against the goldens and the budgets; lighter models in the
        image, which the device may switch to, are held against their own goldens.

        Args:
            kit_digest: SHA-256 in hex that the signed manifest names; empty: it names none.
            stopwatch: measures each sample.
        """
        ...

    def probe(self) -> KitOutcome:
        """Run the validation kit as a golden probe: outputs alone are judged, not budgets.

        Raises:
            KitError: the image carries no kit for its variant.
        """
        ...


class Runner:
    """A dial reader with what its bundle pins.

    Args:
        engine: the loaded model.
        known: what is beside it.
    """

    __slots__ = ("_carried", "_engine", "known")

    def __init__(self, engine: Engine, known: Beside, carried: Carried | None = None) -> None:
        self._engine, self.known = engine, known
        self._carried = Carried(known, {}) if carried is None else carried

    def prepare(self, frame: Frame, side: int = 0) -> Floats:
        """Turn a camera frame into pixels, shape (1, 1024); see `AnyRunner.prepare`."""
        picture = as_picture(frame)
        pixels = preprocess.prepare(picture[np.newaxis], self.known.spec.preprocess)
        return reduced(pixels, side)

    def run(self, prepared: Floats, variant: str, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run pixels on a variant; see `AnyRunner.run`."""
        pixels, edges, began = prepared, self.known.spec.edges, 0
        try:
            own = variant in ("", self.known.variant)
            runs = self._engine if own else self._carried.engine(variant)
            began = stopwatch()
            probabilities = runs.run(pixels)
            latency_ns = stopwatch() - began
            made = preprocess.quantise(pixels, probabilities, edges).rows
        except Stopped:
            latency_ns = stopwatch() - began
            made = failed_rows(pixels, edges, InferenceError.TIMEOUT)
        except ModelError:
            latency_ns = 0
            made = failed_rows(pixels, edges, InferenceError.FAILED)
        return agent_rows(made)[0], latency_ns

    def answer(self, frames: Sequence[Floats], outputs: bytes) -> list[list[int]]:
        """Rows of pixels that the gateway ran."""
        pixels = np.concatenate(list(frames))
        return agent_rows(answered_rows(pixels, outputs, self.known.spec.edges))

    def read(self, frame: Frame, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run one camera frame; see `AnyRunner.read`."""
        return self.run(self.prepare(frame), "", stopwatch)

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
            for name in self._carried.names if outcome.passed else ():
                outcome = judge(kit, rule, name, self._carried.engine(name).run(images))
                if not outcome.passed:
                    break
        except KitError:
            return Judgement(passed=False, reason="kit")
        except Stopped:
            return Judgement(passed=False, reason="timeout")
        except ModelError:
            return Judgement(passed=False, reason="model")
        return _judgement(known, outcome, latency_ns)

    def probe(self) -> KitOutcome:
        """Run the kit as a golden probe; see `AnyRunner.probe`."""
        kit, spec = unpack_kit(self.known.kit), self.known.spec
        return judge(kit, spec.kit.rule, self.known.variant, self._engine.run(kit.images()))


class TensorRunner:
    """A model with a task, with what its bundle pins.

    Args:
        engine: the loaded model.
        known: what is beside it.
    """

    __slots__ = ("_engine", "known")

    def __init__(self, engine: TensorEngine, known: Beside) -> None:
        self._engine, self.known = engine, known

    def prepare(self, frame: Frame, side: int = 0) -> Sample:
        """Named tensors; their shapes are pinned, so `side` is not looked at."""
        del side
        return as_sample(frame, self._engine.task, self.known.spec.preprocess)

    def run(self, prepared: Sample, variant: str, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run a sample; see `AnyRunner.run`. No image of a task carries another variant."""
        spec, task, began = self.known.spec, self._engine.task, stopwatch()
        error, latency_ns = InferenceError.FAILED, 0
        try:
            self._only_own(variant)
            output = self._engine.run_raw(prepared)
            latency_ns = stopwatch() - began
            finished = self._engine.finish(output, prepared)
        except Stopped:
            error, latency_ns = InferenceError.TIMEOUT, stopwatch() - began
        except ModelError:
            pass
        else:
            said = interpret(task, finished.astype(np.float64))
            return row_of(task, spec.edges, prepared, said), latency_ns
        return [*row_of(task, spec.edges, prepared, NOTHING)[:-1], int(error)], latency_ns

    def _only_own(self, variant: str) -> None:
        if variant not in ("", self.known.variant):
            raise ModelError(f"expected {self.known.variant} in this image, found {variant!r}")

    def answer(self, frames: Sequence[Sample], outputs: bytes) -> list[list[int]]:
        """None: the gateway runs dial readers only, and the policy of a task says so."""
        del frames, outputs
        return []

    def read(self, frame: Frame, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run one frame; see `AnyRunner.read`."""
        return self.run(self.prepare(frame), "", stopwatch)

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

    def probe(self) -> KitOutcome:
        """Run the kit as a golden probe; see `AnyRunner.probe`."""
        known, task = self.known, self._engine.task
        kit = unpack_tensor_kit(known.kit, task)
        outputs = [self._engine.run(sample) for sample in kit.samples]
        return judge_tensors(kit, known.spec.kit.rule, task, known.variant, outputs)


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
