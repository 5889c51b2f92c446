"""What running a model means: pixels in, probabilities out, one row of small integers a frame.

Decides the shapes, the columns of a result row and the codes of what can go wrong. Leaves out how a
model is run (onnx.py), how rows are made of probabilities (preprocess.py) and what a device does with
them (devicesdk/agent).

Rule: **raw floats never enter a decision, a histogram or a digest.** Processors round the last bit
differently; a row of quantised integers is what the rest of the program sees.
"""

from __future__ import annotations

import enum
from typing import Final, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int16]

LABELS: Final = 32
CONFIDENCE_BINS: Final = 20
ENTROPY_BINS: Final = 16
FEATURES: Final = 8
FEATURE_BINS: Final = 10

COLUMN_READING: Final = 0
"""Permille of full scale, 0 .. 1000."""
COLUMN_LABEL: Final = 1
"""The most probable dial bin, 0 .. 31; -1 where there is none."""
COLUMN_CONFIDENCE: Final = 2
"""Bin 0 .. 19 by the bundle's pinned edges; 19 is surest."""
COLUMN_ENTROPY: Final = 3
"""Bin 0 .. 15 by the bundle's pinned edges; 15 is most undecided."""
COLUMN_ERROR: Final = 4
"""An `InferenceError`; other model columns mean nothing unless it is ``OK``."""
COLUMN_FEATURES: Final = 5
"""First of eight columns, bins 0 .. 9 by the bundle's pinned edges."""
COLUMNS: Final = COLUMN_FEATURES + FEATURES


class InferenceError(enum.IntEnum):
    """Why a frame has no reading. `label` is the key that telemetry counts it under."""

    OK = 0
    NOT_FINITE = 1
    TIMEOUT = 2
    """It took longer than the device lets a model take, and was stopped."""
    FAILED = 3
    """The runtime refused, or the variant is not on the device."""
    NO_ANSWER = 4
    """Asked of the gateway, which said something else."""

    @property
    def label(self) -> str:
        """The word on the wire, such as ``not-finite``."""
        return self.name.lower().replace("_", "-")


class Outputs(msgspec.Struct, frozen=True, gc=False):
    """Results of n frames: `rows` is int16, shape (n, 13), columns as named above."""

    rows: Rows

    @property
    def readings(self) -> Rows:
        """Permille of full scale, shape (n,)."""
        return self.rows[:, COLUMN_READING]

    @property
    def errors(self) -> Rows:
        """An `InferenceError` a frame, shape (n,)."""
        return self.rows[:, COLUMN_ERROR]

    @property
    def features(self) -> Rows:
        """Feature bins, shape (n, 8)."""
        return self.rows[:, COLUMN_FEATURES:]


_AGENT_COLUMNS: Final = [
    COLUMN_READING, COLUMN_CONFIDENCE, COLUMN_ENTROPY,
    *range(COLUMN_FEATURES, COLUMN_FEATURES + FEATURES), COLUMN_ERROR,
]  # fmt: skip


def agent_rows(rows: Rows) -> list[list[int]]:
    """Rows as a device's agent takes them (`devicesdk.agent.stimuli.Readings`).

    Args:
        rows: int16, shape (n, 13), columns as named above.

    Returns:
        One list a frame: reading, confidence bin, entropy bin, eight feature bins, error code.
    """
    lists: list[list[int]] = rows[:, _AGENT_COLUMNS].tolist()
    return lists


class Engine(Protocol):
    """A loaded model.

    Running a row alone or among others, in any order, gives the same bits: implementations that
    cannot promise it for a model must run its rows one by one.
    """

    def run(self, images: Floats) -> Floats:
        """Run one batch.

        Args:
            images: prepared pixels, shape (n, 1024), C-contiguous.

        Returns:
            Probabilities of the 32 dial bins, shape (n, 32); not finite where the model failed.
        """
        ...
