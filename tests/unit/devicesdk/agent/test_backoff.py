"""Delays grow, stay apart, and are forgotten only after a stable session."""

from __future__ import annotations

import pytest

from devicesdk.agent.backoff import Backoff, bounds
from devicesdk.agent.backoff_policies import named
from devicesdk.agent.config import BackoffConfig
from devicesdk.agent.dice import Dice
from devicesdk.wire.timebase import MS, NEVER, SECOND


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


def _waits(name, count, seed=1, shared=1):
    backoff, shared_dice = Backoff(named(name), seed), Dice(shared, 1)
    backoff.booted(1)
    return [backoff.next(shared_dice) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("paho-python", (1, 2, 4, 8, 16, 32, 64, 120, 120)),
        ("paho-java", (1, 2, 4, 8, 16, 32, 64, 128, 128)),
        ("paho-go", (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600)),
        ("mosquitto", (1, 1, 1, 1)),
        ("esp-mqtt", (10, 10, 10)),
        ("azure-iot-python", (0, 10, 10, 10)),
    ],
)
def test_libraries_without_jitter_wait_what_their_source_says(name, seconds):
    assert [w / SECOND for w in _waits(name, len(seconds))] == list(seconds)


def test_azure_is_its_formula():
    for seed in range(200):
        waits = _waits("azure-iot", 12, seed)
        assert waits[0] == 0, "the first retry is at once"
        for k, wait in enumerate(waits[1:], start=1):
            low, high = (min(100 + (2**k - 1) * share, 10_000) for share in (80, 120))
            assert low <= wait / MS <= high, f"retry {k} after {wait / MS} ms"


def test_hivemq_is_a_quarter_to_both_sides_even_of_its_cap():
    late = [_waits("hivemq", 9, seed)[-1] / SECOND for seed in range(2_000)]
    assert min(late) >= 90
    assert max(late) <= 150
    assert max(late) > 140, "jitter comes after the cap"
    assert abs(sum(late) / len(late) - 120) < 1.5


def test_a_cap_after_the_draw_gathers_late_waits_on_it():
    late = [_waits("aws-sdk-v2", 14, seed)[-1] for seed in range(500)]
    assert sum(wait == 120 * SECOND for wait in late) > 480
    early = [_waits("full-jitter", 14, seed)[-1] for seed in range(500)]
    assert sum(wait == 120 * SECOND for wait in early) == 0


def test_a_policy_draws_from_luck_of_its_own():
    assert _waits("hivemq", 9, shared=1) == _waits("hivemq", 9, shared=2)
    dice, untouched = Dice(5, 1), Dice(5, 1)
    backoff = Backoff(named("full-jitter"), 3)
    backoff.booted(1)
    assert backoff.first(dice) == 0
    for _ in range(20):
        backoff.next(dice)
    assert dice.below(10**9) == untouched.below(10**9), "a policy took the agent's luck"
    again = Backoff(named("full-jitter"), 3)
    again.booted(2)
    assert again.next(dice) != _waits("full-jitter", 1, seed=3)[0], "two boots wait alike"


def test_who_forgets_at_connack_begins_anew_and_who_waits_for_age_does_not():
    quick, slow = Backoff(named("paho-python"), 1), Backoff(named("no-jitter"), 1)
    for backoff in (quick, slow):
        for _ in range(5):
            backoff.next(Dice(1, 1))
        backoff.accepted()
        backoff.session_ended(SECOND)
    assert quick.next(Dice(1, 1)) == SECOND
    assert slow.next(Dice(1, 1)) == 32 * SECOND


def test_attempts_end_in_a_rest_or_for_good():
    waits = _waits("aws-embedded-c", 12)
    assert waits[5] == waits[11] == 5 * SECOND
    assert waits[0] <= SECOND // 2
    assert waits[6] <= SECOND // 2, "after the rest it begins anew"
    done = Backoff(BackoffConfig(jitter="none", attempts_max=2))
    assert [done.next(Dice(1, 1)) for _ in range(3)] == [SECOND, 2 * SECOND, NEVER]


def test_linear_waits_grow_by_a_step():
    config = BackoffConfig(jitter="none", growth="linear", step_ns=3 * SECOND, cap_ns=9 * SECOND)
    backoff = Backoff(config)
    assert [backoff.next(Dice(1, 1)) // SECOND for _ in range(5)] == [1, 4, 7, 9, 9]
    assert bounds(config, 2) == (7 * SECOND, 7 * SECOND)
