"""Run a sweep: deal the tasks, keep each result, stop when asked.

Decides what is left to do, what is kept when, and what ends a sweep early. Leaves out the console
(sweep_cli.py), the engines and the reports.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from devicesim.sweep.journal import Journal, read_journal
from devicesim.sweep.plan import Plan, check_plan
from devicesim.sweep.record import SweepRecord, build
from devicesim.sweep.task import PASSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicesim.sweep.engines import Engine
    from devicesim.sweep.task import Result

RECORD_FILE: Final = "sweep.json"
PAGE_FILE: Final = "sweep.html"


def run_sweep(
    plan: Plan,
    folder: Path,
    engine: Engine,
    *,
    stop_after_failures: int | None = None,
    show: Callable[[Result | None, int], None] = lambda _result, _left: None,
) -> bool:
    """Do what is left of a plan; each result is on the disk before the next one is looked at.

    Args:
        plan: what was asked for.
        folder: where results are kept; those that are there are not done again.
        engine: who does it.
        stop_after_failures: leave when so many runs did not hold, those of earlier parts included.
        show: called with each result and how many tasks are left; first with None.

    Returns:
        Whether every task is done.
    """
    with Journal(folder) as journal:
        todo = [task for task in plan.tasks() if task.key not in journal.done]
        bad = sum(result.verdict != PASSED for result in journal.done.values())
        left = len(todo)
        show(None, left)
        if _enough(bad, stop_after_failures):
            return not left
        for result in engine.run(todo):
            journal.append(result)
            left -= 1
            bad += result.verdict != PASSED
            show(result, left)
            if _enough(bad, stop_after_failures):
                break
        return not left


def _enough(bad: int, most: int | None) -> bool:
    return most is not None and bad >= most


def conclude(plan: Plan, folder: Path) -> SweepRecord:
    """Make the record and the page of what is there, and write both."""
    from devicesim.sweep.page import render

    results = read_journal(folder)
    record = build(plan, results, check_plan(plan))
    more: dict[str, str] = {}
    if record.runs < record.planned:
        more["resume"] = f"fleetdrill sweep --resume {folder}"
    if record.checks:
        more["shrink"] = f"fleetdrill shrink {folder}"
    record = msgspec.structs.replace(record, **more)
    (folder / RECORD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))
    (folder / PAGE_FILE).write_text(render(plan, record, results), "utf-8")
    return record
