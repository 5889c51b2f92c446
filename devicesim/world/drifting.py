"""What the gateway says of drift, kept as stretches of time: who was told what, from when to when.

Decides how verdicts are read from closed windows, which devices a cohort's verdict is about, and the measures of drift.
Leaves out the verdicts (gateway/core/collect) and promises about them (checks/verdicts.py).

Rules: told is what a closed window says that was made durable; a cohort of which `SILENT_WINDOWS` windows in a row
say nothing is told nothing any more (its devices run something else by now); at most `ROWS_MAX` stretches are
kept, later ones are counted only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from devicesim.world.hearing import Listener
from gateway.core.collect import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicesim.world.world import World
    from gateway.core import effects as gw

SILENT_WINDOWS: Final = 4
ROWS_MAX: Final = 200
PROBE: Final = "golden probe"
_FAULTS: Final = frozenset({"data.drift", "sensor.stuck", "kernel.fault"})
"""Verbs that bend what is measured; membership only."""


class Stretch(msgspec.Struct):
    """One verdict while it stood; `ended_ns` -1: it stands."""

    cohort: str
    verdict: str
    device: str
    """The one whose sensor it is; empty: the whole cohort."""
    began_ns: int
    ended_ns: int = -1
    histogram: str = ""
    """What showed it most."""
    effect: float = 0.0
    """Largest population stability index while it stood; of probes, the share that failed."""
    devices: int = 0


class DriftMeter(Listener):
    """Follows the verdicts of one run.

    Args:
        world: whose gateway.
    """

    __slots__ = (
        "_fault_ns",
        "_keys",
        "_open",
        "_silent",
        "_world",
        "first_after_ns",
        "raised",
        "stretches",
    )

    def __init__(self, world: World) -> None:
        self._world = world
        self._keys = [a.key for a in world.scenario.timeline if a.verb in _FAULTS]
        self._open: dict[tuple[str, str], Stretch] = {}
        self._silent: dict[str, int] = {}
        self._fault_ns = -1
        self.first_after_ns: int | None = None
        """From the first fault of data, sensor or kernel to the first verdict after it."""
        self.raised = 0
        self.stretches: list[Stretch] = []

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """From when on a verdict is due."""
        del devices
        if phase == "begin" and self._fault_ns < 0 and verb in self._keys:
            self._fault_ns = now

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """A telemetry window of the gateway has closed."""
        if effect.table != rows.WINDOW or effect.row is None:
            return
        spoke = {cohort.cohort: cohort for cohort in effect.row.cohorts}
        for cohort in spoke.values():
            self._silent[cohort.cohort] = 0
            if cohort.drift != "none" or self._open:
                self._follow(cohort, now)
        for name in [name for name in self._silent if name not in spoke]:
            self._silent[name] += 1
            if self._silent[name] >= SILENT_WINDOWS:
                del self._silent[name]
                self._end([key for key in self._open if key[0] == name], now)

    def _follow(self, cohort: rows.CohortWindow, now: int) -> None:
        told = dict(_told(cohort))
        self._end(
            [
                key for key, stretch in self._open.items()
                if key[0] == cohort.cohort and told.get(key[1], ("",))[0] != stretch.verdict
            ],
            now,
        )  # fmt: skip
        for device, (verdict, histogram, effect) in told.items():
            stretch = self._open.get((cohort.cohort, device))
            if stretch is None:
                stretch = self._begin(cohort, verdict, device, now)
            if effect >= stretch.effect:
                stretch.histogram, stretch.effect = histogram, effect

    def _begin(self, cohort: rows.CohortWindow, verdict: str, device: str, now: int) -> Stretch:
        stretch = Stretch(
            cohort.cohort, verdict, device, now, devices=1 if device else cohort.devices
        )
        self._open[cohort.cohort, device] = stretch
        self.raised += 1
        if len(self.stretches) < ROWS_MAX:
            self.stretches.append(stretch)
        if self.first_after_ns is None and self._fault_ns >= 0:
            self.first_after_ns = now - self._fault_ns
        return stretch

    def _end(self, keys: list[tuple[str, str]], now: int) -> None:
        for key in keys:
            self._open.pop(key).ended_ns = now

    def standing(self, verdict: str) -> int:
        """How many stretches of this verdict stand."""
        return sum(stretch.verdict == verdict for stretch in self._open.values())

    def told_now(self) -> Iterator[tuple[str, str, str]]:
        """(cohort, device or nothing, verdict) of all that stands."""
        for (cohort, device), stretch in self._open.items():
            yield cohort, device, stretch.verdict


def _told(cohort: rows.CohortWindow) -> Iterator[tuple[str, tuple[str, str, float]]]:
    """Device (empty: all of the cohort) with verdict, histogram and effect."""
    if cohort.drift == "sensor":
        for device, histogram in cohort.singles:
            yield device, ("sensor", histogram, 0.0)
    elif cohort.drift != "none":
        raised = [score for score in cohort.scores if score.alarm] or list(cohort.scores)
        if cohort.drift == "hardware" and cohort.probe == "failed":
            failed = cohort.probes_failed / cohort.probes if cohort.probes else 0.0
            yield "", (cohort.drift, PROBE, failed)
        elif raised:
            top = max(raised, key=lambda score: (score.psi, score.feature))
            yield "", (cohort.drift, top.feature, top.psi)
        else:
            yield "", (cohort.drift, PROBE, 0.0)
