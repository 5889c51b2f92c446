"""Campaigns of experiments that find nothing, and of arms that are bad: how the brakes of a fleet behave."""

from __future__ import annotations

import pytest

from bench import brakes


def bad_arm(runs):
    made = [brakes.bandit_run(run, 0.10) for run in range(runs)]
    return sum(run.failures for run in made) / runs, made


@pytest.mark.parametrize("runs", [300, pytest.param(2_000, marks=pytest.mark.slow)])
def test_a_good_candidate_is_rarely_stopped_however_often_one_looks(runs):
    found = brakes.false_stops(runs)
    for name, share in found.items():
        if name != "z-test at 5 %":
            assert share <= 0.06, f"{name}: {share:.1%} of {runs} runs without a difference stopped"
    peeking = found["z-test at 5 %"]
    assert peeking > 0.2, f"a z-test that peeks should cry wolf; it did in {peeking:.1%} of {runs}"


@pytest.mark.parametrize("runs", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_a_bad_arm_costs_at_most_five_failures_in_2000_decisions(runs):
    failures, made = bad_arm(runs)
    assert failures <= 5.0, f"{failures:.2f} failures on average in {runs} runs"
    assert not sum(run.cap_broken for run in made), "more devices than the cap allows were exposed"


def test_a_good_arm_is_given_to_the_fleet():
    made = [brakes.bandit_run(run, 0.002) for run in range(20)]
    exposed = sum(run.exposed for run in made) / len(made)
    assert exposed > 0.5 * brakes.DECISIONS, f"a better arm got {exposed:.0f} decisions only"


def test_the_campaign_tells_a_broken_brake():
    """A campaign that any rule passes would prove nothing: the z-test must fail it."""
    limits = brakes.thresholds(lambda n, f: brakes.z_stops(n, f, 0.02), brakes.DECISIONS)
    share, _ = brakes.stop_share(0.02, limits, 300, brakes.Entropy(5), "planted")
    assert share > 0.06, f"{share:.1%}"
