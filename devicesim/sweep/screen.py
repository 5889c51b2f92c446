"""What the terminal shows of a sweep: a bar while it runs, a summary at its end.

Decides what fits a screen. Leaves out the page (page.py) and exit codes.

Rule: text from a scenario or a check is printed as it is; square brackets in it are not markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from devicesim.report.display import Display
from devicesim.report.figures import DASH, count, duration, measure, plural, printable, share
from devicesim.report.terminal import BAD, GOOD, SOFT
from devicesim.report.wording import spaced
from devicesim.sweep.task import PASSED, Result

if TYPE_CHECKING:
    from devicesim.sweep.record import CellRow, SweepRecord
    from devicesim.sweep.shrink import Shrunk

DRAW_EVERY_S: Final = 0.2
LINE_EVERY_S: Final = 10.0
BAR_WIDTH: Final = 32
OUTCOMES_SHOWN: Final = 8
FAILURES_SHOWN: Final = 5
CELLS_SHOWN: Final = 24
MEDIANS_SHOWN: Final = 4
WIDE_COLUMNS: Final = 100
"""Columns of a terminal from which on the grid shows all of those medians."""


class SweepScreen(Display):
    """Shows how far a sweep has come; use it as a context manager.

    Args:
        title: what is swept.
        planned: runs in all.
        clock_s: seconds that never go back.
        console: where to draw; standard error by default.
    """

    def __init__(
        self,
        title: str,
        planned: int,
        clock_s: Callable[[], float],
        console: Console | None = None,
    ) -> None:
        self._title, self._planned, self._clock_s = printable(title), planned, clock_s
        super().__init__(console)
        self._began_s = self._drawn_s = clock_s()
        self._todo = self._left = planned
        self._bad = 0

    def show(self, result: Result | None, left: int) -> None:
        """A run is done; None: they begin."""
        now_s = self._clock_s()
        if result is None:
            self._began_s, self._todo = now_s, left
        elif result.verdict != PASSED:
            self._bad += 1
            self._announce(result)
        self._left = left
        if now_s - self._drawn_s >= (LINE_EVERY_S if self._live is None else DRAW_EVERY_S):
            self._drawn_s = now_s
            self._draw(now_s)

    def _announce(self, result: Result) -> None:
        """One line for each of the first runs that did not hold."""
        first = result.first
        if self._bad <= FAILURES_SHOWN and first is not None:
            line = Text.assemble(
                ("\N{BALLOT X} ", BAD), (f"seed {printable(result.key)}  ", ""),
                (printable(spaced(first.name)), "bold"), (f"  {printable(first.story)}", SOFT),
            )  # fmt: skip
            self._console.print(line, overflow="ellipsis", no_wrap=True)

    def _draw(self, now_s: float) -> None:
        done = self._planned - self._left
        bad = Text(f"{count(self._bad)} did not hold", BAD if self._bad else GOOD)
        if self._live is None:
            line = Text(f"{done / max(1, self._planned):4.0%}  {count(done)} of ")
            line.append(f"{plural(self._planned, 'run')}  {self._left_text(now_s)}  ")
            self._console.print(line + bad, soft_wrap=True)
            return
        grid = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(max(1, self._planned), done, width=BAR_WIDTH)
        grid.add_row(
            Text(self._title, "bold"), bar, f"{count(done)} of {count(self._planned)}",
            self._left_text(now_s), bad,
        )  # fmt: skip
        self._show(grid)

    def _left_text(self, now_s: float) -> str:
        done = self._todo - self._left
        if not done:
            return "starting"
        return f"{duration(round((now_s - self._began_s) * self._left / done))} left"


def verdict_line(record: SweepRecord) -> str:
    """Say in one line how the sweep went."""
    bad = record.failed + record.broken
    runs = plural(record.runs, "run")
    if record.runs < record.planned:
        runs = f"{count(record.runs)} of {plural(record.planned, 'run')}"
    if bad:
        return f"Failed: {count(bad)} of {runs} did not hold."
    if record.verdict == "unfinished":
        return f"Unfinished: {runs}, all of which held."
    if record.unseen:
        return f"Failed: {runs} held, but {', '.join(map(spaced, record.unseen))} never occurred."
    return f"Held: {runs}."


def summary(record: SweepRecord, console: Console | None = None, *, page: str = "") -> None:
    """Print the end of a sweep on standard output."""
    screen = console or Console(highlight=False)
    for part in _parts(record, page, screen.width):
        screen.print(part, soft_wrap=isinstance(part, Text))  # a command stays one line


def _parts(record: SweepRecord, page: str, width: int) -> Iterator[RenderableType]:
    good = record.verdict == "passed"
    yield Text.assemble(
        (("\N{CHECK MARK}" if good else "\N{BALLOT X}") + " ", GOOD if good else BAD),
        (printable(verdict_line(record)), f"bold {GOOD}" if good else BAD),
    )
    points = f" x {plural(len(record.cells), 'point')} of the grid" if record.grid else ""
    yield Text(f"  {plural(record.seeds, 'seed')}{points}", SOFT)
    for row in record.checks[:FAILURES_SHOWN]:
        text = f"  {printable(spaced(row.name))}"
        yield Text.assemble(
            (text, "bold"), (f"  {row.kind}", SOFT),
            f"  in {plural(row.runs, 'run')}, first with seed {row.first_seed}",
        )  # fmt: skip
    for failure in record.failures[:FAILURES_SHOWN]:
        yield Text(f"    {printable(failure.reproduce)}", SOFT)
    if len(record.failures) > FAILURES_SHOWN:
        yield Text(f"    and {count(len(record.failures) - FAILURES_SHOWN)} more", SOFT)
    if record.grid:
        yield Padding(_grid(record, width), (1, 0, 0, 2))
    elif record.cells and record.cells[0].outcomes:
        yield Padding(_outcomes(record, record.cells[0]), (1, 0, 0, 2))
    yield Padding(_facts(record, page), (1, 0, 0, 2))


def _outcomes(record: SweepRecord, cell: CellRow) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=SOFT)
    table.add_column("outcome")
    for name in ("least", "p10", "median", "p90", "most"):
        table.add_column(name, justify="right")
    for name, q in list(cell.outcomes.items())[:OUTCOMES_SHOWN]:
        unit = record.units[name]
        cells = [measure(value, unit) for value in (q.min, q.p10, q.p50, q.p90, q.max)]
        table.add_row(spaced(name), *cells)
    return table


def _grid(record: SweepRecord, width: int) -> Table:
    """A line for each point of the grid: how many held, and the medians of a few outcomes."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=SOFT)
    for path in record.grid:
        table.add_column(Text(printable(path)), no_wrap=True)
    table.add_column("did not hold", justify="right")
    shown = MEDIANS_SHOWN if width >= WIDE_COLUMNS else MEDIANS_SHOWN // 2
    names = list(record.cells[0].outcomes)[:shown] if record.cells else []
    for name in names:
        table.add_column(f"{spaced(name)} (median)", justify="right")
    for cell in record.cells[:CELLS_SHOWN]:
        bad = cell.failed + cell.broken
        told = f"{count(bad)} of {count(cell.runs)} ({share(cell.bad_share)})" if bad else DASH
        medians = [measure(cell.outcomes[name].p50, record.units[name]) for name in names]
        values = [Text(printable(value)) for value in cell.params.values()]
        table.add_row(*values, Text(told, BAD if bad else ""), *medians)
    return table


