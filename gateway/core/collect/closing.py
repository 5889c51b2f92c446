"""What a window says when it closes: one durable row, and notes for alarms that came or went.

Decides the order: fold, test, discovery control, alarms, causes, row. Leaves out each of these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.core.collect import notes, rows, scoring, totals
from gateway.core.collect.baselines import Baselines
from gateway.core.collect.cohorts import Cohort, Cohorts
from gateway.core.collect.likeness import Likeness
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.singles import Singles
from gateway.core.collect.sources import Sources
from gateway.core.collect.verdict import cause
from gateway.core.collect.window import Window
from gateway.core.effects import Note


def close_window(
    window: Window,
    cohorts: Cohorts,
    baselines: Baselines,
    limits: CollectLimits,
    opened_utc_ns: int,
    closed_utc_ns: int,
    watcher: Watcher | None = None,
) -> tuple[rows.WindowRow, list[Note]]:
    """Score the open window; the cohorts' alarms and verdicts move, its sums stay as they are."""
    window.settle()
    if watcher is not None:
        watcher.look(cohorts.spoke(), window.sums.likeness)
    scored = [
        scoring.test_cohort(
            cohort,
            window.sums,
            baselines.of(cohort.bundle or b"", cohort.hardware),
            limits,
        )
        for cohort in cohorts.spoke()
    ]
    scores = scoring.judge_window(scored, limits, window.number, closed_utc_ns)
    findings = [scoring.finding(one, limits) for one in scored]
    said: list[Note] = []
    for one, its_scores, finding in zip(scored, scores, findings, strict=True):
        before, one.cohort.drift = one.cohort.drift, cause(finding, findings)
        one.cohort.effect = max((score.psi for score in its_scores), default=0.0)
        if one.cohort.drift != before:
            said.append(_note(one, its_scores))
    row = rows.WindowRow(
        window.number,
        opened_utc_ns,
        closed_utc_ns,
        tuple(
            _summary(one, own, window.sums.likeness.devices(one.cohort.slot))
            for one, own in zip(scored, scores, strict=True)
        ),
        _alarms(cohorts.all()),
    )
    frames = sum(one.row[totals.FRAMES] for one in scored)
    said.append(Note(notes.WINDOW_CLOSED, str(window.number), len(scored), frames))
    return row, said


class Watcher:
    """Singles, with names.

    Args:
        singles: habits.
        sources: who has which number.
    """

    __slots__ = ("_singles", "_sources")

    def __init__(self, singles: Singles, sources: Sources) -> None:
        self._singles, self._sources = singles, sources

    def look(self, spoke: Sequence[Cohort], likeness: Likeness) -> None:
        """Find the devices of each cohort that stand out."""
        if not likeness.ranks:
            return
        slots, devices, ranks = (
            np.concatenate(parts) for parts in zip(*likeness.ranks, strict=True)
        )
        for cohort in spoke:
            mine = slots == cohort.slot
            frozen = [scoring.histogram_of(name) for name in cohort.alarms]
            found, cohort.changes = self._singles.window(
                cohort.number, devices[mine], ranks[mine], frozen
            )
            named = [(self._sources.named(number), name) for number, name in found]
            cohort.singles = tuple(sorted(named)[: rows.SINGLES_MAX])


def _note(one: scoring.Scored, scores: Sequence[rows.Score]) -> Note:
    cohort = one.cohort
    if cohort.drift == "sensor":
        device, feature = cohort.singles[0]
        devices = len({device for device, _ in cohort.singles})
        subject = f"{cohort.name}:{feature}:{device}"
        return Note(notes.RAISED["sensor"], subject, devices, one.row[totals.FRAMES])
    feature, permille = scoring.strongest(scores)
    kind = notes.CLEARED if cohort.drift == "none" else notes.RAISED[cohort.drift]
    return Note(kind, f"{cohort.name}:{feature}", permille, one.row[totals.FRAMES])


def _summary(
    one: scoring.Scored, scores: tuple[rows.Score, ...], devices: int
) -> rows.CohortWindow:
    cohort, row = one.cohort, one.row
    return rows.CohortWindow(
        cohort.name,
        row[totals.WINDOWS],
        row[totals.FRAMES],
        row[totals.THROTTLED],
        row[totals.PROBES],
        row[totals.PROBES_FAILED],
        totals.pack_counts(row),
        dict(sorted(cohort.errors.items())),
        round(cohort.distinct.estimate()) if cohort.distinct is not None else 0,
        cohort.drift,
        scores,
        cohort.probe,
        cohort.singles,
        devices,
    )


def _alarms(cohorts: Sequence[Cohort]) -> tuple[rows.Alarm, ...]:
    return tuple(
        rows.Alarm(cohort.name, feature, state.streak, state.quiet, state.raised_ns, state.evidence)
        for cohort in cohorts
        for feature, state in sorted(cohort.alarms.items())
    )
