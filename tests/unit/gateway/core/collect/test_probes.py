"""Golden probes as evidence: it grows with failures, fades with passes, and silence says nothing."""

from __future__ import annotations

from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.probes import PROBE, recall, weigh
from gateway.core.collect.rows import CohortWindow

LIMITS = CollectLimits()


def cohort() -> Cohort:
    return Cohort(f"{b'bundle-1'.hex()}/arm/eu")


def told(windows, limits=LIMITS):
    one, out = cohort(), []
    for number, (probed, failed) in enumerate(windows):
        weigh(one, probed, failed, number, 100 + number, limits)
        out.append(one.probe)
    return one, out


def test_passes_vouch_once_there_are_enough():
    assert told([(1, 0), (1, 0), (1, 0), (0, 0)])[1] == ["unknown", "unknown", "passed", "passed"]


def test_no_probe_is_no_word_and_old_ones_expire():
    limits = CollectLimits(probe_windows_max=2)
    assert told([(5, 0), (0, 0), (0, 0), (0, 0)], limits)[1] == [
        "passed", "passed", "passed", "unknown",
    ]  # fmt: skip


def test_two_failures_among_few_are_enough_and_one_is_not():
    assert told([(10, 1)])[1] == ["unknown"] or told([(10, 1)])[1] == ["passed"]
    one, said = told([(10, 2)])
    assert said == ["failed"]
    assert one.alarms[PROBE].raised_ns == 100


def test_a_fault_in_one_run_of_ten_is_found_in_two_windows():
    assert told([(30, 3), (30, 3)])[1][-1] == "failed"


def test_a_healthy_past_hides_nothing():
    assert told([(500, 0)] * 50 + [(10, 3)])[1][-1] == "failed"


def test_one_broken_device_of_thousands_is_not_the_cohorts_fault():
    assert "failed" not in told([(2_000, 1)] * 30)[1]


def test_an_alarm_ends_when_the_evidence_is_gone():
    one, said = told([(10, 10)] + [(20, 0)] * 6)
    assert said[:4] == ["failed"] * 4, "the evidence is capped, and still takes a while to fade"
    assert said[-1] == "passed"
    assert one.alarms == {}


def test_what_was_before_a_restart_is_recalled():
    one = cohort()
    past = CohortWindow("c", 9, 36, 0, 9, 1, b"", {}, 0, "none", ())
    recall(one, past, 4, LIMITS)
    assert (one.passes, one.probed, one.probe) == (8, 4, "passed")
