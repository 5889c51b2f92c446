"""Rows of a telemetry window counted into exact histograms.

Decides nothing: a window's numbers are sums, so they merge, and they are the same whatever the order
of the frames. Leaves out the window itself (devicesdk/agent) and its bytes (devicesdk/wire).
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from devicesdk.inference import engine
from devicesdk.inference.engine import InferenceError, Rows


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Exact histograms of a window's rows, as telemetry wants them: lists of counts."""

    frames: int
    confidence: list[int]
    entropy: list[int]
    features: list[int]
    """Eight times ten counts, row by row."""
    labels: list[int]
    errors: dict[str, int]


_CELL_FIRST: Final = np.array(
    [0, engine.CONFIDENCE_BINS]
    + [
        engine.CONFIDENCE_BINS + engine.ENTROPY_BINS + engine.FEATURE_BINS * index
        for index in range(engine.FEATURES)
    ],
    dtype=np.int64,
)
_CELL_COLUMNS: Final = np.array(
    [
        engine.COLUMN_CONFIDENCE,
        engine.COLUMN_ENTROPY,
        *range(engine.COLUMN_FEATURES, engine.COLUMNS),
    ]
)
_CELLS: Final = engine.CONFIDENCE_BINS + engine.ENTROPY_BINS + engine.FEATURES * engine.FEATURE_BINS


def tally(rows: Rows) -> Tally:
    """Count a window's rows (int16, shape (n, 13)) into histograms; frames in error count too."""
    cells = (rows[:, _CELL_COLUMNS] + _CELL_FIRST).ravel()
    counts = np.bincount(cells, minlength=_CELLS).tolist()
    good = rows[rows[:, engine.COLUMN_ERROR] == InferenceError.OK]
    labels = np.bincount(good[:, engine.COLUMN_LABEL], minlength=engine.LABELS).tolist()
    failed = np.bincount(rows[:, engine.COLUMN_ERROR], minlength=len(InferenceError))
    first = engine.CONFIDENCE_BINS
    return Tally(
        frames=len(rows),
        confidence=counts[:first],
        entropy=counts[first : first + engine.ENTROPY_BINS],
        features=counts[first + engine.ENTROPY_BINS :],
        labels=labels,
        errors={
            code.label: int(failed[code])
            for code in InferenceError
            if code is not InferenceError.OK and failed[code]
        },
    )
