"""What a sweep amounts to: one value that the page, the terminal and ``--json`` show.

Decides how results become distributions, coverage and a verdict. Leaves out layout.

Rules: everything is in the plan's order, never in the order in which tasks were done, and nothing depends on
how fast they were: the same results give the same record. A ``sometimes`` of the scenario is a promise of the
sweep as a whole: one sighting in any run keeps it, and a run alone does not break it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import msgspec

from devicesim.report.coverage import Exercised, Glimpse, coverage
from devicesim.report.record import CheckRow
from devicesim.scenario.checks import SOMETIMES
from devicesim.sweep.outcomes import AMOUNTS, meaning_of, unit_of
from devicesim.sweep.plan import Cell, Plan, key_of
from devicesim.sweep.task import BROKEN, FAILED, Failing, Result, comparable
from devicesim.world.latencies import nearest_rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from devicesim.scenario import Scenario


class Quantiles(msgspec.Struct, frozen=True):
    """A distribution by its nearest-rank quantiles; None of no values."""

    n: int
    min: float | None = None
    p10: float | None = None
    p50: float | None = None
    p90: float | None = None
    max: float | None = None


class CellRow(msgspec.Struct, frozen=True):
    """One point of the grid. `outcomes` has only those that differ anywhere in the sweep."""

    params: dict[str, str]
    runs: int
    failed: int
    broken: int
    outcomes: dict[str, Quantiles]

    @property
    def bad_share(self) -> float | None:
        """Share of runs that did not hold; None of no runs."""
        return (self.failed + self.broken) / self.runs if self.runs else None


class FailureRow(msgspec.Struct, frozen=True):
    """One run that did not hold, and the line that repeats it."""

    seed: int
    params: dict[str, str]
    verdict: str
    failing: tuple[Failing, ...]
    reproduce: str


class CheckTally(msgspec.Struct, frozen=True):
    """In how many runs a check failed."""

    name: str
    kind: str
    runs: int
    first_seed: int


class CoverageRow(msgspec.Struct, frozen=True):
    """In how many runs something was exercised, and how often; `asked`: the scenario insists on it.

    `seeds` are the first few in which it was.
    """

    name: str
    meaning: str
    runs: int
    times: int
    asked: bool
    seeds: list[int] = []


class SweepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep as far as it has come."""

    scenario: str
    title: str
    file: str
    verdict: Literal["passed", "failed", "broken", "unfinished"]
    planned: int
    runs: int
    failed: int
    broken: int
    seeds: int
    grid: dict[str, list[str]]
    digest: str
    """Of all results without their times: two sweeps with the same one agree bit for bit."""
    units: dict[str, str]
    constant: dict[str, float]
    """Outcomes that were the same in every run."""
    checks: list[CheckTally]
    cells: list[CellRow]
    failures: list[FailureRow]
    coverage: list[CoverageRow]
    unseen: list[str]
    """What the scenario insists on having exercised, and no run did."""
    cpu_s: float = 0.0
    resume: str = ""
    shrink: str = ""


def build(plan: Plan, results: Mapping[str, Result], scenario: Scenario) -> SweepRecord:
    """Make the record of a sweep.

    Args:
        plan: what was asked for.
        results: by key; those of other plans are left out.
        scenario: the plan's first cell, loaded.
    """
    cells = plan.cells
    ordered = [
        (seed, cell, result) for cell in cells for seed in plan.seeds
        if (result := results.get(key_of(seed, cell))) is not None
    ]  # fmt: skip
    found = [result for _, _, result in ordered]
    constant, differing = _outcomes(found)
    failed = sum(result.verdict == FAILED for result in found)
    broken = sum(result.verdict == BROKEN for result in found)
    coverage = _coverage(plan, found, tuple(map(str, scenario.checks.sometimes)))
    unseen = [row.name for row in coverage if row.asked and not row.runs]
    return SweepRecord(
        scenario=plan.name, title=scenario.title, file=plan.file,
        verdict=_verdict(failed, broken, complete=len(found) == plan.size, unseen=unseen),
        planned=plan.size, runs=len(found), failed=failed, broken=broken, seeds=len(plan.seeds),
        grid={path: list(values) for path, values in plan.grid}, digest=digest_of(found),
        units={name: unit_of(name) for name in (*constant, *differing)}, constant=constant,
        checks=_tallies(ordered),
        cells=[
            _cell(cell, [result for _, mine, result in ordered if mine == cell], differing)
            for cell in cells
        ],
        failures=[
            FailureRow(seed, dict(cell.params), result.verdict, result.failing, plan.reproduce(seed, cell))
            for seed, cell, result in ordered if result.verdict in (FAILED, BROKEN)
        ],
        coverage=coverage, unseen=unseen, cpu_s=round(sum(result.cpu_s for result in found), 3),
    )  # fmt: skip


