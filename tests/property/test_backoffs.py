"""Whatever the figures: waits keep their bounds, come out the same again, and cost one draw each."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.agent.backoff import Backoff, bounds
from devicesdk.agent.backoff_policies import POLICIES
from devicesdk.agent.config import BackoffConfig
from devicesdk.agent.dice import Dice
from devicesdk.wire.timebase import NEVER, SECOND

configs = st.builds(
    BackoffConfig,
    base_ns=st.integers(1, 10 * SECOND),
    cap_ns=st.integers(10 * SECOND, 600 * SECOND),
    jitter=st.sampled_from(("decorrelated", "full", "equal", "share", "none")),
    growth=st.sampled_from(("doubling", "constant", "linear", "delta")),
    step_ns=st.integers(0, 30 * SECOND),
    below_permille=st.integers(0, 1000),
    above_permille=st.integers(0, 1000),
    cap_after=st.booleans(),
    first_ns=st.one_of(st.just(-1), st.integers(0, SECOND)),
    attempts_max=st.integers(0, 6),
    rest_ns=st.integers(0, 60 * SECOND),
    policy=st.sampled_from(("", "made-up")),
)
quick = settings(max_examples=150, deadline=None, derandomize=True)


def _waits(config: BackoffConfig, seed: int, count: int = 24) -> list[int]:
    backoff, dice = Backoff(config, seed), Dice(seed, 1)
    backoff.booted(1)
    return [backoff.next(dice) for _ in range(count)]


@given(configs, st.integers(0, 2**32))
@quick
def test_no_wait_is_beyond_what_cap_and_jitter_allow(config: BackoffConfig, seed: int) -> None:
    over = config.above_permille if config.jitter == "share" and not config.cap_after else 0
    largest = config.cap_ns * (1000 + over) // 1000
    for wait in _waits(config, seed):
        rest = config.attempts_max and wait in (config.rest_ns, NEVER)
        assert 0 <= wait <= largest or rest, f"{wait} of {config}"


@given(configs, st.integers(0, 2**32))
@quick
def test_the_same_seed_waits_the_same(config: BackoffConfig, seed: int) -> None:
    assert _waits(config, seed) == _waits(config, seed)


@given(st.sampled_from(sorted(POLICIES)), st.integers(0, 2**32))
@quick
def test_a_named_policy_leaves_the_agents_luck_alone(name: str, seed: int) -> None:
    dice, other = Dice(seed, 1), Dice(seed, 1)
    backoff = Backoff(POLICIES[name].config, seed)
    for _ in range(12):
        backoff.next(dice)
    assert dice.below(2**60) == other.below(2**60)


@given(st.sampled_from(("full", "equal", "share")), st.integers(0, 8))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_mean_is_the_middle_of_its_bounds(jitter: str, turn: int) -> None:
    config = BackoffConfig(jitter=jitter, below_permille=300, above_permille=100, policy="x")
    low, high = bounds(config, turn)
    waits = [_waits(config, seed, turn + 1)[-1] for seed in range(1_500)]
    mean = sum(waits) / len(waits)
    assert abs(mean - (low + high) / 2) <= 0.05 * (high - low) + 1
