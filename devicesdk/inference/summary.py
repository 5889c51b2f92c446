"""Eight cheap statistics of any input: what telemetry sees of data that it must not see.

Decides which numbers describe the tensors of one sample and how they become bins. Leaves out a dial's
physical features (preprocess.py) and where the pinned edges come from (devicesdk/packing).

Rules: all inputs of a sample count as one row of real numbers; a statistic is a whole number of units, a
power of ten that the bundle pins so that the population it was built from spreads over some ten thousand
of them; what is not finite counts as 0 and shows by the model's output.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from devicesdk.inference import engine
from devicesdk.inference.engine import InferenceError
from devicesdk.inference.preprocess import Edges
from devicesdk.inference.tasks import Doubles, Meaning, Sample, Task

STATISTICS: Final = (
    "mean", "deviation", "lowest", "highest", "median", "zeros", "roughness", "length",
)  # fmt: skip
"""Mean, standard deviation, extremes, median, share of zeros, mean size of the step from one number to the
next, and how many numbers there are."""

_UNITS_MAX: Final = 1e12


def statistics(sample: Sample) -> Doubles:
    """The eight statistics of one sample, in the order of `STATISTICS`; shape (8,)."""
    parts = [np.asarray(tensor, dtype=np.float64).ravel() for tensor in sample.values()]
    row = parts[0] if len(parts) == 1 else np.concatenate(parts)
    row = np.nan_to_num(row, nan=0.0, posinf=0.0, neginf=0.0)
    if not row.size:
        return np.zeros(engine.FEATURES)
    steps = float(np.abs(np.diff(row)).mean()) if row.size > 1 else 0.0
    zeros = 1.0 - np.count_nonzero(row) / row.size
    return np.array(
        [row.mean(), row.std(), row.min(), row.max(), np.median(row), zeros, steps, row.size],
        dtype=np.float64,
    )


def in_units(found: Doubles, units: tuple[int, ...]) -> list[int]:
    """Statistics as whole numbers of pinned units (powers of ten)."""
    scaled = found * np.power(10.0, -np.array(units, dtype=np.float64))
    return [int(value) for value in np.rint(np.clip(scaled, -_UNITS_MAX, _UNITS_MAX))]


def row_of(task: Task, edges: Edges, sample: Sample, said: Meaning) -> list[int]:
    """The row of one sample, as `engine.agent_rows` spells it: twelve small integers.

    Reading, confidence bin, entropy bin, eight feature bins, error code.
    """
    bins = [
        int(np.searchsorted(row, value, side="right"))
        for row, value in zip(edges.features, in_units(statistics(sample), task.units), strict=True)
    ]
    if not said.finite:
        return [0, 0, engine.ENTROPY_BINS - 1, *bins, int(InferenceError.NOT_FINITE)]
    confidence = int(np.searchsorted(edges.confidence, said.confidence, side="right"))
    entropy = int(np.searchsorted(edges.entropy, said.entropy, side="right"))
    return [said.reading, confidence, entropy, *bins, int(InferenceError.OK)]
