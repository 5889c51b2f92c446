"""What one device's own golden probe says: its hardware, where it fails and those around it pass.

Decides which devices fail alone. A device that stands out by its histograms and passes its probe sees something else:
its *sensor*, or what is before it. One that fails its own probe computes wrongly whatever it sees: its
*hardware*, and then its histograms are no witness. Leaves out who stands out (singles.py) and cohorts (probes.py).

Rules: `probe_alone_min` failures in a row, because one may be a cosmic ray; one pass forgives, because
the inputs are pinned; only devices whose last probe failed are remembered, so a healthy fleet costs nothing. A
failure that is repeated by the same device is no new evidence against its cohort, while those that fail are few.
Beside the record: a restart begins to count anew.
"""

from __future__ import annotations

import msgspec

from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.limits import CollectLimits


class Failing(msgspec.Struct, gc=False):
    """A device whose last probe failed."""

    cohort: str
    streak: int
    """Failures in a row."""
    permille: int
    """Residual of the last."""


class Loners:
    """Devices whose last golden probe failed.

    Args:
        limits: thresholds.
    """

    __slots__ = ("_failing", "_limits")

    def __init__(self, limits: CollectLimits) -> None:
        self._limits = limits
        self._failing: dict[str, Failing] = {}

    def probed(self, device: str, cohort: Cohort, permille: int) -> None:
        """Take in one probe of a device: its residual in permille of full scale."""
        if permille <= self._limits.probe_permille_max:
            self._failing.pop(device, None)
            return
        known = self._failing.get(device)
        if known is None or known.cohort != cohort.name:
            self._failing[device] = Failing(cohort.name, 1, permille)
        else:
            known.streak += 1
            known.permille = permille
            cohort.repeats += 1

    def of(self, cohort: Cohort) -> dict[str, Failing]:
        """Devices of a cohort that have failed often enough, by id."""
        if not self._failing:
            return {}
        enough, name = self._limits.probe_alone_min, cohort.name
        return {
            device: one
            for device, one in sorted(self._failing.items())
            if one.cohort == name and one.streak >= enough
        }

    def failing(self, cohort: Cohort) -> int:
        """How many of a cohort's devices failed their last probe."""
        return sum(one.cohort == cohort.name for one in self._failing.values())
