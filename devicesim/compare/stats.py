"""Paired differences and how sure one may be of them.

Decides the estimators: the mean of paired differences B - A, and an interval that covers 95 %. Over the
devices of one run it is the percentile bootstrap (Efron 1979, "Bootstrap methods: another look at the
jackknife"): devices are drawn with replacement, both of a pair together, the same draws for every measure.
Over seeds it is Student's t (1908) on the mean difference of each seed. Leaves out which measures there
are and what is better.

Rules: devices of one run share a broker and are not independent, so an interval over them speaks of this
run only; one over seeds speaks of the policies. The draws come from a named stream: the same two runs give
the same interval, bit for bit. A pair counts where both of it have a value.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from devicesim.entropy import Entropy

Over = Literal["devices", "seeds"]
Table = NDArray[np.float64]

CONFIDENCE: Final = 0.95
REPLICATES: Final = 2000
_AT_ONCE: Final = 2_000_000
"""Draws held in memory at a time."""
_T_975: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
    2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
    2.045, 2.042,
)  # fmt: skip
"""97.5 % points of Student's t for 1, 2, ... 30 degrees of freedom."""
_Z_975: Final = 1.959964


class Interval(msgspec.Struct, frozen=True):
    """Covers the mean difference with 95 %; `over` says what was taken as the unit, `n` how many."""

    low: float
    high: float
    over: Over
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether no difference at all is outside of it."""
        return self.low > 0.0 or self.high < 0.0


def over_devices(differences: Table, seed: int) -> list[Interval | None]:
    """Bootstrap the mean of each column.

    Args:
        differences: B - A, shape (devices, measures); NaN where one of a pair has no value.
        seed: master of the stream that the draws come from.

    Returns:
        For each column its interval; None where fewer than two pairs have a value.
    """
    known = np.isfinite(differences)
    filled = np.where(known, differences, 0.0)
    sums, counts = _resampled(filled, known.astype(np.float64), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts
    tail = 100.0 * (1.0 - CONFIDENCE) / 2.0
    found: list[Interval | None] = []
    for column in range(differences.shape[1]):
        pairs = int(known[:, column].sum())
        drawn = means[np.isfinite(means[:, column]), column]
        if pairs < 2 or not len(drawn):
            found.append(None)
            continue
        low, high = np.percentile(drawn, [tail, 100.0 - tail])
        found.append(Interval(float(low), float(high), "devices", pairs))
    return found


def _resampled(values: Table, known: Table, seed: int) -> tuple[Table, Table]:
    """Sums of values and of pairs in each replicate, shape (replicates, measures)."""
    devices = len(values)
    key = Entropy(seed).stream("compare", "bootstrap").at(0)
    generator = np.random.Generator(np.random.Philox(key=key))
    rows = max(1, _AT_ONCE // max(1, devices))
    sums, counts = [], []
    for start in range(0, REPLICATES, rows):
        take = min(rows, REPLICATES - start)
        drawn = generator.integers(0, devices, size=(take, devices))
        drawn += np.arange(take)[:, None] * devices
        times = np.bincount(drawn.ravel(), minlength=take * devices).reshape(take, devices)
        weights = times.astype(np.float64)
        sums.append(weights @ values)
        counts.append(weights @ known)
    return np.concatenate(sums), np.concatenate(counts)


def over_seeds(differences: list[float]) -> Interval | None:
    """Student's interval of the mean of one difference a seed; None of fewer than two seeds."""
    known = [value for value in differences if math.isfinite(value)]
    count = len(known)
    if count < 2:
        return None
    mean = math.fsum(known) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (count - 1))
    reach = t_975(count - 1) * spread / math.sqrt(count)
    return Interval(mean - reach, mean + reach, "seeds", count)


def t_975(freedom: int) -> float:
    """The 97.5 % point of Student's t; beyond the table by the first terms of Cornish and Fisher (1938)."""
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = _Z_975
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
