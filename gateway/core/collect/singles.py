"""What devices used to report: single ones that left their habit, and cohorts that did together.

Decides which devices stand out. A device is held against its own habit (what it reported before: cameras
differ from birth) and against its cohort's change in the same window (night falls for all), by the mean
rank of each histogram: 0 is all in the first bin, 1 all in the last. And where windows are whole days, so that
the hour cannot be mistaken for a shift, it decides how sure a cohort's common change is: a paired t-test
over its devices, which sees what a comparison with the baseline cannot, because devices differ more from each other
than each does from itself. Leaves out what it means (verdict.py) and alarms (scoring.py).

Rules: nobody is singled out before `sensor_windows_min` windows of habit, in company of fewer than
`sensor_devices_min` devices, or together with more than `sensor_share_max` of them; it takes
`sensor_windows` windows in a row, and as many to be forgiven; a habit learns nothing while its device
stands out. Beside the record: a restart begins to learn anew, and what stood out then becomes habit. A weak
or slow change is not seen here; what each device can lose unseen is docs/explanation/drift.md's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from devicesdk.wire.timebase import DAY
from gateway.core.collect.limits import CollectLimits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NAMES: Final = ("confidence", "entropy", *(f"feature{index}" for index in range(8)))
"""The histograms that are watched, in the order of the columns of `ranks`."""
_MEMORY: Final = 192
"""Windows that a habit's mean reaches back, about."""
_USUAL: Final = 0.75
"""This share of a cohort's devices is no more restless than what a single one is held against."""
_RANKS_A_SIGMA: Final = 0.5 / math.sqrt(math.pi)
"""A normal law that moves by one standard deviation moves the mean rank by this, for small moves."""
_USUAL_JUMP: Final = 3.0
"""In standard deviations of a habit: what it learns from at most."""
_NOISE: Final = 0.01
"""Standard deviation below which no habit is believed."""


class Change(NamedTuple):
    """How a cohort's histogram moved against its devices' own past."""

    name: str
    p: float
    effect: float
    """As a population stability index: of a normal law that moved as far."""


