"""The e-process: how often it stops a good release, how soon a bad one."""

from __future__ import annotations

import math

import pytest

from devicesim.entropy import Entropy
from gateway.core.control import gates

P0 = 0.02


def stops(stream, share, sizes):
    """Whether a rollout would be halted when its evidence is looked at after every failure."""
    counts = []
    for size in sizes:
        counts.append((0, 0))
        for entered in range(1, size + 1):
            failed = stream.chance(share)
            _, blamed = counts[-1]
            counts[-1] = (entered, blamed + failed)
            if failed and gates.evidence(counts, len(sizes), P0) > 20:
                return True
    return False


def test_a_release_at_the_tolerated_share_is_rarely_stopped_however_often_one_looks():
    entropy = Entropy(7)
    runs = 2_000
    stopped = sum(
        stops(entropy.stream("false-stop", str(run)), P0, (20, 100, 300, 600))
        for run in range(runs)
    )
    assert stopped / runs <= 0.05, f"{stopped} of {runs} good releases were stopped"


def test_a_bad_release_is_stopped_in_its_canary():
    entropy = Entropy(8)
    runs = 200
    stopped = sum(stops(entropy.stream("true-stop", str(run)), 0.3, (100,)) for run in range(runs))
    assert stopped == runs, f"only {stopped} of {runs} releases with 30 % failures were stopped"


def test_evidence_never_shrinks_with_a_failure_and_never_grows_with_a_success():
    for judged in range(1, 60):
        values = [gates.e_value(judged, blamed, P0) for blamed in range(judged + 1)]
        assert values == sorted(values)
        assert gates.e_value(judged + 1, 0, P0) < gates.e_value(judged, 0, P0)


@pytest.mark.parametrize("blamed_known", [0, 1, 5])
def test_failures_known_early_are_no_stronger_than_the_final_count(blamed_known):
    # 10 of 100 at risk will fail; until then they count as not failed.
    assert gates.e_value(100, blamed_known, P0) <= gates.e_value(100, 10, P0)


def test_one_bet_is_fair_under_the_hypothesis():
    mean = P0 * gates.e_value(1, 1, P0) + (1 - P0) * gates.e_value(1, 0, P0)
    assert math.isclose(mean, 1.0)


def test_the_first_failure_of_many_does_not_stop_and_two_of_two_do():
    assert gates.evidence([(1, 1)], 4, P0) < 20
    assert gates.evidence([(2, 2)], 4, P0) > 20


def test_success_in_early_waves_does_not_drown_a_failing_late_wave():
    good = [(1_000, 5), (1_000, 8)]
    assert gates.evidence([*good, (20, 8)], 4, P0) > 20


def test_a_plan_that_tolerates_nothing_stops_at_its_first_failure():
    assert gates.evidence([(500, 1)], 2, 0.0) > 20


def test_stakes_are_a_stake_of_one():
    for waves in (1, 2, 4, 9):
        assert math.isclose(sum(gates.stakes(waves)), 1.0)
    assert math.isclose(gates.evidence([], 4, P0), 1.0)


def test_a_small_tolerance_has_alternatives_near_it():
    # 1 % failures where 0.1 % are tolerated: found within a thousand devices.
    assert gates.evidence([(1_000, 10)], 1, 0.001) > 20


def test_overwhelming_evidence_is_still_a_number():
    assert math.isfinite(gates.evidence([(100_000, 100_000)], 1, P0))


def test_where_every_failure_is_tolerated_nothing_is_evidence():
    for judged in (1, 10, 1_000):
        assert gates.evidence([(judged, judged)], 1, 1.0) <= 1.0 + 1e-9
