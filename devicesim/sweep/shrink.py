"""Shrink a failing scenario to the smallest one in which the same check still fails.

Decides the order of the cuts (large and cheap ones first: one check, a shorter run, the culprit's group, fewer
devices; then entries by delta debugging, then values), and when to stop. Leaves out the cuts themselves
(cuts.py), trying them (judge.py) and the file (repro.py).

Rules: name and kind of the check stay the same. Luck is drawn by seed, purpose and device, so what is left of
a scenario keeps its luck when something is taken away; only fewer devices, or another way of choosing them,
change who is unlucky. Such cuts are tried with a few other seeds, too, and the one that failed is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from devicesdk.wire.timebase import SECOND
from devicesim.scenario.overrides import apply_override
from devicesim.scenario.texts import whole_document
from devicesim.sweep import cuts
from devicesim.sweep.ddmin import ddmin
from devicesim.sweep.judge import Found, Judge
from devicesim.sweep.repro import to_yaml
from devicesim.sweep.task import Failing, Result, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from devicesim.sweep.bench import Bench
    from devicesim.sweep.cuts import Data
    from devicesim.sweep.engines import Engine
    from devicesim.sweep.task import Setup

RESEEDS: Final = 8
"""Other seeds that a cut which changes luck is tried with."""
RUNS_MAX: Final = 1_000
SECONDS_MAX: Final = 300.0
ROUNDS_MAX: Final = 8


class Shrunk(msgspec.Struct, frozen=True):
    """What came of it."""

    data: dict[str, Any]
    seed: int
    failing: Failing
    digest: str
    before: str
    after: str
    runs: int
    complete: bool
    """Whether nothing is left to try; else the budget ended it."""


class CannotRepeat(ValueError):
    """The failure to be shrunk does not occur."""


def data_of(setup: Setup, overrides: tuple[str, ...]) -> Data:
    """The plain data of a scenario, laid over its bases, after its overrides; all are known to be valid."""
    document, _ = whole_document(setup.file, setup.text, setup.bases)
    for override in overrides:
        apply_override(document, override)
    data: Data = document.data
    return data


def matches(failing: Failing, name: str) -> bool:
    """Whether somebody who says `name` means this failure: its beginning will do, blanks are underscores."""
    return failing.name.replace(" ", "_").startswith(name.replace(" ", "_"))


def choose(result: Result, name: str | None) -> Failing:
    """The failure that is meant: that of the name, or the first one.

    Raises:
        CannotRepeat: there is none such; says what did fail.
    """
    if name is None and result.first is not None:
        return result.first
    for one in result.failing:
        if name is not None and matches(one, name):
            return one
    told = ", ".join(one.name for one in result.failing) or "nothing"
    raise CannotRepeat(
        f"expected {name or 'a check'} to fail with seed {result.seed}, found that {told} did"
    )


def shrink(
    data: Data, seed: int, first: Result, failing: Failing, judge: Judge, bench: Bench,
    reseeds: int = RESEEDS,
) -> Shrunk:  # fmt: skip
    """Shrink.

    Args:
        data: of the scenario that fails.
        seed: with which it does.
        first: the run in which it did.
        failing: how.
        judge: tries candidates for the same failure.
        bench: reads scenarios.
        reseeds: how many other seeds a cut that changes luck is tried with.
    """
    before = str(
        cuts.Size(cuts.plain(data, bench.open(Task(key="", seed=seed, text=to_yaml(data, seed)))))
    )
    work = _Shrinker(Found(data, seed, failing, first), judge, bench, reseeds)
    complete = work.go()
    best = work.best
    return Shrunk(
        dict(best.data), best.seed, best.failing, best.result.digest, before,
        str(cuts.Size(best.data)), judge.budget.runs, complete,
    )  # fmt: skip


class _Shrinker:
    """Holds the best so far and improves it."""

    def __init__(self, start: Found, judge: Judge, bench: Bench, reseeds: int) -> None:
        self.best, self._judge, self._bench = start, judge, bench
        self._reseeds = reseeds

    def go(self) -> bool:
        """Cut until nothing can be; False when the budget ended it."""
        self._settle()
        for number in range(ROUNDS_MAX):
            before = self.best
            for cut in (self._end_sooner, self._one_group, self._fewer, self._end_sooner,
                        self._spare_entries, self._simplify, self._spare_keys):  # fmt: skip
                if self._judge.spent:
                    return False
                cut(number)
            if self.best is before:
                return True
        return True

    # -- trying ---------------------------------------------------------------------------------

    def _try(self, candidates: Iterable[Data], *, lucky: bool = False) -> bool:
        """Take the first candidate that fails; `lucky`: other seeds count, too."""
        seeds: tuple[int, ...] = (self.best.seed,)
        if lucky:
            others = [seed for seed in range(1, self._reseeds + 2) if seed != self.best.seed]
            seeds += tuple(others[: self._reseeds])
        hit = self._judge.first_failing([(data, seeds) for data in candidates])
        if hit is None:
            return False
        self._keep(hit[1])
        return True

    def _first_of(
        self, build: Callable[[Any], Data], *, lucky: bool
    ) -> Callable[[list[Any]], int | None]:
        """What `ddmin` asks, answered by trying; the best is kept on the way."""

        def first_failing(parts: list[Any]) -> int | None:
            seeds: tuple[int, ...] = (self.best.seed,)
            if lucky:
                seeds += tuple(s for s in range(1, self._reseeds + 1) if s != self.best.seed)
            hit = self._judge.first_failing([(build(part), seeds) for part in parts])
            if hit is None:
                return None
            self._keep(hit[1])
            return hit[0]

        return first_failing

    def _keep(self, found: Found) -> None:
        self.best = found
        self._judge.smallest = str(cuts.Size(found.data))

    # -- cuts -----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Work the scale in and drop the other checks: neither changes what happens."""
        data = self.best.data
        scenario = self._bench.open(Task(key="", seed=0, text=to_yaml(dict(data), self.best.seed)))
        bare = cuts.plain(dict(data), scenario)
        alone = cuts.only_check(bare, scenario, self.best.failing.identity)
        if not self._try([alone, bare]):
            self.best = msgspec.structs.replace(self.best, data=bare)

    def _end_sooner(self, _number: int) -> None:
        while not self._judge.spent:
            at_s = self.best.failing.at_s
            at_ns = None if at_s is None else int(at_s * SECOND)
            if not self._try(cuts.shorter(dict(self.best.data), at_ns)):
                return

    def _one_group(self, _number: int) -> None:
        group = self.best.failing.device.rpartition("-")[0]
        if group:
            self._try(cuts.one_group(dict(self.best.data), group))

    def _fewer(self, _number: int) -> None:
        while not self._judge.spent and self._try(cuts.fewer(dict(self.best.data)), lucky=True):
            pass

    def _spare_entries(self, number: int) -> None:
        data = dict(self.best.data)
        ddmin(
            cuts.entries(data),
            self._first_of(lambda kept: cuts.with_entries(data, kept), lucky=number > 0),
        )

    def _spare_keys(self, _number: int) -> None:
        """Which keys can go: `ddmin` over those that stay."""
        data = dict(self.best.data)
        every = [path for path in cuts.spared_keys(data) if self._can_go(data, path)]

        def build(kept: list[tuple[str | int, ...]]) -> Data:
            stays = dict.fromkeys(kept)
            return cuts.without_keys(data, [path for path in every if path not in stays])

        ddmin(every, self._first_of(build, lucky=False))

    def _can_go(self, data: Data, path: tuple[str | int, ...]) -> bool:
        return self._judge.valid(cuts.without_keys(data, [path]), self.best.seed) is not None

    def _simplify(self, number: int) -> None:
        """Values one at a time; each that could be made simpler is followed by another look."""
        tries = 0
        while tries < 100 and not self._judge.spent:
            tries += 1
            if not self._try(cuts.simpler(dict(self.best.data)), lucky=number > 0):
                return


def find_first(engine: Engine, task: Task) -> Result:
    """Run the scenario to be shrunk, as it is."""
    found: Iterator[Result] = engine.run([task])
    return next(found)
