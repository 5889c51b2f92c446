"""Scoring a closed window: which cohorts have drifted, by how much, and since when.

Decides alarms. Each histogram of each cohort is tested against its bundle's baseline by chi-square
corrected for a finite baseline and for the likeness of one device's frames; false discoveries are held
to `discovery_rate` over all tests of the window and within each cohort (Benjamini-Hochberg); a shift also has to be large
enough to matter (bias-corrected PSI), and to be there in consecutive windows. Clearing asks for a
smaller effect than raising, so that an alarm does not flutter. Leaves out the cause (verdict.py).

Fixed PSI thresholds, the custom, are wrong: with few frames they cry wolf, with many they are deaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from devicesdk.sketches import divergence
from gateway.core.collect import probes, totals
from gateway.core.collect.baselines import Reference
from gateway.core.collect.bins import HISTOGRAMS
from gateway.core.collect.cohorts import AlarmState, Cohort
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.rows import Score
from gateway.core.collect.totals import Totals
from gateway.core.collect.verdict import Finding

PAST: Final = "past:"
"""Before the name of a histogram whose devices are compared with their own past (singles.py)."""
PLACES: Final = {first: index for index, (first, _) in enumerate(HISTOGRAMS)}


class Scored(NamedTuple):
    """One cohort's window: its row of totals and what the tests say, before discovery control."""

    cohort: Cohort
    row: list[int]
    tests: list[tuple[Reference, divergence.Comparison]]
    """Reference and comparison."""


def test_cohort(
    cohort: Cohort, sums: Totals, references: Sequence[Reference], limits: CollectLimits
) -> Scored:
    """Compare one cohort's window with its references; no tests when there is too little of it."""
    row, likeness = sums.row(cohort.slot), sums.likeness
    devices_min = limits.private_devices_min if cohort.private else limits.score_windows_min
    enough = (
        row[totals.FRAMES] >= limits.score_frames_min
        and likeness.devices(cohort.slot) >= devices_min
    )
    tests = []
    for reference in references if enough else ():
        counts = row[reference.first : reference.stop]
        if any(counts):
            index = PLACES[reference.first]
            comparison = divergence.compare(
                counts,
                reference.shares,
                reference.samples,
                likeness.of(cohort.slot, index),
                limits.baseline_frames_alike,
            )
            if comparison.freedom:
                tests.append((reference, comparison))
    for change in cohort.changes if enough else ():
        past = Reference(PAST + change.name, 0, 0, [], 0.0)
        tests.append((past, divergence.Comparison(0.0, 1, change.p, change.effect)))
    return Scored(cohort, row, tests)


def judge_window(
    scored: Sequence[Scored], limits: CollectLimits, number: int, utc_ns: int
) -> list[tuple[Score, ...]]:
    """Move all alarms by one window, the one with this number; returns the scores of each cohort in the
    same order."""
    called = _called(scored, limits.discovery_rate)
    out = []
    for one in scored:
        scores = []
        for reference, comparison in one.tests:
            shows = next(called) and comparison.psi >= limits.psi_raise_min
            calm = comparison.psi < limits.psi_clear_max
            alarm = _move(one.cohort, reference.name, limits, utc_ns, shows=shows, calm=calm)
            scores.append(
                Score(reference.name, comparison.psi, comparison.p, comparison.design, alarm)
            )
        probed, failed = one.row[totals.PROBES], one.row[totals.PROBES_FAILED]
        known = min(one.cohort.repeats, failed)
        probes.weigh(one.cohort, probed - known, failed - known, number, utc_ns, limits)
        out.append(tuple(scores))
    return out


def _called(scored: Sequence[Scored], rate: float) -> Iterator[bool]:
    """Which tests to believe, in order: those that are called among all of the window, and among their own
    cohort's as well. The first alone lets cohorts that did shift pay for false calls in those that did
    not: a few in a hundred of many right calls are enough to accuse every healthy neighbour."""
    families = [[comparison.p for _, comparison in one.tests] for one in scored]
    among_all = divergence.discoveries([p for family in families for p in family], rate)
    at_home = [called for family in families for called in divergence.discoveries(family, rate)]
    return (everywhere and here for everywhere, here in zip(among_all, at_home, strict=True))


def _move(
    cohort: Cohort, feature: str, limits: CollectLimits, utc_ns: int, *, shows: bool, calm: bool
) -> bool:
    """Count one window into a streak; returns whether the alarm is raised now."""
    state = cohort.alarms.get(feature)
    if state is None:
        if not shows:
            return False
        state = cohort.alarms[feature] = AlarmState()
    if shows:
        state.streak, state.quiet = state.streak + 1, 0
        if not state.raised_ns and state.streak >= limits.raise_windows:
            state.raised_ns = max(1, utc_ns)
    else:
        state.streak = 0
        state.quiet = state.quiet + 1 if calm else 0
    if not state.streak and (not state.raised_ns or state.quiet >= limits.clear_windows):
        del cohort.alarms[feature]
        return False
    return bool(state.raised_ns)


def histogram_of(alarm: str) -> str:
    """The histogram that an alarm is about."""
    return alarm.removeprefix(PAST)


def see_alarms(cohort: Cohort, limits: CollectLimits) -> None:
    """Sort the raised alarms into those of inputs and those of outputs."""
    raised = [n for n, state in cohort.alarms.items() if state.raised_ns and n != probes.PROBE]
    outputs = [histogram_of(name) in limits.output_histograms for name in raised]
    cohort.outputs_moved, cohort.inputs_moved = any(outputs), not all(outputs)


def finding(one: Scored, limits: CollectLimits) -> Finding:
    """What the cohort shows after this window."""
    cohort = one.cohort
    see_alarms(cohort, limits)
    return Finding(
        cohort.bundle or b"",
        cohort.hardware,
        cohort.region,
        cohort.inputs_moved,
        cohort.outputs_moved,
        cohort.probe,
        bool(cohort.singles),
    )


def strongest(scores: Sequence[Score]) -> tuple[str, int]:
    """The feature with the largest effect among those in alarm (else among all), PSI in permille."""
    if not scores:
        return probes.PROBE, 0
    top = max(scores, key=lambda score: (score.alarm, score.psi, score.feature))
    return top.feature, round(1000 * top.psi)
