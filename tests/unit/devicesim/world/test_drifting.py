"""Verdicts of closed windows become stretches of time."""

from __future__ import annotations

import pytest

from devicesim.world.drifting import PROBE, ROWS_MAX, SILENT_WINDOWS, DriftMeter
from gateway.core.collect import rows
from gateway.core.effects import Persist
from tests_kit import worlds

HERE, THERE = "0011/arm64/north", "0011/arm64/south"
DUSK = "timeline: [{id: dusk, at: 1h, do: data.drift, what: dim(.5), target: all}]\n"


def cohort(name, drift, *, psi=0.5, alarm=True, probe="passed", failed=0, singles=()):
    score = rows.Score("feature0", psi, 1e-9, 1.0, alarm)
    probes = 4 if probe != "unknown" else 0
    return rows.CohortWindow(
        name, 30, 600, 0, probes, failed, b"", {}, 0, drift, (score,), probe, singles, 30
    )


def window(number, *cohorts):
    return Persist(rows.WINDOW, str(number), rows.WindowRow(number, 0, 1, cohorts, ()))


@pytest.fixture(scope="module")
def world():
    return worlds.make_world(worlds.scenario_text(DUSK, count=2))


@pytest.fixture
def meter(world):
    return DriftMeter(world)


def test_a_verdict_stands_from_the_window_that_says_it_to_the_one_that_does_not(meter):
    says = ["none", "data", "data", "none"]
    for number, drift in enumerate(says):
        meter.persisted(window(number, cohort(HERE, drift, psi=0.3 + number / 10)), 10 * number)
    (stretch,) = meter.stretches
    assert (stretch.began_ns, stretch.ended_ns, stretch.devices) == (10, 30, 30)
    assert (stretch.verdict, stretch.histogram) == ("data", "feature0")
    assert stretch.effect == pytest.approx(0.5), "the largest while it stood"
    assert (meter.raised, meter.standing("data")) == (1, 0)


def test_another_verdict_is_another_stretch(meter):
    meter.persisted(window(1, cohort(HERE, "hardware", probe="failed", failed=3)), 1)
    meter.persisted(window(2, cohort(HERE, "both", probe="failed", failed=3)), 2)
    assert [(s.verdict, s.ended_ns) for s in meter.stretches] == [("hardware", 2), ("both", -1)]
    assert (meter.stretches[0].histogram, meter.stretches[0].effect) == (PROBE, 0.75)
    assert list(meter.told_now()) == [(HERE, "", "both")]


def test_a_single_device_is_told_by_name_and_forgiven_alone(meter):
    both = (("kiosk-0000", "feature1"), ("kiosk-0001", "feature1"))
    meter.persisted(window(1, cohort(HERE, "sensor", singles=both)), 1)
    assert meter.standing("sensor") == 2
    meter.persisted(window(2, cohort(HERE, "sensor", singles=both[1:])), 2)
    assert list(meter.told_now()) == [(HERE, "kiosk-0001", "sensor")]
    assert [s.ended_ns for s in meter.stretches] == [2, -1]


def test_a_cohort_that_falls_silent_is_told_nothing_any_more(meter):
    meter.persisted(window(0, cohort(HERE, "data"), cohort(THERE, "data")), 0)
    for number in range(1, SILENT_WINDOWS + 1):
        assert meter.standing("data") == 2, "a missed window is no verdict"
        meter.persisted(window(number, cohort(THERE, "data")), number)
    assert list(meter.told_now()) == [(THERE, "", "data")]


def test_the_delay_counts_from_the_first_fault_to_the_first_verdict_after_it(meter):
    meter.persisted(window(1, cohort(HERE, "data")), 5)
    meter.faulted("some.other", "begin", 1, 7)
    assert meter.first_after_ns is None, "what came before it is not its verdict"
    meter.faulted("dusk", "begin", 2, 10)
    meter.faulted("dusk", "begin", 2, 20)
    meter.persisted(window(2, cohort(HERE, "data")), 30)
    assert meter.first_after_ns is None, "nor is what stood already"
    meter.persisted(window(3, cohort(HERE, "data"), cohort(THERE, "data")), 40)
    meter.persisted(window(4, cohort(HERE, "both")), 50)
    assert meter.first_after_ns == 30


def test_no_more_stretches_are_kept_than_a_report_can_show(meter):
    for number in range(ROWS_MAX + 5):
        meter.persisted(window(number, cohort(HERE, ("data", "both")[number % 2])), number)
    assert (len(meter.stretches), meter.raised) == (ROWS_MAX, ROWS_MAX + 5)


def test_other_tables_and_deletions_are_nothing_to_it(meter):
    meter.persisted(Persist(rows.WINDOW, "1", None), 1)
    meter.persisted(Persist(rows.OPEN, "1", object()), 1)
    assert meter.raised == 0
