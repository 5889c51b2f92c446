"""Delays grow, stay apart, and are forgotten only after a stable session."""

from __future__ import annotations

import pytest

from devicesdk.agent.backoff import Backoff
from devicesdk.agent.config import BackoffConfig
from devicesdk.agent.dice import Dice
from devicesdk.wire.timebase import SECOND


def _delays(jitter, count, seed=1):
    backoff, dice = Backoff(BackoffConfig(jitter=jitter)), Dice(seed, 1)
    return [backoff.next(dice) for _ in range(count)]


@pytest.mark.parametrize("jitter", ["decorrelated", "full", "equal", "none"])
def test_no_delay_exceeds_the_cap(jitter):
    assert max(_delays(jitter, 200)) <= BackoffConfig().cap_ns


def test_decorrelated_delays_are_at_least_the_base_and_spread_below_the_cap():
    late = [_delays("decorrelated", 12, seed)[-1] for seed in range(400)]
    assert min(late) >= SECOND
    assert len(set(late)) == 400, "devices sleep in step"
    on_the_cap = sum(delay == BackoffConfig().cap_ns for delay in late)
    assert on_the_cap == 0, f"{on_the_cap} of 400 devices gather on the cap"


def test_without_jitter_delays_double():
    assert _delays("none", 9) == [n * SECOND for n in (1, 2, 4, 8, 16, 32, 64, 120, 120)]


def test_equal_jitter_keeps_half():
    assert all(SECOND // 2 <= first <= SECOND for first in _delays("equal", 1))
    assert _delays("equal", 8)[-1] >= 60 * SECOND


def test_full_jitter_may_be_short():
    assert min(_delays("full", 200)) < 10 * SECOND


def test_growth_is_forgotten_after_a_stable_session_only():
    backoff, dice = Backoff(BackoffConfig(jitter="none")), Dice(1, 1)
    for _ in range(5):
        backoff.next(dice)
    backoff.session_ended(59 * SECOND)
    assert backoff.next(dice) == 32 * SECOND, "an unstable session reset the back-off"
    backoff.session_ended(60 * SECOND)
    assert backoff.losses == 0
    assert backoff.next(dice) == SECOND


def test_the_first_connect_of_a_boot_is_spread():
    config = BackoffConfig()
    firsts = [Backoff(config).first(Dice(seed, 1)) for seed in range(50)]
    assert len(set(firsts)) == 50
    assert max(firsts) < config.base_ns
    assert Backoff(BackoffConfig(jitter="none")).first(Dice(1, 1)) == 0
