"""Tries candidates: does the same check still fail?

Decides what counts as the same failure, what a candidate costs and when the budget is used up. Leaves out
where candidates come from (cuts.py, ddmin.py).

Rules: of several candidates the first in their order is taken, however many ran at the same time; a scenario
with a seed is run once; what is invalid does not fail and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from devicesim.scenario import ScenarioError
from devicesim.sweep.repro import to_yaml
from devicesim.sweep.task import Failing, Result, Task

if TYPE_CHECKING:
    from devicesim.sweep.bench import Bench
    from devicesim.sweep.cuts import Data
    from devicesim.sweep.engines import Engine


class Budget(msgspec.Struct):
    """What may be spent on shrinking."""

    runs_max: int
    seconds_max: float
    """Of real time."""
    runs: int = 0
    began_s: float = 0.0


class Found(msgspec.Struct, frozen=True):
    """A candidate that fails."""

    data: dict[str, object]
    seed: int
    failing: Failing
    result: Result


class Judge:
    """Tries candidates on an engine.

    Args:
        engine: who runs them.
        bench: reads a scenario as a worker does, to leave out what is invalid.
        identity: name and kind of the check that must fail.
        budget: what may be spent.
        clock_s: seconds that never go back.
        show: called after each run with how many there were, and `smallest`.
    """

    def __init__(
        self,
        engine: Engine,
        bench: Bench,
        identity: tuple[str, str],
        budget: Budget,
        clock_s: Callable[[], float],
        show: Callable[[int, str], None] = lambda _runs, _size: None,
    ) -> None:
        self._engine, self._bench, self._identity = engine, bench, identity
        self.budget, self._clock_s, self._show = budget, clock_s, show
        self._known: dict[str, Found | None] = {}
        self.smallest = ""
        """How large the best so far is, for the display."""
        budget.began_s = clock_s()

    @property
    def spent(self) -> bool:
        """Whether the budget is used up."""
        late = self._clock_s() - self.budget.began_s >= self.budget.seconds_max
        return late or self.budget.runs >= self.budget.runs_max

    def first_failing(
        self, candidates: list[tuple[Data, tuple[int, ...]]]
    ) -> tuple[int, Found] | None:
        """The first candidate that fails with the first of its seeds that makes it fail.

        Args:
            candidates: data and the seeds to try it with, in the order of preference.
        """
        tries = _Tries(self, candidates)
        for result in self._engine.run(tries.tasks()):
            self.budget.runs += 1
            tries.heard(result, result.fails(self._identity))
            self._show(self.budget.runs, self.smallest)
            if tries.settled:
                break
        return tries.best()

    def valid(self, data: Data, seed: int) -> str | None:
        """The candidate as a file, None when it is no scenario."""
        text = to_yaml(data, seed)
        try:
            self._bench.open(Task(key="", seed=seed, text=text))
        except ScenarioError:
            return None
        return text

    def known(self, key: str) -> tuple[bool, Found | None]:
        """Whether it was tried, and what came of it."""
        return key in self._known, self._known.get(key)

    def learn(self, key: str, found: Found | None) -> None:
        """Remember what came of it."""
        self._known[key] = found


class _Tries:
    """One round of candidates: hands out tasks, and knows when the first failing one is certain."""

    def __init__(self, judge: Judge, candidates: list[tuple[Data, tuple[int, ...]]]) -> None:
        self._judge, self._candidates = judge, candidates
        self._best: tuple[int, int, Found] | None = None
        self._open: dict[str, tuple[int, int, Data, int]] = {}
        """Key to place in the order, candidate, its data and seed, while it runs."""
        self._order = 0

    def tasks(self) -> Iterator[Task]:
        """What is worth running, in order; ends early once something failed or nothing is left to spend."""
        for number, (data, seeds) in enumerate(self._candidates):
            for seed in seeds:
                if self._best is not None or self._judge.spent:
                    return
                text = self._judge.valid(data, seed)
                if text is None:
                    break
                key = sha256(text.encode()).hexdigest()
                self._order += 1
                tried, found = self._judge.known(key)
                if tried:
                    if found is not None:
                        self._take(self._order, number, found)
                    continue
                if key not in self._open:
                    self._open[key] = (self._order, number, data, seed)
                    yield Task(key=key, seed=seed, text=text)

    def heard(self, result: Result, failing: Failing | None) -> None:
        """A run is over."""
        order, number, data, seed = self._open.pop(result.key)
        found = None if failing is None else Found(data, seed, failing, result)
        self._judge.learn(result.key, found)
        if found is not None:
            self._take(order, number, found)

    def _take(self, order: int, number: int, found: Found) -> None:
        if self._best is None or order < self._best[0]:
            self._best = (order, number, found)

    @property
    def settled(self) -> bool:
        """Whether nothing that still runs could come before the best."""
        best = self._best
        return best is not None and all(order > best[0] for order, *_ in self._open.values())

    def best(self) -> tuple[int, Found] | None:
        """The first failing candidate."""
        return None if self._best is None else (self._best[1], self._best[2])
