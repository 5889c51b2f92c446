"""An installed image that runs: from a camera frame to a row of small integers.

Decides how an image is opened, what its validation kit says of this very device, and how one frame
is read. Leaves out where images and frames come from (devicesdk/host), and when anything is run.

Rules: an image whose bytes are not those that were verified does not open; an image for which no kit
is at hand has failed its kit, because nobody knows what it should say; latency is measured a sample
at a time, after one that warms up, by a stopwatch that is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec
import numpy as np

from devicesdk.inference import preprocess
from devicesdk.inference.beside import Beside, SealError, unseal
from devicesdk.inference.carried import Carried, answered_rows, failed_rows
from devicesdk.inference.engine import Engine, Floats, InferenceError, agent_rows
from devicesdk.inference.kit import Kit, KitError, judge, unpack_kit
from devicesdk.inference.onnx import ModelError, OnnxEngine, Stopped
from devicesdk.inference.preprocess import Bytes
from devicesdk.inference.reduce import reduced

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


def open_image(image: bytes, digest: bytes, shelf: Shelf) -> Runner:
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
        engine = OnnxEngine(image)
        known = unseal(engine.metadata()) or shelf(found)
    except (ModelError, SealError) as error:
        raise CannotRun("model", str(error)) from error
    if known is None:
        raise CannotRun(
            "kit",
            f"expected an image that carries its kit, or the bundle of image {found.hex()} in a "
            "bundle directory of this device, found neither: publish it sealed, or name the "
            "directory",
        )
    return Runner(engine, known, Carried(known, engine.metadata()))


class Runner:
    """One model with what its bundle pins.

    Args:
        engine: the loaded model.
        known: what is beside it.
    """

    __slots__ = ("_carried", "_engine", "known")

    def __init__(self, engine: Engine, known: Beside, carried: Carried | None = None) -> None:
        self._engine, self.known = engine, known
        self._carried = Carried(known, {}) if carried is None else carried

    def prepare(self, frame: Bytes, side: int = 0) -> Floats:
        """Turn a camera frame into the model's input, shape (1, 1024), on `side` pixels a side.

        Raises:
            ValueError: the frame does not fit the bundle's pinned operations.
        """
        pixels = preprocess.prepare(frame[np.newaxis], self.known.spec.preprocess)
        return reduced(pixels, side)

    def run(self, pixels: Floats, variant: str, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run one prepared frame on a variant; a run that fails or is stopped is a frame in error.

        Args:
            pixels: shape (1, 1024).
            variant: empty for the image's own.
            stopwatch: measures the model alone.

        Returns:
            As `read`.
        """
        edges, began = self.known.spec.edges, 0
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

    def answer(self, pixels: Floats, outputs: bytes) -> list[list[int]]:
        """Rows of frames, shape (n, 1024), that the gateway ran."""
        return agent_rows(answered_rows(pixels, outputs, self.known.spec.edges))

    def read(self, frame: Bytes, stopwatch: Stopwatch) -> tuple[list[int], int]:
        """Run one camera frame.

        Args:
            frame: uint8, shape (h, w) or (h, w, 3).
            stopwatch: measures the model alone.

        Returns:
            The row, as `engine.agent_rows` spells it, and the latency in ns.

        Raises:
            ValueError: the frame does not fit the bundle's pinned operations.
        """
        return self.run(self.prepare(frame), "", stopwatch)

    def judge(self, kit_digest: str, stopwatch: Stopwatch) -> Judgement:
        """Run the validation kit and hold it against the goldens and the budgets; lighter models in the
        image, which the device may switch to, are held against their own goldens.

        Args:
            kit_digest: SHA-256 in hex that the signed manifest names; empty: it names none.
            stopwatch: measures each sample.
        """
        known, spec = self.known, self.known.spec
        if kit_digest and sha256(known.kit).hexdigest() != kit_digest:
            return Judgement(passed=False, reason="kit")
        try:
            kit = unpack_kit(known.kit)
            outputs, latency_ns = self._run(kit, stopwatch)
            outcome = judge(kit, spec.kit.rule, known.variant, outputs)
            for name in self._carried.names if outcome.passed else ():
                engine = self._carried.engine(name)
                outcome = judge(kit, spec.kit.rule, name, engine.run(kit.images()))
                if not outcome.passed:
                    break
        except KitError:
            return Judgement(passed=False, reason="kit")
        except Stopped:
            return Judgement(passed=False, reason="timeout")
        except ModelError:
            return Judgement(passed=False, reason="model")
        reason, memory_kib = "", spec.variants[known.variant].memory_kib
        if not outcome.passed:
            reason = "nan" if outcome.not_finite else "deviation"
        elif latency_ns > spec.budgets.latency_ms_p95_max * _MS:
            reason = "latency"
        elif memory_kib > spec.budgets.memory_mib_max * _KIB_A_MIB:
            reason = "memory"
        return Judgement(not reason, reason, outcome.worst_permille, latency_ns // _US)

    def _run(self, kit: Kit, stopwatch: Stopwatch) -> tuple[Floats, int]:
        images = kit.images()
        self._engine.run(images[:1])
        outputs, latencies = [], []
        for row in range(len(images)):
            began = stopwatch()
            outputs.append(self._engine.run(images[row : row + 1]))
            latencies.append(stopwatch() - began)
        latencies.sort()
        return np.concatenate(outputs), latencies[math.ceil(_P95 * len(latencies)) - 1]
