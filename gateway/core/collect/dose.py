"""Does a golden probe's residual grow with the heat of the chip, or with its slowness?

Decides whether a cohort's probes show a dose-response: inputs of a probe are pinned, so a residual that goes with
temperature or latency is the hardware's doing, also while it stays within the kit's tolerance. Spearman's rank
correlation over the last probes (Spearman 1904; ties by mean ranks, Student's t for its tail), one-sided, for two doses
at once (Bonferroni). Leaves out what a failed probe means (probes.py) and the verdict (verdict.py).

Rules: a healthy kernel's residual is one constant, and a constant goes with nothing; too few probes, or all of
them equally warm, say nothing; an effect floor keeps what is sure and tiny quiet; hysteresis: raised at
`dose_p_raise`, cleared only above `dose_p_clear`. Probes run on cool devices only, so a fault that begins beyond
`probe_chip_c_max` is not seen here. Beside the record: a restart begins anew, as habits of single devices do.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.core.collect.limits import CollectLimits

Floats = npt.NDArray[np.float64]

NAMES: Final = ("chip_c", "latency")
_COLUMNS: Final = len(NAMES)


class Response(NamedTuple):
    """How the residual goes with one dose."""

    dose: str = ""
    """``chip_c`` (degrees Celsius) or ``latency`` (bin of its histogram); empty: nothing to tell."""
    rank: float = 0.0
    """Spearman's correlation, -1 .. 1."""
    p: float = 1.0
    """Of a correlation at least as large by chance, for both doses together."""


class Dose:
    """The last probes of one cohort.

    Args:
        limits: of them those that begin with `dose_`.
    """

    __slots__ = ("_fresh", "_limits", "_probes", "raised", "response")

    def __init__(self, limits: CollectLimits) -> None:
        self._limits = limits
        self._probes: deque[tuple[int, int, int]] = deque(maxlen=limits.dose_probes_max)
        self._fresh = False
        self.raised = False
        self.response = Response()

    def add(self, chip_c: int, latency: int, permille: int) -> None:
        """Take in one probe: degrees Celsius, bin of the latency histogram, residual in permille."""
        self._probes.append((chip_c, latency, permille))
        self._fresh = True

    def look(self) -> bool:
        """Judge what came since the last look; True when it is raised by it."""
        limits, before = self._limits, self.raised
        if not self._fresh or len(self._probes) < limits.dose_probes_min:
            return False
        self._fresh = False
        table = np.array(self._probes, dtype=np.float64)
        spans = (limits.dose_chip_c_min, limits.dose_latency_bins_min)
        found = [
            _response(NAMES[place], table[:, place], table[:, -1], limits.dose_permille_min)
            for place in range(_COLUMNS)
            if np.ptp(table[:, place]) >= spans[place]
        ]
        self.response = min(found, key=lambda one: one.p, default=Response())
        p = self.response.p
        self.raised = p <= limits.dose_p_raise or (before and p <= limits.dose_p_clear)
        return self.raised and not before


def _response(name: str, dose: Floats, residual: Floats, permille_min: float) -> Response:
    rank = spearman(dose, residual)
    middle = np.median(dose)
    high, low = residual[dose > middle], residual[dose <= middle]
    grows = len(high) and len(low) and high.mean() - low.mean() >= permille_min
    p = min(1.0, _COLUMNS * _tail(rank, len(dose))) if grows else 1.0
    return Response(name, round(rank, 4), p)


def spearman(one: Floats, other: Floats) -> float:
    """Spearman's rank correlation of two columns; 0 where one of them is constant."""
    x, y = _ranks(one), _ranks(other)
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / scale if scale > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks from 0; what is equal shares the mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: Floats = (2 * ends - counts - 1) / 2
    return shared[place]


def _tail(rank: float, count: int) -> float:
    """Chance of a correlation at least this large, by Student's t (Abramowitz and Stegun 26.7.8)."""
    freedom = count - 2
    t = rank * math.sqrt(freedom / max(1e-12, 1 - rank * rank))
    z = t * (1 - 1 / (4 * freedom)) / math.sqrt(1 + t * t / (2 * freedom))
    return 0.5 * math.erfc(z / math.sqrt(2))
