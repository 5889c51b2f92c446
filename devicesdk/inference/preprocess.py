"""Before and after the model: pixels to features, probabilities to one row of integers.

Decides how a camera frame becomes the model's input, which eight physical features describe it, and
how probabilities become a reading, a confidence and an entropy. Leaves out the model itself (onnx.py)
and where the pinned bin edges come from (source.py).

Rules: everything is vectorised over a batch; a row's result depends on that row alone; what is not
finite becomes an error code, never a number. Pixels are whole numbers -128 .. 127 in float32, so no sum
here exceeds 2^24 and all are exact, in whatever order BLAS adds: features are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from devicesdk.inference import engine
from devicesdk.inference.engine import Floats, InferenceError, Outputs, Rows

Ints: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]
Flags: TypeAlias = NDArray[np.bool_]

SIDE: Final = 32
PIXELS: Final = SIDE * SIDE
FEATURE_NAMES: Final = (
    "luminance", "contrast", "sharpness", "saturated", "dark", "right_bias", "lower_bias", "reading",
)  # fmt: skip
"""Mean luminance, its deviation, the root mean square of steps between neighbours, shares of pixels
above 250 and below 20, right half minus left, lower minus upper, reading. Units: hundredths of a
luminance step of 255; shares and reading in permille."""

_SATURATED: Final = np.float32(250 - 128)
_DARK: Final = np.float32(20 - 128)
_ALL: Final[Floats] = np.ones(PIXELS, dtype=np.float32)
_SIGNS: Final[Floats] = np.repeat(np.array([-1.0, 1.0], dtype=np.float32), SIDE // 2)
_RIGHT: Final[Floats] = np.tile(_SIGNS, SIDE)
_LOWER: Final[Floats] = np.repeat(_SIGNS, SIDE)
_LABEL_INDEX: Final = np.arange(engine.LABELS, dtype=np.float32)
_READING_REACH: Final = 2
_CONFIDENCE_REACH: Final = 1
_LN_LABELS: Final = float(np.log(engine.LABELS))


class Edges(msgspec.Struct, frozen=True, kw_only=True):
    """Inner bin edges that a bundle pins: whole numbers, strictly rising; bin i is below edge i.

    Confidence and entropy in permille, features in the units of `FEATURE_NAMES`.
    """

    confidence: tuple[int, ...]
    entropy: tuple[int, ...]
    features: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        expected = (engine.CONFIDENCE_BINS - 1, engine.ENTROPY_BINS - 1) + (
            engine.FEATURE_BINS - 1,
        ) * engine.FEATURES
        rows = (self.confidence, self.entropy, *self.features)
        if tuple(len(row) for row in rows) != expected:
            raise ValueError(
                f"expected edges of lengths {expected}, found {tuple(len(row) for row in rows)}"
            )
        for row in rows:
            if any(low >= high for low, high in pairwise(row)):
                raise ValueError(f"expected strictly rising bin edges, found {row}")


def luma601(frames: Bytes) -> Bytes:
    """Colour (n, h, w, 3) to luminance (n, h, w), ITU-R BT.601 weights in integers."""
    if frames.ndim == 3:
        return frames
    red, green, blue = (frames[..., index].astype(np.uint32) for index in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint8)


def area32(frames: Bytes) -> Bytes:
    """Shrink (n, 32 k, 32 m) to (n, 32, 32) by the mean of each block, rounded half up."""
    count, height, width = frames.shape
    if height % SIDE or width % SIDE:
        raise ValueError(
            f"expected a frame whose sides are multiples of {SIDE}, found {height} x {width}; "
            "crop it around the dial first"
        )
    tall, wide = height // SIDE, width // SIDE
    blocks = frames.reshape(count, SIDE, tall, SIDE, wide).astype(np.uint64)
    total = blocks.sum(axis=(2, 4))
    small: Bytes = ((2 * total + tall * wide) // (2 * tall * wide)).astype(np.uint8)
    return small


_OPERATIONS: Final[dict[str, Callable[[Bytes], Bytes]]] = {"luma601": luma601, "area32": area32}
CENTRE: Final = "centre128"
"""The last operation of every list: luminance 0 .. 255 to -128 .. 127 in float32 rows."""


def prepare(frames: Bytes, operations: tuple[str, ...]) -> Floats:
    """Turn camera frames into model input by a bundle's pinned operation list.

    Args:
        frames: uint8, shape (n, h, w) or (n, h, w, 3).
        operations: names out of ``luma601``, ``area32``; ``centre128`` last.

    Returns:
        Pixels, shape (n, 1024).

    Raises:
        ValueError: an unknown operation, or one that does not fit the frames.
    """
    if not operations or operations[-1] != CENTRE:
        raise ValueError(f"expected an operation list that ends in {CENTRE}, found {operations}")
    for name in operations[:-1]:
        if name not in _OPERATIONS:
            raise ValueError(
                f"expected operations out of {sorted(_OPERATIONS)}, found {name!r}; "
                "this bundle needs a newer device"
            )
        frames = _OPERATIONS[name](frames)
    if frames.shape[1:] != (SIDE, SIDE):
        raise ValueError(
            f"expected frames of {SIDE} x {SIDE} after {operations}, found {frames.shape}"
        )
    return frames.reshape(-1, PIXELS).astype(np.float32) - np.float32(128.0)


def describe(pixels: Floats) -> Ints:
    """Seven physical features of each image (the eighth is the reading), in whole units.

    Args:
        pixels: prepared images, shape (n, 1024).

    Returns:
        Shape (n, 7), columns as the first seven of `FEATURE_NAMES`.
    """
    total, right, lower = (
        (pixels @ weights).astype(np.float64) for weights in (_ALL, _RIGHT, _LOWER)
    )
    squares = np.vecdot(pixels, pixels).astype(np.float64)
    neighbours = np.vecdot(pixels[:, 1:], pixels[:, :-1]).astype(np.float64)
    # sum (x[i+1] - x[i])^2 in raster order, without ever storing the differences.
    steps = 2.0 * (squares - neighbours) - (pixels[:, 0] ** 2 + pixels[:, -1] ** 2)
    mean = total / PIXELS
    out = np.empty((len(pixels), engine.FEATURES - 1), dtype=np.float64)
    out[:, 0] = 100.0 * (mean + 128.0)
    out[:, 1] = 100.0 * np.sqrt(np.maximum(squares / PIXELS - mean * mean, 0.0))
    out[:, 2] = 100.0 * np.sqrt(steps / (PIXELS - 1))
    out[:, 3] = 1000.0 / PIXELS * _count(pixels >= _SATURATED)
    out[:, 4] = 1000.0 / PIXELS * _count(pixels <= _DARK)
    out[:, 5] = 200.0 / PIXELS * right
    out[:, 6] = 200.0 / PIXELS * lower
    return np.rint(out).astype(np.int64)


def _count(hits: Flags) -> Ints:
    """Count True per row of 1024, eight bytes at a time: 128 additions a lane fit a byte."""
    lanes = hits.view(np.uint64).sum(axis=1, dtype=np.uint64)
    counts: Ints = lanes.view(np.uint8).reshape(len(hits), 8).sum(axis=1, dtype=np.int64)
    return counts


def interpret(probabilities: Floats) -> tuple[Ints, Ints, Ints, Ints, Flags]:
    """Read a dial from bin probabilities.

    The reading is the centre of mass of the five bins around the peak, the confidence the mass of the
    three, the entropy that of the whole row as a share of ``ln 32``.

    Args:
        probabilities: shape (n, 32).

    Returns:
        reading, confidence and entropy in permille, label, and whether the row is finite; shape (n,).
    """
    finite: Flags = np.asarray(np.isfinite(probabilities).all(axis=1))
    if not finite.all():
        probabilities = np.where(finite[:, None], probabilities, np.float32(1.0 / engine.LABELS))
    label = probabilities.argmax(axis=1)
    away = np.abs(_LABEL_INDEX - label[:, None].astype(np.float32))
    peak = probabilities * (away <= _READING_REACH)
    mass = peak.sum(axis=1)
    sure = np.einsum("ij,ij->i", probabilities, (away <= _CONFIDENCE_REACH).astype(np.float32))
    centre = np.einsum("ij,j->i", peak, _LABEL_INDEX) / np.maximum(mass, np.float32(1e-9))
    surprise = -np.log(np.maximum(probabilities, np.float32(1e-12)))
    entropy = np.einsum("ij,ij->i", probabilities, surprise)
    return (
        np.rint(centre * (1000.0 / (engine.LABELS - 1))).astype(np.int64),
        np.rint(sure * 1000.0).astype(np.int64),
        np.rint(entropy * (1000.0 / _LN_LABELS)).astype(np.int64),
        label.astype(np.int64),
        finite,
    )


@lru_cache(maxsize=64)
def _arrays(edges: Edges) -> tuple[Ints, Ints, tuple[Ints, ...]]:
    """The edges as arrays: every batch of a bundle wants the same."""
    features = tuple(np.asarray(row) for row in edges.features)
    return np.asarray(edges.confidence), np.asarray(edges.entropy), features


def quantise(pixels: Floats, probabilities: Floats, edges: Edges) -> Outputs:
    """Make the rows of a batch.

    Args:
        pixels: what the model saw, shape (n, 1024).
        probabilities: what it said, shape (n, 32).
        edges: pinned by the bundle.
    """
    reading, confidence, entropy, label, finite = interpret(probabilities)
    confidence_edges, entropy_edges, feature_edges = _arrays(edges)
    rows: Rows = np.empty((len(pixels), engine.COLUMNS), dtype=np.int16)
    rows[:, engine.COLUMN_READING] = reading
    rows[:, engine.COLUMN_LABEL] = label
    rows[:, engine.COLUMN_CONFIDENCE] = confidence_edges.searchsorted(confidence, side="right")
    rows[:, engine.COLUMN_ENTROPY] = entropy_edges.searchsorted(entropy, side="right")
    rows[:, engine.COLUMN_ERROR] = InferenceError.OK
    features = describe(pixels)
    for index, row in enumerate(feature_edges):
        value = reading if index == engine.FEATURES - 1 else features[:, index]
        rows[:, engine.COLUMN_FEATURES + index] = row.searchsorted(value, side="right")
    if not finite.all():
        failed = np.flatnonzero(~finite)
        rows[failed, : engine.COLUMN_FEATURES] = (
            0, -1, 0, engine.ENTROPY_BINS - 1, InferenceError.NOT_FINITE,
        )  # fmt: skip
        rows[failed, -1] = 0
    return Outputs(rows)
