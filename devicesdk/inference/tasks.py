"""What a model is for: its inputs, the output that counts, and what becomes of it.

Decides the records that describe any model in ``bundle.json`` (the dial reader, which has none, is
described by preprocess.py alone), and how an output becomes a reading, a label, a confidence and an
entropy. Leaves out the operations before and after the model (operations.py), the features of its input
(summary.py) and running it (tensors.py).

| task | reading, permille | confidence, permille | entropy, permille |
|---|---|---|---|
| classify | label, over the labels | probability of the label | of the probabilities, over ``ln n`` |
| regress | value, over the pinned span | 1000 amid the span, 500 at its ends | 0 |
| embed | strongest component, over all | energy in the strongest eighth | of the energies, over ``ln n`` |
| tensor | mean, over the pinned span | share inside the span | of the energies, over ``ln n`` |

Rules: whole numbers only (canonical JSON has no floats), a real number is so many units of a power of
ten; what is not finite becomes an error code, never a number.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from devicesdk.bundle.source import Strict
from devicesdk.inference import engine

Doubles: TypeAlias = NDArray[np.float64]
Tensor: TypeAlias = NDArray[np.generic]
Sample: TypeAlias = dict[str, Tensor]
"""Named tensors of one sample, without a batch axis."""

TaskKind: TypeAlias = Literal["classify", "regress", "embed", "tensor"]
DType: TypeAlias = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool"
]
FREE: Final = 0
"""An axis whose length differs from sample to sample."""
INPUTS_MAX: Final = 16
AXES_MAX: Final = 8
LABELS_MAX: Final = 4096
EXPONENT_MAX: Final = 30
_PERMILLE: Final = 1000.0
_TINY: Final = 1e-12
_STRONG_SHARE: Final = 8

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Exponent = Annotated[int, Meta(ge=-EXPONENT_MAX, le=EXPONENT_MAX)]


class TensorSpec(Strict, frozen=True, kw_only=True):
    """One input of the model."""

    name: Name
    dtype: DType
    shape: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=AXES_MAX)]
    """Of one sample, without a batch axis; `FREE` where its length differs."""
    batched: bool = True
    """Whether the model has an axis for samples in front of these."""


class Span(Strict, frozen=True, kw_only=True):
    """A range of real numbers: ``low`` to ``high`` units of ten to the ``exponent``."""

    low: int
    high: int
    exponent: Exponent = 0

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"expected a span that rises, found {self.low} to {self.high}")

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends as real numbers."""
        unit = 10.0**self.exponent
        return self.low * unit, self.high * unit


class Task(Strict, frozen=True, kw_only=True):
    """What the model is for."""

    kind: TaskKind
    inputs: Annotated[tuple[TensorSpec, ...], Meta(min_length=1, max_length=INPUTS_MAX)]
    output: Name
    """The output that counts; others are not looked at."""
    output_batched: bool = True
    """Whether the output's first axis is that of the samples."""
    postprocess: tuple[str, ...] = ()
    """Pinned operations on the output; see operations.py."""
    labels: Annotated[tuple[str, ...], Meta(max_length=LABELS_MAX)] = ()
    """Names of the classes; empty where nobody gave any."""
    span: Span | None = None
    """What 0 and 1000 permille stand for, where the task is ``regress`` or ``tensor``."""
    units: tuple[Exponent, ...] = (0,) * engine.FEATURES
    """The features' units, as powers of ten."""

    def __post_init__(self) -> None:
        if self.kind in ("regress", "tensor") and self.span is None:
            raise ValueError(f"expected a span for the task {self.kind}, found none")
        if len(self.units) != engine.FEATURES:
            raise ValueError(f"expected {engine.FEATURES} units, found {len(self.units)}")
        names = [tensor.name for tensor in self.inputs]
        if len({*names}) != len(names):
            raise ValueError(f"expected inputs of different names, found {names}")

    @property
    def distance_span(self) -> float:
        """The distance between two outputs that counts as 1000 permille."""
        if self.span is None:
            return 1.0
        low, high = self.span.ends
        return high - low


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """What one output says, in whole numbers; label is -1 where the task has none."""

    reading: int
    label: int
    confidence: int
    entropy: int
    finite: bool = True


NOTHING: Final = Meaning(0, -1, 0, int(_PERMILLE), finite=False)
"""What an output says that is not finite, or empty."""


def interpret(task: Task, output: Doubles) -> Meaning:
    """Read one output after its pinned operations.

    Args:
        task: of the bundle.
        output: any shape.
    """
    values = output.ravel()
    if not values.size or not np.isfinite(values).all():
        return NOTHING
    if task.kind == "classify":
        label = int(values.argmax())
        reading = _share(label, values.size - 1)
        return Meaning(reading, label, _permille(float(values[label])), _entropy(values))
    if task.kind == "embed":
        return _read_embedding(values)
    assert task.span is not None
    low, high = task.span.ends
    if task.kind == "regress":
        away = abs(float(values[0]) - (low + high) / 2) / (high - low)
        return Meaning(_between(float(values[0]), low, high), -1, _permille(1.0 - away), 0)
    inside = float(((values >= low) & (values <= high)).mean())
    reading = _between(float(values.mean()), low, high)
    return Meaning(reading, -1, _permille(inside), _entropy(values * values))


def _read_embedding(values: Doubles) -> Meaning:
    energies = values * values
    label = int(energies.argmax())
    total = max(float(energies.sum()), _TINY)
    strong = np.sort(energies)[-max(1, values.size // _STRONG_SHARE) :]
    return Meaning(
        _share(label, values.size - 1), label, _permille(float(strong.sum()) / total), _entropy(energies)
    )  # fmt: skip


def distance_permille(task: Task, output: Doubles, golden: Doubles) -> float:
    """How far an output is from its golden: 0 is the same, 1000 as far as anything counts.

    Probabilities by the largest difference, embeddings by the cosine, all others by the largest
    difference over the pinned span. Outputs of other shapes, or not finite, are 1000 away.
    """
    if output.shape != golden.shape or not output.size or not np.isfinite(output).all():
        return _PERMILLE
    if task.kind == "embed":
        a, b = output.ravel(), golden.ravel()
        norms = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
        cosine = float(a @ b) / norms if norms > _TINY else float(not a.any() and not b.any())
        return min(_PERMILLE, max(0.0, _PERMILLE * (1.0 - cosine)))
    apart = float(np.abs(output - golden).max()) / task.distance_span
    return min(_PERMILLE, _PERMILLE * apart)


def margin(task: Task, output: Doubles) -> float:
    """How sure an output is: samples with the lowest margin show a fault first.

    The lead of the best class over the second; for all others the negative size of what is largest,
    because large values saturate first.
    """
    values = output.ravel()
    if task.kind == "classify" and values.size > 1:
        best = np.partition(values, -2)[-2:]
        return float(best[1] - best[0])
    return -float(np.abs(values).max()) if values.size else 0.0


def _permille(share: float) -> int:
    return int(np.rint(_PERMILLE * min(1.0, max(0.0, share))))


def _share(index: int, last: int) -> int:
    return _permille(index / last) if last > 0 else 0


def _between(value: float, low: float, high: float) -> int:
    return _permille((value - low) / (high - low))


def _entropy(weights: Doubles) -> int:
    if weights.size < 2:
        return 0
    total = max(float(weights.sum()), _TINY)
    shares = np.maximum(weights / total, _TINY)
    return _permille(float(-(shares * np.log(shares)).sum()) / float(np.log(weights.size)))
