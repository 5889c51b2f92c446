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
from gateway.core.collect.loners import Loners
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
    said = [
        _dose_note(cohort)
        for cohort in cohorts.spoke()
        if cohort.dose is not None and cohort.dose.look()
    ]
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
    for one, its_scores, finding in zip(scored, scores, findings, strict=True):
        before, one.cohort.drift = one.cohort.drift, cause(finding, findings)
        one.cohort.effect = max((score.psi for score in its_scores), default=0.0)
        if one.cohort.drift != before:
            said.append(_note(one, its_scores))
    if watcher is not None:
        said += watcher.alone([one.cohort for one in scored])
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
        loners: who fails alone.
        share_max: of a cohort's devices that are still single ones.
    """

    __slots__ = ("_loners", "_share_max", "_singles", "_sources")

    def __init__(
        self, singles: Singles, sources: Sources, loners: Loners, share_max: float
    ) -> None:
        self._singles, self._sources = singles, sources
        self._loners, self._share_max = loners, share_max

    def look(self, spoke: Sequence[Cohort], likeness: Likeness) -> None:
        """Find the devices of each cohort that stand out."""
        if not likeness.ranks:
            for cohort in spoke:
                cohort.repeats = 0
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
            few = max(1.0, self._share_max * int(mine.sum()))
            if cohort.repeats and self._loners.failing(cohort) > few:
                cohort.repeats = 0
            broken = self._loners.of(cohort)
            named = [(self._sources.named(number), name) for number, name in found]
            named = [one for one in named if one[0] not in broken]
            cohort.singles = tuple(sorted(named)[: rows.SINGLES_MAX])

    def alone(self, cohorts: Sequence[Cohort]) -> list[Note]:
        """Find the devices that fail their own probes while their cohort's pass; say the new ones."""
        said = []
        for cohort in cohorts:
            broken = self._loners.of(cohort) if cohort.probe != "failed" else {}
            before = {device for device, _, _ in cohort.alone}
            cohort.alone = tuple(
                (device, one.streak, one.permille) for device, one in broken.items()
            )[: rows.SINGLES_MAX]
            said += [
                Note(notes.ALONE, f"{cohort.name}:{device}", streak, permille)
                for device, streak, permille in cohort.alone
                if device not in before
            ]
        return said


def _dose_note(cohort: Cohort) -> Note:
    assert cohort.dose is not None, "a note of what is not there"
    response = cohort.dose.response
    chance = min(round(1 / max(response.p, 1e-15)), 10**15)
    subject = f"{cohort.name}:{response.dose}"
    return Note(notes.DOSE, subject, round(1000 * response.rank), chance)


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
        cohort.dose.response if cohort.dose is not None else ("", 0.0, 1.0),
        cohort.alone,
    )


def _alarms(cohorts: Sequence[Cohort]) -> tuple[rows.Alarm, ...]:
    return tuple(
        rows.Alarm(cohort.name, feature, state.streak, state.quiet, state.raised_ns, state.evidence)
        for cohort in cohorts
        for feature, state in sorted(cohort.alarms.items())
    )
