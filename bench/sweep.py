"""Sweeps: runs per second on one worker process and on two, each beside the other in the same round."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from devicesim.sweep.engines import Engine, open_engine
from devicesim.sweep.task import Setup, Task

SCENARIO = Path(__file__).parents[1] / "scenarios" / "poisoned-model.yaml"
SCALE = "scale=0.03"
RUNS = 24
ROUNDS = 5
RATIO_MIN = 1.6


def spent_s(engine: Engine) -> float:
    """Seconds of real time for `RUNS` seeds on workers that are warm."""
    tasks = [Task(key=str(seed), seed=seed, overrides=(SCALE,)) for seed in range(1, RUNS + 1)]
    begun = time.perf_counter()
    done = sum(1 for _ in engine.run(tasks))
    assert done == RUNS, f"expected {RUNS} results, found {done}"
    return time.perf_counter() - begun


def measure() -> list[tuple[float, float]]:
    """(seconds on one process, seconds on two) of each round, after one round that warms everybody."""
    setup = Setup(file=str(SCENARIO), text=SCENARIO.read_text())
    with open_engine("processes", setup, 1) as one, open_engine("processes", setup, 2) as two:
        spent_s(one), spent_s(two)
        return [(spent_s(one), spent_s(two)) for _ in range(ROUNDS)]


def report() -> None:
    """Print the table."""
    rounds = measure()
    print(f"sweep of {RUNS} seeds, poisoned-model at {SCALE}       1 process   2 processes   ratio")
    for alone, both in rounds:
        print(
            f"  {'runs a second':<46} {RUNS / alone:9.2f} {RUNS / both:13.2f} {alone / both:7.2f}"
        )
    ratio = statistics.median(alone / both for alone, both in rounds)
    print(f"  median ratio {ratio:.2f} (at least {RATIO_MIN} is wanted, on two free cores)")


if __name__ == "__main__":
    report()
