"""What the collect machine knows, as read-only values for reports and for the console.

Decides names. Leaves out presentation. Nothing here is read back by the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.rows import WindowRow
from gateway.core.collect.totals import FRAMES, WINDOWS, Totals
from gateway.core.internal import Drift


class Counters(msgspec.Struct, frozen=True):
    """Messages since the process began: received = accepted + all the others."""

    received: int
    accepted: int
    duplicates: int
    """Counted before, or too old to tell."""
    malformed: int
    refused: int
    """No room for another device or cohort."""
    inconsistent: int
    """Of the accepted: contradicted themselves, not in any histogram."""
    frames_accepted: int
    frames_inconsistent: int
    bad_sketches: int
    """KLL or HLL bytes that were ignored; the rest of the message counted."""
    gaps: int
    """Numbers missing now, over all devices."""
    windows_dropped: int
    """Closed windows that had to make room."""


class CohortView(msgspec.Struct, frozen=True):
    """One cohort now."""

    name: str
    bundle: bytes
    hardware: str
    region: str
    open_windows: int
    """Device windows in the window that is open."""
    open_frames: int
    drift: Drift
    alarms: tuple[tuple[str, int], ...]
    """(feature, since: UTC nanoseconds) of each alarm that is raised."""
    quantiles: tuple[float, ...]
    """5, 25, 50, 75, 95 % of the readings in KLL sketches since the process began: approximate, not
    reproducible to the last digit, for eyes only. Empty when none were sent."""
    members_fill: float = 0.0
    """How full the joined Bloom filters of the open window are, 0 .. 1; 0: none were sent."""


class ScorePoint(msgspec.Struct, frozen=True):
    """One point of a score series."""

    closed_ns: int
    """UTC."""
    cohort: str
    feature: str
    psi: float
    p: float
    alarm: bool


class Overview(msgspec.Struct, frozen=True):
    """Everything."""

    counters: Counters
    cohorts: tuple[CohortView, ...]
    windows: tuple[WindowRow, ...]
    """Closed windows, oldest first."""

    def series(self) -> Iterator[ScorePoint]:
        """All scores, by time, cohort and histogram."""
        for window in self.windows:
            for cohort in window.cohorts:
                for score in cohort.scores:
                    yield ScorePoint(
                        window.closed_ns,
                        cohort.cohort,
                        score.feature,
                        score.psi,
                        score.p,
                        score.alarm,
                    )


_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def cohort_view(cohort: Cohort, sums: Totals) -> CohortView:
    """One cohort as a value."""
    spoke = cohort.slot >= 0
    quantiles = cohort.quantiles
    return CohortView(
        cohort.name,
        cohort.bundle or b"",
        cohort.hardware,
        cohort.region,
        sums.scalar(cohort.slot, WINDOWS) if spoke else 0,
        sums.scalar(cohort.slot, FRAMES) if spoke else 0,
        cohort.drift,
        tuple((n, s.raised_ns) for n, s in sorted(cohort.alarms.items()) if s.raised_ns),
        tuple(quantiles.quantile(share) for share in _QUANTILES) if quantiles is not None else (),
        cohort.members.fill if cohort.members is not None else 0.0,
    )
