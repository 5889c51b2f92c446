"""The agent's luck is a function of seed and boot, and fair enough for jitter."""

from __future__ import annotations

from devicesdk.agent.dice import Dice


def _draws(seed, boot, count=8):
    dice = Dice(seed, boot)
    return [dice.below(1_000_000) for _ in range(count)]


def test_the_same_boot_draws_the_same():
    assert _draws(1, 1) == _draws(1, 1)


def test_another_device_or_boot_draws_otherwise():
    assert len({tuple(_draws(seed, boot)) for seed in range(20) for boot in range(20)}) == 400


def test_draws_stay_in_bounds_and_fill_them():
    dice = Dice(3, 1)
    seen = [dice.between(5, 9) for _ in range(500)]
    assert sorted(set(seen)) == [5, 6, 7, 8, 9]
    counts = [seen.count(value) for value in range(5, 10)]
    assert min(counts) > 60, f"unfair: {counts}"


def test_empty_ranges_have_one_answer():
    dice = Dice(3, 1)
    assert dice.below(0) == 0
    assert dice.below(1) == 0
    assert dice.between(7, 3) == 7


def test_any_integer_is_a_seed():
    assert _draws(-1, 2**60) == _draws(2**64 - 1, 2**60)
