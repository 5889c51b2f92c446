"""Pinned bins and the counts of a population in them: what telemetry is compared with.

Decides the edges (quantiles of a healthy population) and how rows become reference histograms. Leaves out
how rows are made (devicesdk/inference) and how they are compared (gateway/core/collect).

Rules: edges are whole numbers and rise strictly, even where a population is constant; no bin is empty (one
is added to each), so a quotient of probabilities is always finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devicesdk.bundle.source import Baseline
from devicesdk.inference import engine
from devicesdk.inference.preprocess import Edges
from devicesdk.inference.tasks import EXPONENT_MAX, Span

FEATURE_TOP: Final = 10**12
_PERMILLE: Final = 1000
_DIGITS: Final = 4


def rising(values: NDArray[np.generic], bins: int, top: int) -> tuple[int, ...]:
    """Inner edges that cut `values` into about equal parts: whole, strictly rising, at most `top`."""
    wanted = np.quantile(np.asarray(values, dtype=np.float64), np.arange(1, bins) / bins)
    edges: list[int] = []
    for cut in np.ceil(wanted).astype(np.int64).tolist():
        edges.append(max(int(cut), edges[-1] + 1 if edges else int(cut)))
    for back, index in enumerate(range(len(edges) - 1, -1, -1)):
        edges[index] = min(edges[index], top - back)
    return tuple(edges)


def pinned(
    confidence: NDArray[np.generic], entropy: NDArray[np.generic], features: NDArray[np.generic]
) -> Edges:
    """Quantiles of what a healthy population shows.

    Args:
        confidence: permille, shape (n,).
        entropy: permille, shape (n,).
        features: whole units, shape (n, 8).
    """
    return Edges(
        confidence=rising(confidence, engine.CONFIDENCE_BINS, _PERMILLE),
        entropy=rising(entropy, engine.ENTROPY_BINS, _PERMILLE),
        features=tuple(rising(column, engine.FEATURE_BINS, FEATURE_TOP) for column in features.T),
    )


def counted(rows: Sequence[list[int]]) -> Baseline:
    """Count rows, as `engine.agent_rows` spells them; rows in error are left out."""
    good = [row for row in rows if not row[-1]]
    table = np.array(good, dtype=np.int64).reshape(len(good), engine.COLUMNS - 1)

    def counts(column: int, bins: int) -> tuple[int, ...]:
        return tuple((np.bincount(table[:, column], minlength=bins) + 1).tolist())

    return Baseline(
        frames=len(good),
        confidence=counts(1, engine.CONFIDENCE_BINS),
        entropy=counts(2, engine.ENTROPY_BINS),
        features=tuple(counts(3 + index, engine.FEATURE_BINS) for index in range(engine.FEATURES)),
    )


def unit_for(values: NDArray[np.float64]) -> int:
    """The power of ten of which a population spreads over some ten thousand."""
    spread = float(values.max() - values.min()) or float(np.abs(values).max())
    if not spread or not math.isfinite(spread):
        return 0
    exponent = math.floor(math.log10(spread)) - _DIGITS
    return max(-EXPONENT_MAX, min(EXPONENT_MAX, exponent))


def span_of(low: float, high: float) -> Span:
    """The range of real numbers as a pinned one, some four digits exact and never empty."""
    if not high > low:
        reach = abs(low) or 1.0
        low, high = low - reach, high + reach
    exponent = unit_for(np.array([low, high]))
    unit = 10.0**exponent
    return Span(low=math.floor(low / unit), high=math.ceil(high / unit), exponent=exponent)