class Singles:
    """Habits of all devices, by their number.

    Args:
        limits: thresholds.
    """

    __slots__ = ("_away", "_home", "_limits", "_mean", "_out", "_seen", "_square")

    def __init__(self, limits: CollectLimits) -> None:
        self._limits = limits
        self._mean: Floats = np.zeros((0, len(NAMES)))
        self._square: Floats = np.zeros((0, len(NAMES)))
        self._away = np.zeros((0, len(NAMES)), np.int16)
        self._out = np.zeros((0, len(NAMES)), np.bool_)
        self._seen = np.zeros(0, np.int64)
        self._home = np.zeros(0, np.int64)

    def window(
        self, home: int, devices: Ints, ranks: Floats, frozen: Sequence[str] = ()
    ) -> tuple[list[tuple[int, str]], list[Change]]:
        """Take in one cohort's window; returns (device's number, histogram) of all that stand out, and the
        cohort's common changes where windows are whole days.

        Args:
            home: the cohort's number; a device that comes from another begins a new habit.
            devices: numbers of those that spoke, each once.
            ranks: mean ranks, shape (devices, 10); not a number where a histogram was empty.
            frozen: histograms in alarm: habits do not learn from them.
        """
        if not len(devices):
            return [], []
        self._room(int(devices.max()))
        strangers = devices[self._home[devices] != home]
        self._seen[strangers] = 0
        self._out[strangers] = False
        self._away[strangers] = 0
        self._home[strangers] = home
        changes = self._changes(devices, ranks) if self._limits.window_ns % DAY == 0 else []
        odd = self._odd(devices, ranks)
        self._count(devices, odd)
        odd[:, [NAMES.index(name) for name in frozen if name in NAMES]] = True
        self._learn(devices, ranks, odd)
        who, what = np.nonzero(self._out[devices])
        return [(int(devices[i]), NAMES[j]) for i, j in zip(who, what, strict=True)], changes

    def _changes(self, devices: Ints, ranks: Floats) -> list[Change]:
        limits = self._limits
        known = self._seen[devices] >= limits.sensor_windows_min
        count = int(known.sum())
        if count < limits.sensor_devices_min:
            return []
        change = ranks[known] - self._mean[devices[known]]
        out = []
        for name, column in zip(NAMES, change.T.tolist(), strict=True):
            mean = math.fsum(column) / count
            spread = math.sqrt(math.fsum((x - mean) ** 2 for x in column) / (count - 1))
            if spread > 0 and math.isfinite(mean):
                p = _t_tails(mean / spread * math.sqrt(count), count - 1)
                out.append(Change(name, p, (mean / _RANKS_A_SIGMA) ** 2))
        return out

    def _odd(self, devices: Ints, ranks: Floats) -> npt.NDArray[np.bool_]:
        limits = self._limits
        odd = np.zeros(ranks.shape, np.bool_)
        known = self._seen[devices] >= limits.sensor_windows_min
        if int(known.sum()) < limits.sensor_devices_min:
            return odd
        who = devices[known]
        change = np.nan_to_num(ranks[known] - self._mean[who])
        change -= np.median(change, axis=0)
        habit = np.sqrt(np.maximum(self._square[who] - self._mean[who] ** 2, _NOISE**2))
        # A quiet habit is no proof of a quiet life: most of the cohort's vouch for it.
        habit = np.maximum(habit, np.quantile(habit, _USUAL, axis=0))
        far = np.abs(change) >= np.maximum(
            limits.sensor_change_min, limits.sensor_deviations * habit
        )
        far &= far.mean(axis=0) <= limits.sensor_share_max
        odd[known] = far
        return odd

    def _count(self, devices: Ints, odd: npt.NDArray[np.bool_]) -> None:
        enough = self._limits.sensor_windows
        step = np.where(odd, 1, -1)
        away = np.clip(self._away[devices] + step, 0, enough).astype(np.int16)
        self._away[devices] = away
        self._out[devices] = (away == enough) | (self._out[devices] & (away > 0))

    def _learn(self, devices: Ints, ranks: Floats, odd: npt.NDArray[np.bool_]) -> None:
        calm = ~odd & ~self._out[devices] & np.isfinite(ranks)
        self._seen[devices] += 1
        weight = (1.0 / np.minimum(self._seen[devices], _MEMORY))[:, None]
        # A jump is taken in by no more than usual restlessness (Huber): or one odd window would excuse the
        # next. Until there is a habit, everything is.
        mean = self._mean[devices]
        spread = np.sqrt(np.maximum(self._square[devices] - mean**2, _NOISE**2))
        reach = np.where(
            self._seen[devices][:, None] > self._limits.sensor_windows_min,
            _USUAL_JUMP * spread,
            1.0,
        )
        values = np.clip(np.nan_to_num(ranks), mean - reach, mean + reach)
        for memory, news in ((self._mean, values), (self._square, values * values)):
            old = memory[devices]
            memory[devices] = np.where(calm, old + weight * (news - old), old)

    def _room(self, highest: int) -> None:
        have = len(self._seen)
        if highest < have:
            return
        more = max(64, 2 * highest) - have
        wide = ((0, more), (0, 0))
        self._mean, self._square = np.pad(self._mean, wide), np.pad(self._square, wide)
        self._away, self._out = np.pad(self._away, wide), np.pad(self._out, wide)
        self._seen = np.pad(self._seen, (0, more))
        self._home = np.pad(self._home, (0, more), constant_values=-1)


def _t_tails(t: float, freedom: int) -> float:
    """Probability of a Student t at least this far from zero, by Abramowitz and Stegun 26.7.8."""
    z = abs(t) * (1 - 1 / (4 * freedom)) / math.sqrt(1 + t * t / (2 * freedom))
    return math.erfc(z / math.sqrt(2))
