from __future__ import annotations

import pytest

from devicesim.entropy import Entropy
from gateway.core.collect import scoring, totals
from gateway.core.collect.baselines import Baselines
from gateway.core.collect.cohorts import Cohort
from gateway.core.collect.intake import histograms_of
from gateway.core.collect.limits import CollectLimits
from gateway.core.collect.probes import PROBE
from gateway.core.collect.rows import Score

LIMITS = CollectLimits()


@pytest.fixture
def references(lab):
    baselines = Baselines(4000)
    baselines.learn(lab.BUNDLE, lab.flat_baseline())
    return baselines.of(lab.BUNDLE, "arm")


def cohort() -> Cohort:
    made = Cohort(f"{b'bundle-1'.hex()}/arm/eu")
    made.slot = 0
    return made


def sums_of(lab, looks, probed=()):
    """Sums of one message a look; each device's four frames look alike."""
    sums = totals.Totals(20, len(looks) + len(probed))
    sums.open_slot()
    healthy = [
        (histograms_of(lab.telemetry(look=look)), device) for device, look in enumerate(looks)
    ]
    sums.fold([(0, histograms, 4, 0, -1, device, 0) for histograms, device in healthy])
    empty = histograms_of(lab.telemetry(frames=0))
    sums.fold([(0, empty, 0, 0, probe, 0, 0) for probe in probed])
    sums.likeness.settle()
    return sums


def healthy(stream, devices=200):
    return [stream.integer(10) for _ in range(devices)]


def test_too_little_is_not_tested(lab, references):
    one = scoring.test_cohort(cohort(), sums_of(lab, [1] * 40), references, LIMITS)
    assert one.tests == [], "160 frames are below the floor"
    few = CollectLimits(score_frames_min=1)
    assert scoring.test_cohort(cohort(), sums_of(lab, [1] * 19), references, few).tests == []
    assert (
        len(scoring.test_cohort(cohort(), sums_of(lab, [1] * 90), references, LIMITS).tests) == 10
    )


def test_a_histogram_that_nobody_sends_is_not_tested(lab, references):
    sums = totals.Totals(20, 90)
    sums.open_slot()
    bare = histograms_of(lab.telemetry(look=1, features=b""))
    sums.fold([(0, bare, 4, 0, -1, device, 0) for device in range(90)])
    sums.likeness.settle()
    names = [r.name for r, _ in scoring.test_cohort(cohort(), sums, references, LIMITS).tests]
    assert names == ["confidence", "entropy"]


def test_a_reference_with_all_its_mass_in_one_bin_tests_nothing(lab):
    baselines = Baselines(4000)
    baselines.learn(lab.BUNDLE, {"feature": [1.0] + [0.0] * 9})
    only = baselines.of(lab.BUNDLE, "arm")
    assert scoring.test_cohort(cohort(), sums_of(lab, [1] * 90), only, LIMITS).tests == []


def test_frames_of_a_device_that_look_alike_do_not_cry_wolf(lab, references):
    stream = Entropy(11).stream("scoring.null")
    called = 0
    for _ in range(60):
        one = scoring.test_cohort(cohort(), sums_of(lab, healthy(stream)), references, LIMITS)
        _, comparison = one.tests[0]
        called += comparison.p < 0.05
        assert 3.0 < comparison.design < 4.6, "four frames that look alike are worth one"
    # Nominal is 3; 60 windows, 8 or more would come once in 100. Without the correction: about 50.
    assert called < 8, f"{called} of 60 healthy windows were called shifted at 5 %"


def test_an_alarm_takes_two_windows_and_leaves_after_two_calm_ones(lab, references):
    stream = Entropy(12).stream("scoring.shift")
    sick, marks = cohort(), []
    windows = ["well", "sick", "well", "sick", "sick", "sick", "well", "well", "well"]
    for number, state in enumerate(windows):
        looks = healthy(stream, 400) if state == "well" else [stream.integer(6) for _ in range(400)]
        one = scoring.test_cohort(sick, sums_of(lab, looks), references, LIMITS)
        [scores] = scoring.judge_window([one], LIMITS, number, 1000 + number)
        marks.append(all(score.alarm for score in scores))
    assert marks == [False, False, False, False, True, True, True, False, False], (
        f"windows were {windows}"
    )
    assert sick.alarms == {}


