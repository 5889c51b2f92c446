"""The models that one image carries, opened: its own, lighter ones, and the rule.

Decides how a variant is found in an opened image, what a frame is worth that could not be run, and what
is made of somebody else's outputs. Leaves out how an image is sealed (devicesdk/bundle/sealed.py) and when
which variant runs (devicesdk/agent/choosing.py).

Rules: a lighter model is opened when it is first asked for, and kept; what cannot be run is a frame in
error, with its features: the agent falls back, the device goes on.
"""

from __future__ import annotations

import base64

import numpy as np

from devicesdk.bundle.manifest import RULE
from devicesdk.bundle.sealed import ALSO_PREFIX
from devicesdk.inference import preprocess
from devicesdk.inference.beside import Beside
from devicesdk.inference.engine import COLUMN_ERROR, LABELS, Engine, Floats, InferenceError, Rows
from devicesdk.inference.onnx import ModelError, OnnxEngine
from devicesdk.inference.preprocess import Edges
from devicesdk.inference.rule import DialRule


class Carried:
    """The variants of one image.

    Args:
        known: what is beside its own model.
        metadata: of the opened image.
    """

    __slots__ = ("_known", "_metadata", "_opened")

    def __init__(self, known: Beside, metadata: dict[str, str]) -> None:
        self._known = known
        self._metadata = {
            key.removeprefix(ALSO_PREFIX): value
            for key, value in metadata.items()
            if key.startswith(ALSO_PREFIX)
        }
        self._opened: dict[str, Engine] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Lighter models in the image, in its order; the rule is not a model."""
        return tuple(name for name in self._metadata if name != RULE)

    def engine(self, variant: str) -> Engine:
        """The model of a lighter variant, or the rule.

        Raises:
            ModelError: the image does not carry it, or it is not a model that runs here.
        """
        found = self._opened.get(variant)
        if found is None:
            found = self._opened[variant] = self._open(variant)
        return found

    def _open(self, variant: str) -> Engine:
        if variant == RULE:
            if self._known.spec.labels != LABELS:
                raise ModelError(
                    f"expected a dial reader with {LABELS} labels for the rule, found "
                    f"{self._known.spec.labels}"
                )
            return DialRule()
        text = self._metadata.get(variant)
        if text is None:
            raise ModelError(
                f"expected a variant out of {(self._known.variant, *self._metadata)} in the image, "
                f"found {variant!r}"
            )
        try:
            return OnnxEngine(base64.b64decode(text, validate=True))
        except ValueError as error:
            raise ModelError(f"expected a model as {variant}, found: {error}") from error


def failed_rows(pixels: Floats, edges: Edges, error: InferenceError) -> Rows:
    """Rows of frames that were not run, with their features; int16, shape (n, 13)."""
    nothing = np.full((len(pixels), LABELS), np.nan, dtype=np.float32)
    rows = preprocess.quantise(pixels, nothing, edges).rows
    rows[:, COLUMN_ERROR] = error
    return rows


def answered_rows(pixels: Floats, outputs: bytes, edges: Edges) -> Rows:
    """Rows of frames that somebody else ran.

    Args:
        pixels: prepared pictures, shape (n, 1024).
        outputs: little-endian float32, `LABELS` a frame; anything else makes frames in error.
        edges: pinned by the bundle.
    """
    if len(outputs) != 4 * LABELS * len(pixels):
        return failed_rows(pixels, edges, InferenceError.NO_ANSWER)
    probabilities = np.frombuffer(outputs, dtype="<f4").reshape(-1, LABELS).astype(np.float32)
    return preprocess.quantise(pixels, probabilities, edges).rows