def _facts(record: SweepRecord, page: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style=SOFT, no_wrap=True)
    table.add_column(overflow="fold")
    never = [spaced(row.name) for row in record.coverage if not row.runs]
    rows = {
        "never seen": ", ".join(never),
        "work": f"{duration(record.cpu_s)} of processor time",
        "digest": record.digest,
        "report": page,
        "go on": record.resume,
        "shrink": record.shrink,
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, Text(printable(value)))
    return table


class ShrinkScreen(Display):
    """Shows how far shrinking has come; use it as a context manager.

    Args:
        runs_max: runs that may be spent.
        clock_s: seconds that never go back.
        console: where to draw; standard error by default.
    """

    def __init__(
        self, runs_max: int, clock_s: Callable[[], float], console: Console | None = None
    ) -> None:
        self._runs_max, self._clock_s = runs_max, clock_s
        super().__init__(console)
        self._drawn_s = clock_s()

    def show(self, runs: int, size: str) -> None:
        """A candidate has run; `size` is that of the smallest so far."""
        now_s = self._clock_s()
        if now_s - self._drawn_s < (LINE_EVERY_S if self._live is None else DRAW_EVERY_S):
            return
        self._drawn_s = now_s
        if self._live is None:
            self._console.print(Text(f"{plural(runs, 'run')}  {size}"), soft_wrap=True)
            return
        grid = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(self._runs_max, min(runs, self._runs_max), width=BAR_WIDTH)
        grid.add_row(
            Text("shrinking", "bold"), bar, f"{count(runs)} of {count(self._runs_max)} runs", size
        )
        self._show(grid)


def shrunk_summary(done: Shrunk, file: str, command: str, console: Console | None = None) -> None:
    """Print what came of shrinking on standard output."""
    screen = console or Console(highlight=False)
    failing = done.failing
    screen.print(
        Text.assemble(
            ("\N{BALLOT X} ", BAD), (printable(spaced(failing.name)), "bold"),
            (f"  {failing.kind}", SOFT),
        )
    )  # fmt: skip
    screen.print(Padding(Text(printable(failing.story)), (0, 0, 0, 2)))
    ending = "" if done.complete else "; the budget was used up before nothing was left to try"
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style=SOFT, no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "before": done.before, "after": f"{done.after}, seed {done.seed}",
        "spent": f"{plural(done.runs, 'run')}{ending}", "file": file, "again": command,
    }  # fmt: skip
    for name, value in rows.items():
        table.add_row(name, Text(printable(value)))
    screen.print(Padding(table, (0, 0, 0, 2)))
