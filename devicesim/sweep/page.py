"""The page of a sweep: one HTML file that needs nothing else.

Decides what is shown and in which order. Leaves out the drawings (charts.py) and the numbers (record.py). The page has
no script, and its Content-Security-Policy allows none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from devicesim.report.figures import (
    count,
    duration,
    elapsed,
    measure,
    plural,
    share,
)
from devicesim.report.pages import render_scriptless
from devicesim.report.wording import spaced
from devicesim.sweep.charts import Heat, Strip, heat, strip
from devicesim.sweep.outcomes import AMOUNTS, meaning_of
from devicesim.sweep.plan import Plan, key_of
from devicesim.sweep.screen import verdict_line
from devicesim.sweep.task import PASSED

if TYPE_CHECKING:
    from devicesim.sweep.record import SweepRecord
    from devicesim.sweep.task import Result

FAILURES_SHOWN_MAX: Final = 200
CELLS_SHOWN_MAX: Final = 16
STRIPS_SHOWN_MAX: Final = 24
HEATS_SHOWN_MAX: Final = 6


def render(plan: Plan, record: SweepRecord, results: Mapping[str, Result]) -> str:
    """Make the page of a sweep.

    Args:
        plan: what was asked for.
        record: what came of it.
        results: by key.
    """
    parts = context(plan, record, results)
    return render_scriptless("sweep.html.j2", "sweep.css", parts, "devicesim.sweep")


def context(plan: Plan, record: SweepRecord, results: Mapping[str, Result]) -> dict[str, Any]:
    """Everything the template needs."""
    bad = record.failed + record.broken
    return {
        "record": record,
        "passed": record.verdict == "passed",
        "verdict": verdict_line(record),
        "detail": _detail(record),
        "headline": [
            ("Runs", count(record.runs), f"{plural(record.seeds, 'seed')}, {plural(len(record.cells), 'point')}"),
            ("Did not hold", count(bad), share(bad / record.runs) if record.runs else ""),
            ("Exercised", f"{sum(bool(c.runs) for c in record.coverage)} of {len(record.coverage)}", "of what runs can meet"),
            ("Processor time", duration(record.cpu_s), f"{duration(record.cpu_s / record.runs)} a run" if record.runs else ""),
        ],
        "checks": [
            {"name": spaced(c.name), "kind": c.kind, "runs": count(c.runs),
             "length": 100 * c.runs / max(1, record.runs), "seed": c.first_seed}
            for c in record.checks
        ],
        "failures": _failures(record),
        "left_out": max(0, len(record.failures) - FAILURES_SHOWN_MAX),
        "strips": strips(plan, record, results),
        "cells_left_out": max(0, len(record.cells) - CELLS_SHOWN_MAX),
        "axes": [path for path, _ in plan.grid],
        "heats": heats(plan, record),
        "coverage": [
            {"row": row, "name": spaced(row.name), "runs": count(row.runs), "times": count(row.times),
             "length": 100 * row.runs / max(1, record.runs)}
            for row in sorted(record.coverage, key=lambda row: -row.runs)
        ],
        "constant": [
            (spaced(name), meaning_of(name), measure(value, record.units[name]))
            for name, value in record.constant.items()
        ],
    }  # fmt: skip


def _detail(record: SweepRecord) -> str:
    if record.checks:
        worst = record.checks[0]
        return f"Most often: {spaced(worst.name)}, in {plural(worst.runs, 'run')}, first with seed {worst.first_seed}."
    if record.unseen:
        return "What the scenario insists on having exercised must occur in some run at least."
    return "Every check held in every run."


def _failures(record: SweepRecord) -> list[dict[str, Any]]:
    rows = []
    for failure in record.failures[:FAILURES_SHOWN_MAX]:
        timed = [one for one in failure.failing if one.at_s is not None]
        first = min(timed, key=lambda one: one.at_s or 0.0) if timed else failure.failing[0]
        rows.append({
            "seed": failure.seed,
            "params": ", ".join(f"{path} = {value}" for path, value in failure.params.items()),
            "name": spaced(first.name), "kind": first.kind, "at": elapsed(first.at_s),
            "story": first.story, "more": len(failure.failing) - 1,
            "reproduce": failure.reproduce,
        })  # fmt: skip
    return rows


def strips(plan: Plan, record: SweepRecord, results: Mapping[str, Result]) -> list[Strip]:
    """The distribution of each outcome that differs, a row for each point of the grid."""
    names = list(record.cells[0].outcomes) if record.cells else []
    out = []
    for name in names[:STRIPS_SHOWN_MAX]:
        rows = []
        for cell in plan.cells[:CELLS_SHOWN_MAX]:
            mine = [results.get(key_of(seed, cell)) for seed in plan.seeds]
            values = [
                (one.outcomes[name], one.verdict == PASSED) for one in mine
                if one is not None and name in one.outcomes
            ]  # fmt: skip
            rows.append((", ".join(value for _, value in cell.params), values))
        drawn = strip(spaced(name), meaning_of(name), rows, _speller(record.units[name]))
        if drawn is not None:
            out.append(drawn)
    return out


def heats(plan: Plan, record: SweepRecord) -> list[Heat]:
    """Over a grid of two parameters: the share of runs that did not hold, then medians of outcomes."""
    if len(plan.grid) != 2:
        return []
    down, across = plan.grid[0][1], plan.grid[1][1]
    table = [record.cells[row * len(across) : (row + 1) * len(across)] for row in range(len(down))]
    found = [
        heat("did not hold", (down, across), [[c.bad_share for c in row] for row in table],
             share, bad=True)
    ]  # fmt: skip
    for name in record.cells[0].outcomes:
        if name in AMOUNTS:
            continue
        values = [[cell.outcomes[name].p50 for cell in row] for row in table]
        speller = _speller(record.units[name])
        found.append(heat(f"{spaced(name)}, median", (down, across), values, speller))
    return [one for one in found if one is not None][:HEATS_SHOWN_MAX]


def _speller(unit: str) -> Callable[[float | None], str]:
    return lambda value: measure(value, unit)


__all__ = ["context", "heats", "render", "strips"]
