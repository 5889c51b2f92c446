"""One run for a test: rehearsed, judged, and kept if somebody has to look at it.

Decides what of a run a test gets and which files a failing one leaves. Leaves out pytest itself
(pytest_plugin.py, which imports this when the first decorated test runs).
"""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import msgspec

from devicesdk.wire.timebase import parse_duration
from devicesim.rehearse import Rehearsal, open_scenario
from devicesim.report import document, html, junit
from devicesim.report.coverage import Glimpse, coverage, lines
from devicesim.report.record import CheckRow, RunRecord
from devicesim.report.ten_lines import ten_lines
from devicesim.scenario import ScenarioError
from devicesim.scenario.schema import Scenario

WIDTH = 100


class Wish(NamedTuple):
    """One run; goes to other processes."""

    file: str
    seed: int
    overrides: tuple[str, ...]
    until: str | None


class Refused(Exception):
    """The scenario cannot be run; says why, for a terminal."""


@lru_cache(maxsize=8)
def _open(file: str, overrides: tuple[str, ...], changed_ns: int) -> Scenario:
    del changed_ns
    try:
        scenario = open_scenario(Path(file), overrides)
    except ScenarioError as error:
        raise Refused(error.render(WIDTH)) from None
    if scenario.clock.mode == "real":
        raise Refused(
            f"{file}: expected clock.mode: virtual for a test, found real: remove it, or rehearse it "
            "with `fleetdrill run`"
        )
    return scenario


def rehearse_one(wish: Wish) -> RunRecord:
    """Run it to its end.

    Raises:
        Refused: the scenario is invalid.
    """
    file = Path(wish.file)
    scenario = _open(wish.file, wish.overrides, file.stat().st_mtime_ns)
    rehearsal = Rehearsal(scenario, file, seed=wish.seed, overrides=wish.overrides)
    return rehearsal.run(parse_duration(wish.until) if wish.until is not None else None)


class Ahead:
    """Runs that other processes make while this one tests.

    Args:
        jobs: how many processes.
    """

    def __init__(self, jobs: int) -> None:
        self._pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
        self._due: dict[Wish, Future[RunRecord]] = {}

    def order(self, wishes: list[Wish]) -> None:
        """Begin with these, in this order."""
        for wish in wishes:
            if wish not in self._due:
                self._due[wish] = self._pool.submit(rehearse_one, wish)

    def take(self, wish: Wish) -> RunRecord:
        """Wait for one, and forget it."""
        self.order([wish])
        return self._due.pop(wish).result()

    def close(self) -> None:
        """Wait for those that run; the others never begin."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def broken(record: RunRecord, *, each: bool) -> list[CheckRow]:
    """The checks that failed; hardships that were not exercised only where `each` seed must have."""
    return [row for row in record.checks if row.held is False and (each or row.kind != "sometimes")]


def keep(record: RunRecord, out: Path) -> Path:
    """Write a run's report, record and verdict; returns the page."""
    folder = out / f"{record.scenario}-seed-{record.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    page.write_text(html.render(record))
    (folder / "record.json").write_bytes(msgspec.json.encode(record))
    (folder / "verdict.json").write_text(document.encode(record, str(page)))
    (folder / "junit.xml").write_text(junit.to_xml(record))
    return page


def story(record: RunRecord, page: Path | None, again: str) -> str:
    """What a failing seed prints: ten lines, how to repeat it, where to look."""
    told = [*ten_lines(record), f"again: {record.reproduce}", f"   or: {again}"]
    if page is not None:
        told.append(f" look: {page}")
    return "\n".join(told)


def exercised(record: RunRecord) -> str:
    """The `sometimes` rows of a run as JSON, to be summed up elsewhere."""
    rows = [row for row in record.checks if row.kind == "sometimes"]
    return msgspec.json.encode(Glimpse(record.scenario, record.seed, rows)).decode()


def summed_up(rows: list[str]) -> tuple[list[str], list[str]]:
    """From many of those: the lines of a table, and what was never exercised."""
    made = coverage([msgspec.json.decode(row, type=Glimpse) for row in rows], vocabulary=())
    return lines(made), made.never
