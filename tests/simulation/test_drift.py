"""Drift, held against fleets whose truth is known: the bars that the tests of a cohort must meet.

The quick forms run always, the full ones (``slow``) are the campaign. All are seeded: a failure is a change of the
statistics, never bad luck. The frames are rendered and run through the shipped reader and its
saturating twin, unless a test says that they are drawn.
"""

from __future__ import annotations

import pytest

from bench.drift_lab import AMOUNTS, SQUARE, Trial, drawn, found, right, shows
from devicesim.models.datastream import Condition


@pytest.fixture(scope="module")
def trial() -> Trial:
    return Trial()


def _false_alarms(trial, windows, percent_max):
    called = sum(trial.called(seed, 60) for seed in range(1_000, 1_000 + windows))
    assert 100 * called <= percent_max * windows, (
        f"{called} of {windows} healthy windows showed a shift at a nominal 5 %"
    )


def test_healthy_windows_are_rarely_called(trial):
    _false_alarms(trial, 50, 6.5)


@pytest.mark.slow
def test_a_thousand_healthy_windows(trial):
    _false_alarms(trial, 1_000, 6.5)


@pytest.mark.slow
def test_a_thousand_healthy_windows_of_drawn_frames():
    called = sum(shows(drawn(seed, 5_000, 0.0, windows=1)[0]) for seed in range(1_000))
    assert called <= 65, f"{called} of 1000 windows"


def _finds(cohorts):
    seen = sum(found(seed, 5_000, 0.2) for seed in range(cohorts))
    assert seen >= 0.9 * cohorts, (
        f"a shift of 0.2 sigma was found in {seen} of {cohorts} cohorts with 5,000 samples"
    )


def test_a_fifth_of_a_sigma_is_found_in_two_windows():
    _finds(20)


@pytest.mark.slow
def test_a_fifth_of_a_sigma_is_found_in_two_hundred_cohorts():
    _finds(200)


def _told_apart(trial, condition, sigma, faults, seeds):
    table = trial.confusion(
        range(seeds), condition=condition, amount=AMOUNTS[condition][sigma], faults=faults,
        bursts=24, before=5,
    )  # fmt: skip
    assert right(table) >= 0.95, f"{condition} {sigma} sigma, {faults:.0%} faults: {table}"


def test_240_devices_are_told_apart_at_half_a_sigma(trial):
    _told_apart(trial, Condition.DIM, 0.5, 0.1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("condition", [Condition.DIM, Condition.HAZE])
@pytest.mark.parametrize("sigma", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("faults", [0.1, 1.0])
def test_four_truths_are_told_apart(trial, condition, sigma, faults):
    _told_apart(trial, condition, sigma, faults, 6)


def test_a_lens_that_hazes_on_one_device_is_its_sensors(trial):
    before, after = trial.lens(seed=5, days=6)
    assert {cohort.drift for cohort in before} == {"none"}
    last = after[-1]
    assert last.drift == "sensor", f"told {last.drift}, {last.singles}"
    assert {device for device, _ in last.singles} == {"sound-eu-7"}


def test_without_probes_nobody_vouches_for_the_hardware(trial):
    [[cohort]] = trial.run(3, SQUARE[:1], days=1, probed=False)
    assert (cohort.probe, cohort.probes, cohort.devices) == ("unknown", 0, 30)
