"""Stretches of a verdict: joined while windows follow each other, and only then."""

from __future__ import annotations

from devicesdk.wire.timebase import MINUTE
from devicesim.world.drifts import COHORTS_MAX, Drifts
from gateway.core.collect.rows import CohortWindow, Score, WindowRow

WINDOW = 15 * MINUTE


def told(*verdicts, cohort="c", start=0, drifts=None, **fields):
    """A cohort that is told one verdict a window; None: it is silent."""
    drifts = drifts or Drifts()
    for number, verdict in enumerate(verdicts, start):
        own = () if verdict is None else (window(cohort, verdict, **fields),)
        row = WindowRow(number, number * WINDOW, (number + 1) * WINDOW, own, ())
        drifts.closed(row, (number + 1) * WINDOW)
    return drifts


def window(cohort, verdict, psi=0.1, devices=30, **fields):
    score = Score("feature0", psi, 1e-9, 1.0, True)
    return CohortWindow(
        cohort, 30, 240, 0, 0, 0, b"", {}, 0, verdict, (score,), devices=devices, **fields
    )


def spans(drifts):
    return [(one.start_s, one.end_s, one.verdict) for one in drifts.rows(str)[0].spans]


def test_windows_of_one_verdict_are_one_stretch():
    drifts = told("none", "none", "data", "data", "none")
    assert spans(drifts) == [(0, 1800, "none"), (1800, 3600, "data"), (3600, 4500, "none")]


def test_silence_is_a_gap_because_nobody_knows():
    assert spans(told("data", None, "data")) == [(0, 900, "data"), (1800, 2700, "data")]


def test_the_row_has_the_largest_numbers_and_the_evidence_in_words():
    drifts = told("hardware", psi=0.2, devices=30)
    told(
        "hardware", psi=0.1, devices=28, start=1, drifts=drifts, probe="failed",
        dose=("chip_c", 0.61, 1e-6), singles=tuple((f"d{n}", "entropy") for n in range(5)),
        alone=(("d9", 3, 179),),
    )  # fmt: skip
    (row,) = drifts.rows(lambda name: f"the {name}")
    (one,) = row.spans
    assert (row.cohort, row.devices, one.psi, one.probe) == ("the c", 30, 0.2, "failed")
    assert one.why == (
        "residual grows with chip_c (rank correlation 0.61); stands out: d0, d1, d2 and 2 more; "
        "fails its probe alone: d9"
    )


def test_those_longest_in_trouble_come_first_and_rows_are_bounded():
    drifts = Drifts()
    for number in range(COHORTS_MAX + 3):
        told("none", "data" if number == 9 else "none", cohort=f"c{number:02}", drifts=drifts)
    names = [row.cohort for row in drifts.rows(str)]
    assert (names[0], len(names)) == ("c09", COHORTS_MAX)
