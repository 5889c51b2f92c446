"""What the brakes of experiments are worth: false stops under peeking, and failures of a bad arm.

Run with ``python -m bench.brakes``. Every figure is counted over seeded runs of the very functions that
the gateway uses; beside the e-process stands the z-test that most dashboards do, looked at as often.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

from devicesim.entropy import Entropy, Stream
from gateway.core import eprocess
from gateway.core.experiments import bandit
from gateway.core.experiments.bandit import Brakes, Tally
from gateway.core.experiments.luck import Luck

BASE = 0.02
EVIDENCE = 20.0
DECISIONS = 2_000
LOOK_EVERY = 100
DEVICES = 500
Z_FIRST = 30
Z_5_PERCENT = 1.6448536


class ArmRun(NamedTuple):
    """What one run of the bandit did."""

    failures: int
    exposed: int
    stopped: bool
    cap_broken: int
    """Decisions at which more devices than the cap allows might have run the candidate."""


def z_stops(judged: int, bad: int, tolerated: float) -> bool:
    """The one-sided z-test for a share at 5 %, as if this were the only look."""
    if judged < Z_FIRST:
        return False
    sigma = math.sqrt(tolerated * (1.0 - tolerated) / judged)
    return bad / judged - tolerated > Z_5_PERCENT * sigma


def thresholds(stops: Callable[[int, int], bool], decisions: int) -> list[int]:
    """The smallest number of bad outcomes that stops, after 1, 2, ... decisions."""
    found, bad = [], 0
    for judged in range(1, decisions + 1):
        while bad <= judged and not stops(judged, bad):
            bad += 1
        found.append(bad)
        if bad > judged:
            bad = 0  # nothing stopped yet: too few for this test to look
    return found


def stop_share(
    share: float, limits: list[int], runs: int, entropy: Entropy, name: str
) -> tuple[float, float]:
    """How many of `runs` are stopped when looked at after every decision, and when in the median.

    Returns:
        Share of runs that were stopped; decisions until then (the median of those, NaN for none).
    """
    ends = []
    for run in range(runs):
        toss, bad = entropy.stream(name, str(run)).uniform, 0
        for place, limit in enumerate(limits):
            if toss() < share:
                bad += 1
                if bad >= limit:
                    ends.append(place + 1)
                    break
    ends.sort()
    return len(ends) / runs, ends[len(ends) // 2] if ends else math.nan


def null_pair(stream: Stream, base: float, decisions: int) -> bool:
    """Whether two arms that are equal are called different within so many decisions, split in half."""
    judged, bad = [0, 0], [0, 0]
    for turn in range(decisions):
        arm = turn % 2
        judged[arm] += 1
        if stream.uniform() < base:
            bad[arm] += 1
            if not arm:
                one, other = (judged[0], bad[0]), (judged[1], bad[1])
                if eprocess.two_sample(one, other) > EVIDENCE:
                    return True
    return False


def bandit_run(seed: int, bad_share: float, base: float = BASE) -> ArmRun:
    """One experiment of `DECISIONS` windows of `DEVICES` sticky devices, a look every `LOOK_EVERY`."""
    stream = Entropy(seed).stream("bandit", str(bad_share))
    buckets = [stream.uniform() for _ in range(DEVICES)]
    brakes = Brakes(tolerated=base, brake=EVIDENCE)
    candidate = production = Tally()
    cap = share = bandit.SHARE_FIRST
    fresh = broken = 0
    for turn in range(1, DECISIONS + 1):
        bucket = buckets[stream.integer(DEVICES)]
        if bucket < share:
            fresh += 1
            bad = stream.uniform() < bad_share
            candidate = Tally(candidate.judged + 1, candidate.bad + bad)
            if bandit.evidence_against(candidate, brakes) > brakes.brake:
                return ArmRun(candidate.bad, candidate.judged, stopped=True, cap_broken=broken)
            if bad and bandit.frozen(candidate, production, brakes):
                share = min(share, bandit.SHARE_FIRST)
        else:
            bad = stream.uniform() < base
            production = Tally(production.judged + 1, production.bad + bad)
        broken += share > cap
        if turn % LOOK_EVERY == 0:
            luck = Luck(seed, "bench", turn // LOOK_EVERY)
            step = bandit.look(luck, candidate, production, brakes, cap, 1.0, fresh=fresh)
            cap, share, fresh = step.cap, step.share, 0
    return ArmRun(candidate.bad, candidate.judged, stopped=False, cap_broken=broken)


def even_split(seed: int, bad_share: float) -> int:
    """Failures of a bad arm that gets half of `DECISIONS`, as in a plain A/B test."""
    stream = Entropy(seed).stream("even", str(bad_share))
    return sum(stream.uniform() < bad_share for _ in range(DECISIONS // 2))


def false_stops(runs: int) -> dict[str, float]:
    """Share of null runs that are stopped, test by test."""
    entropy = Entropy(11)
    e_limits = thresholds(lambda n, f: eprocess.e_value(n, f, BASE) > EVIDENCE, DECISIONS)
    z_limits = thresholds(lambda n, f: z_stops(n, f, BASE), DECISIONS)
    half = thresholds(lambda n, f: eprocess.e_value(n, f, 0.5) > EVIDENCE, 500)
    pairs = sum(null_pair(entropy.stream("two", str(run)), BASE, 1_000) for run in range(runs // 4))
    return {
        "e-process, E > 20": stop_share(BASE, e_limits, runs, entropy, "null")[0],
        "z-test at 5 %": stop_share(BASE, z_limits, runs, entropy, "null")[0],
        "paired e-process, E > 20": stop_share(0.5, half, runs, entropy, "half")[0],
        "two-sample e-value, E > 20": pairs / (runs // 4),
    }


def report(runs: int = 2_000) -> None:
    """Print the tables."""
    print(f"False stops in {runs} runs without any difference, looked at after every decision:")
    for name, share in false_stops(runs).items():
        print(f"  {name:28} {100 * share:5.1f} %")
    print(f"\nAn arm beside one that fails {BASE:.0%}, {DECISIONS} decisions, mean of {runs} runs:")
    print("  fails  failures  in an even split  decisions  stopped by the brake")
    for share in (0.10, 0.05, 0.02, 0.005):
        made = [bandit_run(run, share) for run in range(runs)]
        even = sum(even_split(run, share) for run in range(min(runs, 200))) / min(runs, 200)
        failures, exposed = sum(r.failures for r in made), sum(r.exposed for r in made)
        stopped = sum(r.stopped for r in made) / runs
        print(
            f"  {share:5.1%} {failures / runs:8.2f} {even:15.1f} {exposed / runs:14.0f} {stopped:13.1%}"
        )
    limits = thresholds(lambda n, f: eprocess.e_value(n, f, BASE) > EVIDENCE, 20_000)
    print("\nWindows of the candidate until the brake (median; 400 runs of at most 20,000):")
    for share in (0.04, 0.05, 0.10, 0.20, 0.50):
        stopped, median = stop_share(share, limits, 400, Entropy(12), f"power-{share}")
        print(f"  fails {share:4.0%}: {median:6.0f} windows, {100 * stopped:5.1f} % stopped")


if __name__ == "__main__":
    report(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
