"""Verdicts of drift over time, cohort by cohort, as the gateway's closed windows say them.

Decides where a stretch begins and ends, and which cohorts are kept for the report. Leaves out the verdict
(gateway/core/collect) and how it is shown (devicesim/report/drift.py).

Rules: windows of one verdict that follow each other are one stretch; a cohort that was silent for a window has a gap,
because nobody knows; at most `COHORTS_MAX` cohorts reach the report, those longest in trouble first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import to_seconds
from devicesim.report.record import CohortRow, DriftSpan

if TYPE_CHECKING:
    from gateway.core.collect.rows import CohortWindow, WindowRow

COHORTS_MAX: Final = 24


class Drifts:
    """All cohorts of one run."""

    __slots__ = ("_devices", "_last", "_spans")

    def __init__(self) -> None:
        self._spans: dict[str, list[DriftSpan]] = {}
        self._devices: dict[str, int] = {}
        self._last: dict[str, int] = {}
        """Number of the window in which each cohort last spoke."""

    def closed(self, row: WindowRow, now: int) -> None:
        """A telemetry window of the gateway closed."""
        end_s = to_seconds(now)
        start_s = max(0.0, end_s - to_seconds(row.closed_ns - row.opened_ns))
        for one in row.cohorts:
            spans = self._spans.setdefault(one.cohort, [])
            self._devices[one.cohort] = max(self._devices.get(one.cohort, 0), one.devices)
            psi = max((score.psi for score in one.scores), default=0.0)
            start = start_s
            if spans and self._last[one.cohort] == row.number - 1:
                start = spans[-1].end_s
                if spans[-1].verdict == one.drift:
                    last = spans.pop()
                    start, psi = last.start_s, max(psi, last.psi)
            self._last[one.cohort] = row.number
            spans.append(DriftSpan(start, end_s, one.drift, psi, one.probe, _why(one)))

    def rows(self, spell: Callable[[str], str]) -> list[CohortRow]:
        """What the report shows.

        Args:
            spell: a cohort as people call it.
        """
        names = sorted(self._spans, key=lambda name: (-self._trouble(name), name))[:COHORTS_MAX]
        return [CohortRow(spell(name), self._devices[name], self._spans[name]) for name in names]

    def _trouble(self, name: str) -> float:
        return sum(one.end_s - one.start_s for one in self._spans[name] if one.verdict != "none")


def _why(one: CohortWindow) -> str:
    """The evidence, in words; empty where the probe and the histograms are all of it."""
    said = []
    dose, rank, p = one.dose
    if dose and p <= 0.01:
        said.append(f"residual grows with {dose} (rank correlation {rank:.2f})")
    if one.singles:
        said.append(f"stands out: {_devices([device for device, _ in one.singles])}")
    if one.alone:
        said.append(f"fails its probe alone: {_devices([device for device, _, _ in one.alone])}")
    return "; ".join(said)


def _devices(names: list[str]) -> str:
    different = sorted(set(names))
    more = len(different) - 3
    return ", ".join(different[:3]) + (f" and {more} more" if more > 0 else "")
