"""What `fleetdrill compare` prints: the sentence, what differs, the numbers side by side.

Decides which of a comparison fits a screen: measures that are the same on both sides are named in one
line, checks only where they went otherwise. Leaves out exit codes and files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from devicesim.compare import wording
from devicesim.compare.result import CheckPair, Comparison, Measure
from devicesim.report.figures import printable, share, shortened
from devicesim.report.terminal import BAD, GOOD, SOFT
from devicesim.report.wording import spaced

CHANGES_SHOWN: Final = 12
WIDE_COLUMNS: Final = 120
"""Columns of a terminal from which on the means of B, and shares, are shown."""
TITLE_WIDTH: Final = 20
_VALUE_CHARS: Final = 44
_STYLES: Final = {"better": GOOD, "worse": BAD, "other": "yellow", "same": SOFT, "unclear": ""}


def summary(found: Comparison, console: Console | None = None, *, report: str = "") -> None:
    """Print a comparison.

    Args:
        found: the comparison.
        console: where to print; standard output when None.
        report: where the page was written; empty when it was not.
    """
    screen = console or Console(highlight=False)
    for part in _parts(found, report, wide=screen.width >= WIDE_COLUMNS):
        screen.print(part)


def _parts(found: Comparison, report: str, *, wide: bool) -> Iterator[RenderableType]:
    yield Text()
    yield Text(wording.headline(found), style="bold")
    yield _text(f"{wording.verdicts(found)} {wording.luck(found)}")
    yield Text()
    yield from _sides(found)
    yield from _changes(found)
    if not found.same:
        yield from _measures("Devices, means of pairs", found.devices, wide=wide)
        yield from _measures("Fleet", found.fleet, wide=wide)
        yield from _checks(found)
    yield Text()
    yield _text(wording.caution(found), SOFT)
    if report:
        yield Text()
        yield _text(f"  report  {report}")


def _sides(found: Comparison) -> Iterator[RenderableType]:
    first = found.pairs[0]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, side in (("A", first.a), ("B", first.b)):
        record = side.record
        good = record.verdict == "passed"
        bad = record.first_bad_minute
        told = wording.elapsed_or_none(None if bad is None else bad.at_s)
        grid.add_row(
            Text(f"  {name}", style="bold"), Text(record.verdict, style=GOOD if good else BAD),
            _text(record.scenario), _text(record.title, SOFT),
            _text(f"first bad minute: {told}", SOFT),
        )  # fmt: skip
    yield grid


def _changes(found: Comparison) -> Iterator[RenderableType]:
    if not found.changes:
        yield _text("  The scenarios are the same, defaults included.", SOFT)
        return
    table = _table("What differs", "A", "B")
    for change in found.changes[:CHANGES_SHOWN]:
        cells = [shortened(value, _VALUE_CHARS) or "\N{EN DASH}" for value in (change.a, change.b)]
        table.add_row(_text(change.path), *map(_text, cells))
    yield Padding(table, (1, 0, 0, 0))
    more = len(found.changes) - CHANGES_SHOWN
    if more > 0:
        yield _text(f"  and {more} more", SOFT)


def _measures(title: str, measures: list[Measure], *, wide: bool) -> Iterator[RenderableType]:
    shown = [one for one in measures if one.direction != "same"]
    if shown:
        table = _table()
        table.add_column(title, overflow="fold", min_width=TITLE_WIDTH)
        for name in ("A", "B", "B \N{MINUS SIGN} A") if wide else ("A", "B \N{MINUS SIGN} A"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("95 % interval", justify="right", no_wrap=wide)
        table.add_column("", no_wrap=True, min_width=1)
        if wide and any(one.less or one.more for one in shown):
            table.add_column("lower / higher", justify="right", no_wrap=True)
        for one in shown:
            table.add_row(*_row(one, wide=wide)[: len(table.columns)])
        yield Padding(table, (1, 0, 0, 0))
    same = [one.column.title.lower() for one in measures if one.direction == "same"]
    if same:
        yield Padding(_text(f"exactly the same: {', '.join(same)}", SOFT), (0, 0, 0, 2))


def _row(one: Measure, *, wide: bool) -> list[Text]:
    unit, style = one.column.unit, _STYLES[one.direction]
    title = one.column.title
    alone = wording.lost_and_found(one)
    return [
        Text.assemble(printable(title), (f"  {alone}", SOFT) if alone else ""),
        _text(wording.spell(one.a, unit)), *([_text(wording.spell(one.b, unit))] if wide else []),
        _text(wording.signed(one.difference, unit), style),
        _text(wording.interval_text(one, short=not wide)), _text(wording.MARKS[one.direction], style),
        _text(_shares(one), SOFT),
    ]  # fmt: skip


def _shares(one: Measure) -> str:
    if math.isnan(one.median):
        return ""
    return f"{share(round(one.less, 2))} / {share(round(one.more, 2))}"


def _checks(found: Comparison) -> Iterator[RenderableType]:
    otherwise = [check for check in found.checks if not check.same]
    if not otherwise:
        return
    table = _table("Checks that went otherwise", "A", "B")
    for check in otherwise:
        table.add_row(_text(spaced(check.name)), _outcome(check, "a"), _outcome(check, "b"))
    yield Padding(table, (1, 0, 0, 0))


def _outcome(check: CheckPair, side: str) -> Text:
    found = check.a if side == "a" else check.b
    if found is None:
        return Text("not asked", style=SOFT)
    if found.held is None:
        return Text("not exercised", style=SOFT)
    return Text("held", style=GOOD) if found.held else _text(f"failed: {found.story}", BAD)


def _table(*names: str) -> Table:
    table = Table(
        box=SIMPLE_HEAD, pad_edge=True, padding=(0, 1), header_style=SOFT, show_edge=False
    )
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _text(value: str, style: str = "") -> Text:
    return Text(printable(value), style=style)