def test_an_alarm_remembers_since_when(lab, references):
    sick = cohort()
    for instant in (7, 8, 9):
        one = scoring.test_cohort(sick, sums_of(lab, [1] * 200), references, LIMITS)
        scoring.judge_window([one], LIMITS, 0, instant)
    assert sick.alarms["confidence"].raised_ns == 8
    assert sick.alarms["confidence"].streak == 3


def test_between_the_two_thresholds_an_alarm_stays():
    one = cohort()
    state = {"shows": False, "calm": False}
    for shows in (True, True):
        scoring._move(one, "f", LIMITS, 5, shows=shows, calm=False)
    for _ in range(10):
        assert scoring._move(one, "f", LIMITS, 5, **state)
    assert scoring._move(one, "f", LIMITS, 5, shows=False, calm=True)
    assert not scoring._move(one, "f", LIMITS, 5, shows=False, calm=True)


def test_a_significant_but_tiny_effect_is_of_no_interest(lab, references):
    exact = CollectLimits(baseline_frames_alike=1)
    looks = [i % 10 for i in range(20_000)] + [0] * 700
    one = scoring.test_cohort(cohort(), sums_of(lab, looks), references, exact)
    assert one.tests[0][1].p < 1e-3
    for instant in (1, 2, 3):
        [scores] = scoring.judge_window([one], LIMITS, 0, instant)
    assert not any(score.alarm for score in scores)


def test_many_healthy_cohorts_share_one_false_discovery_budget(lab, references):
    stream = Entropy(13).stream("scoring.fdr")
    fleet = [cohort() for _ in range(25)]
    for instant in range(1, 5):
        scored = [
            scoring.test_cohort(one, sums_of(lab, healthy(stream)), references, LIMITS)
            for one in fleet
        ]
        scoring.judge_window(scored, LIMITS, 0, instant)
    raised = [one for one in fleet if any(a.raised_ns for a in one.alarms.values())]
    assert raised == [], "healthy cohorts are in alarm after four windows"


def test_probes_raise_their_own_alarm(lab):
    broken = cohort()
    one = scoring.test_cohort(broken, sums_of(lab, [1], [50, 60, 70, 0]), (), LIMITS)
    scoring.judge_window([one], LIMITS, 0, 1)
    assert scoring.finding(one, LIMITS).probe == "failed"
    assert not scoring.finding(one, LIMITS).shifted
    assert broken.alarms[PROBE].raised_ns == 1, "three failures are evidence enough, in one window"


def test_probes_that_pass_say_so_and_too_few_say_nothing(lab):
    passing = scoring.test_cohort(cohort(), sums_of(lab, [1], [0, 1, 2]), (), LIMITS)
    few = scoring.test_cohort(cohort(), sums_of(lab, [1], [0, 0]), (), LIMITS)
    scoring.judge_window([passing, few], LIMITS, 0, 1)
    assert scoring.finding(passing, LIMITS).probe == "passed"
    assert scoring.finding(few, LIMITS).probe == "unknown"
    assert passing.cohort.alarms == few.cohort.alarms == {}


def test_a_shift_is_a_finding_only_once_it_is_an_alarm(lab, references):
    sick = cohort()
    one = scoring.test_cohort(sick, sums_of(lab, [1] * 200), references, LIMITS)
    scoring.judge_window([one], LIMITS, 0, 1)
    assert not scoring.finding(one, LIMITS).shifted
    scoring.judge_window([one], LIMITS, 1, 2)
    assert scoring.finding(one, LIMITS).shifted


def test_the_strongest_is_named():
    scores = [
        Score("a", 0.5, 0.1, 1.0, False),
        Score("b", 0.03, 0.001, 1.0, True),
        Score("c", 0.04, 0.001, 1.0, True),
    ]
    assert scoring.strongest(scores) == ("c", 40)
    assert scoring.strongest([]) == (PROBE, 0)
