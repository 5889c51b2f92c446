"""What the run command prints when it is done: the verdict and what to do next.
Decides which of the record's numbers fit a screen: the verdict, what failed and why, the waves,
what was lost, the speed, where the page is, and the line that reproduces the run. The display while
a run goes on is in live.py. Leaves out exit codes.

Rule: text from a scenario is printed as it is; square brackets in it are not markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from textwrap import wrap
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from devicesim.report.figures import (
    DASH,
    Clock,
    compact,
    count,
    duration,
    elapsed,
    number,
    printable,
    share,
)  # fmt: skip
from devicesim.report.hardship import hardship_line
from devicesim.report.live import Progress
from devicesim.report.record import CheckRow, RolloutRow, RunRecord, WaveRow, failed_first
from devicesim.report.wording import spaced, venue_line, verdict_detail, verdict_line

__all__ = ["Progress", "summary"]

GOOD: Final = "green"
BAD: Final = "bold red"
SOFT: Final = "dim"
_CAUSES_SHOWN: Final = 6
_FAILED_SHOWN: Final = 12
_EXPLAINED: Final = 3
_HANG: Final = 15
"""So many of the failed are explained in full, the others in a line; the page has them all."""


def summary(record: RunRecord, console: Console | None = None, *, report: str = "") -> None:
    """Print the end of a run.

    Args:
        record: what the run left behind.
        console: where to print; standard output when None.
        report: where the HTML page was written; empty when it was not.
    """
    screen = console or Console(highlight=False)
    for part in _parts(record, report, screen.width):
        # Text is left to the terminal to wrap, so that a command can be copied whole.
        screen.print(part, soft_wrap=isinstance(part, Text))


def _parts(record: RunRecord, report: str, width: int) -> Iterator[RenderableType]:
    good = record.verdict == "passed"
    yield Text()
    yield Text.assemble(
        (("\N{CHECK MARK}" if good else "\N{BALLOT X}") + " ", GOOD if good else BAD),
        (verdict_line(record), f"bold {GOOD}" if good else BAD),
    )
    yield Padding(_text(verdict_detail(record)), (0, 0, 0, 2))
    yield from _checks(record, width)
    for rollout in record.rollouts:
        yield from _rollout(rollout, record)
    yield Text()
    yield _facts(record, report)
    yield _text(f"  again   {record.reproduce}")
    if not good and report.endswith("report.html"):
        yield _text(f"  why     fleetdrill story {quote(str(Path(report).parent))}")


def _checks(record: RunRecord, width: int) -> Iterator[RenderableType]:
    clock = Clock(record.clock_start, record.virtual_s)
    ordered = failed_first(record.checks)
    failed = [check for check in ordered if check.held is False]
    for place, check in enumerate(failed[:_FAILED_SHOWN]):
        yield Text()
        yield from _failed(check, clock, width, whole=place < _EXPLAINED)
    if len(failed) > _FAILED_SHOWN:
        yield _text(f"  and {count(len(failed) - _FAILED_SHOWN)} more", SOFT)
    unseen = [spaced(check.name) for check in ordered if check.held is None]
    if unseen:
        yield Text()
        yield Padding(_text(f"not exercised: {', '.join(unseen)}", SOFT), (0, 0, 0, 2))
    for action in record.skipped:
        yield Padding(_text(f"skipped: {action}", SOFT), (0, 0, 0, 2))


def _wrapped(line: str, width: int) -> list[str]:
    """Break a line of an explanation so that what comes after the break stands under its text."""
    hang = " " * _HANG if line[:1] in "+ " else "  "
    room = max(_HANG + 20, width - 5)
    return wrap(line, room, subsequent_indent=hang, break_on_hyphens=False) or [line]


def _failed(check: CheckRow, clock: Clock, width: int, *, whole: bool) -> Iterator[RenderableType]:
    when = "" if check.at_s is None else f"  {clock.at(check.at_s)} ({elapsed(check.at_s)})"
    yield Text.assemble(
        ("  \N{BALLOT X} ", BAD), (printable(spaced(check.name)), "bold"),
        (f"  {check.kind}{when}", SOFT),
    )  # fmt: skip
    if check.explanation and whole:
        for line in check.explanation:
            for part in _wrapped(line, width):
                yield Padding(_text(part), (0, 0, 0, 4))
    elif check.story:
        yield Padding(_text(check.story), (0, 0, 0, 4))


def _rollout(rollout: RolloutRow, record: RunRecord) -> Iterator[RenderableType]:
    yield Text()
    why = f": {rollout.why}" if rollout.why else ""
    yield Text.assemble(
        (printable(f"  {rollout.id} {rollout.bundle} "), "bold"),
        printable(f"{rollout.state}{why}"),
    )
    if not rollout.waves:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=SOFT)
    table.add_column("wave", justify="right")
    for name in ("size", "exposed", "committed", "failed", "rolled back", "opened", "lasted"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    clock = Clock(record.clock_start, record.virtual_s)
    for wave in rollout.waves:
        table.add_row(*_wave(wave, clock))
    yield Padding(table, (0, 0, 0, 2))


def _wave(wave: WaveRow, clock: Clock) -> list[Text]:
    lasted = DASH
    if wave.opened_s is not None and wave.closed_s is not None:
        lasted = duration(wave.closed_s - wave.opened_s)
    counts = (wave.size, wave.exposed, wave.committed, wave.failed, wave.rolled_back)
    cells = [share(wave.share), *map(count, counts), clock.at(wave.opened_s), lasted, wave.verdict]
    return [_text(cell) for cell in cells]


def _facts(record: RunRecord, report: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style=SOFT, no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "where": venue_line(record.venue),
        "lost": _lost(record),
        "buggify": hardship_line(record),
        "speed": f"{duration(record.virtual_s)} in {duration(record.wall_s)}, "
        f"{compact(record.speedup)} x; {duration(record.cpu_s)} of processor time",
        "work": f"{count(record.events)} events, {count(record.messages)} messages, "
        f"{count(record.inferences)} inferences, {number(record.memory_mib)} MiB",
        "trace": record.trace_digest,
        "report": report,
    }
    for name, value in rows.items():
        if value:
            table.add_row(f"  {name}", _text(value))
    return table


def _lost(record: RunRecord) -> str:
    drops = sorted(record.drops.items(), key=lambda item: (-item[1], item[0]))
    if not drops:
        return "nothing" if record.messages else ""
    shown = [f"{spaced(cause)} {count(dropped)}" for cause, dropped in drops[:_CAUSES_SHOWN]]
    rest = sum(dropped for _, dropped in drops[_CAUSES_SHOWN:])
    return ", ".join([*shown, f"other causes {count(rest)}"] if rest else shown)


def _text(value: str, style: str = "") -> Text:
    return Text(printable(value), style=style)