def digest_of(results: list[Result]) -> str:
    """Digest of results without their times, in the order given."""
    hasher = sha256()
    for result in results:
        hasher.update(comparable(result) + b"\n")
    return hasher.hexdigest()[:32]


def quantiles(values: list[float]) -> Quantiles:
    """Nearest-rank quantiles of values in any order."""
    if not values:
        return Quantiles(0)
    ranked = sorted(values)
    return Quantiles(len(ranked), *(nearest_rank(ranked, q) for q in (0, 0.1, 0.5, 0.9, 1)))


def _verdict(
    failed: int, broken: int, *, complete: bool, unseen: list[str]
) -> Literal["passed", "failed", "broken", "unfinished"]:
    if failed:
        return "failed"
    if broken:
        return "broken"
    if not complete:
        return "unfinished"
    return "failed" if unseen else "passed"


def _outcomes(results: list[Result]) -> tuple[dict[str, float], list[str]]:
    """Outcomes that never differ, with their value, and the names of those that do."""
    names = dict.fromkeys(name for result in results for name in result.outcomes)
    constant: dict[str, float] = {}
    differing = []
    for name in names:
        values = dict.fromkeys(result.outcomes.get(name) for result in results if result.outcomes)
        only = next(iter(values))
        if len(values) == 1 and only is not None:
            constant[name] = only
        else:
            differing.append(name)
    measures = [name for name in differing if name not in AMOUNTS]
    return constant, measures + [name for name in differing if name in AMOUNTS]


def _cell(cell: Cell, results: list[Result], names: list[str]) -> CellRow:
    return CellRow(
        params=dict(cell.params), runs=len(results),
        failed=sum(result.verdict == FAILED for result in results),
        broken=sum(result.verdict == BROKEN for result in results),
        outcomes={
            name: quantiles([r.outcomes[name] for r in results if name in r.outcomes])
            for name in names
        },
    )  # fmt: skip


def _tallies(ordered: list[tuple[int, Cell, Result]]) -> list[CheckTally]:
    """Checks that failed anywhere, the most frequent first."""
    runs: dict[tuple[str, str], list[int]] = {}
    for seed, _, result in ordered:
        for failing in result.failing:
            runs.setdefault(failing.identity, []).append(seed)
    rows = [CheckTally(name, kind, len(s), s[0]) for (name, kind), s in runs.items()]
    return sorted(rows, key=lambda row: -row.runs)


def _coverage(plan: Plan, results: list[Result], asked: tuple[str, ...]) -> list[CoverageRow]:
    """What runs met, the rarest first; every run looks for every word."""
    meanings = dict.fromkeys(asked, "") | SOMETIMES
    made = coverage(_glimpse(plan, result, meanings) for result in results)
    rows = {row.name: row for row in made.rows}
    rows |= {name: Exercised(name, 0, 0, 0, [], []) for name in meanings if name not in rows}
    return [
        CoverageRow(row.name, meanings[row.name], row.seen, row.times, row.name in asked, row.seeds)
        for row in rows.values()
    ]


def _glimpse(plan: Plan, result: Result, words: Iterable[str]) -> Glimpse:
    rows = [
        CheckRow(name, "sometimes", name in result.seen, count=result.seen.get(name, 0))
        for name in words
    ]
    return Glimpse(plan.name, result.seed, rows)


__all__ = ["CellRow", "CheckTally", "CoverageRow", "FailureRow", "Quantiles", "SweepRecord", "build",
           "digest_of", "meaning_of", "quantiles"]  # fmt: skip
