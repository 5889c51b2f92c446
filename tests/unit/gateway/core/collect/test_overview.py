from __future__ import annotations

from devicesdk.sketches.quantile import Quantiles
from gateway.core.collect.cohorts import AlarmState, Cohort
from gateway.core.collect.intake import histograms_of
from gateway.core.collect.overview import Counters, Overview, ScorePoint, cohort_view
from gateway.core.collect.rows import CohortWindow, Score, WindowRow
from gateway.core.collect.totals import Totals

NOTHING = Counters(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def test_the_series_runs_through_time_cohorts_and_histograms():
    def summary(cohort, psi):
        scores = (Score("a", psi, 0.1, 1.0, False), Score("b", psi, 0.2, 1.0, True))
        return CohortWindow(cohort, 1, 4, 0, 0, 0, b"", {}, 0, "none", scores)

    windows = tuple(
        WindowRow(n, n, n + 10, (summary("x", n), summary("y", n)), ()) for n in range(2)
    )
    series = list(Overview(NOTHING, (), windows).series())
    assert len(series) == 8
    assert series[0] == ScorePoint(10, "x", "a", 0, 0.1, False)
    assert series[-1] == ScorePoint(11, "y", "b", 1, 0.2, True)


def test_a_cohort_that_speaks(lab):
    sums = Totals(20, 4)
    cohort = Cohort(f"{lab.BUNDLE.hex()}/arm/eu")
    cohort.slot = sums.open_slot()
    cohort.alarms = {"b": AlarmState(2, 0, 77), "a": AlarmState(1, 0, 0)}
    cohort.quantiles = Quantiles()
    cohort.quantiles.add([1.0, 2.0, 3.0])
    sums.fold([(0, histograms_of(lab.telemetry()), 4, 0, -1, 0, 0)])
    view = cohort_view(cohort, sums)
    assert (view.bundle, view.hardware, view.region) == (lab.BUNDLE, "arm", "eu")
    assert (view.open_windows, view.open_frames) == (1, 4)
    assert view.alarms == (("b", 77),)
    assert view.quantiles[2] == 2.0


def test_a_cohort_that_is_silent(lab):
    cohort = Cohort(f"{lab.BUNDLE.hex()}/arm/eu")
    cohort.bundle = None
    view = cohort_view(cohort, Totals(20, 4))
    assert (view.bundle, view.open_frames, view.quantiles, view.alarms) == (b"", 0, (), ())
