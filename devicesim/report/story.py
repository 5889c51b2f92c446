"""The story of one device: its trace around an instant, short enough to read.

Decides the window, the columns, and how a run of alike rows becomes one line with a count. Leaves
out reading and filtering the trace, and what a row means: rows come decoded.

Rules: rows are told in order of time, those of the same instant in the order in which they came; a
run of rows of one kind is one line, from its first text to its last; silence is told too, because a
device that says nothing for an hour is often the point. When the story would be longer than
`lines_max`, the lines furthest from the instant go, and a line says how many.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from devicesdk.wire.timebase import MINUTE, SECOND, to_seconds
from devicesim.report.figures import Clock, count, duration, plural, printable

Row = tuple[int, str, str]
"""``(t_ns, kind, text)``; ``t_ns`` counts from the start of the scenario."""

BEFORE_NS: Final = 10 * MINUTE
AFTER_NS: Final = 5 * MINUTE
LINES_MAX: Final = 200
SILENCE_NS: Final = 2 * MINUTE
_OFFSET_WIDTH: Final = 15


class _Run(msgspec.Struct):
    """Consecutive rows of one kind."""

    kind: str
    start_ns: int
    end_ns: int
    first: str
    last: str
    rows: int = 1


def tell(
    rows: Iterable[Row],
    at_ns: int,
    *,
    before_ns: int = BEFORE_NS,
    after_ns: int = AFTER_NS,
    lines_max: int = LINES_MAX,
    clock: Clock | None = None,
    mark: str = "",
    in_vain: Sequence[int] = (),
) -> list[str]:
    """Tell what happened around `at_ns`.

    Args:
        rows: the device's rows; in any order.
        at_ns: the instant that the story is about.
        before_ns: how much of what came before is told; rows further away are counted, not told.
        after_ns: how much of what came after.
        lines_max: the longest story, at least 1 line.
        clock: spells instants on the scenario's wall clock; without it, as time since the start.
        mark: the words of the line drawn at the instant; empty draws none.
        in_vain: instants of attempts to connect that are no rows, in order: where there are any, the time
            between two rows was no silence.

    Returns:
        Lines of text without line ends: instant, offset to `at_ns`, kind, text, count.

    Raises:
        ValueError: `lines_max` is below 1.
    """
    if lines_max < 1:
        raise ValueError(f"expected lines_max of at least 1 line, found {lines_max}: ask for more")
    ordered = sorted(rows, key=lambda row: row[0])
    inside = [row for row in ordered if at_ns - before_ns <= row[0] <= at_ns + after_ns]
    runs = _collapse(inside, at_ns)
    kept, above, below = _nearest(runs, at_ns, lines_max)
    earlier = sum(row[0] < at_ns - before_ns for row in ordered)
    later = len(ordered) - len(inside) - earlier
    return [
        *_left_out(earlier + above, "earlier"),
        *_lines(kept, at_ns, clock, mark, in_vain),
        *_left_out(later + below, "later"),
    ]


def _collapse(rows: list[Row], at_ns: int) -> list[_Run]:
    """Join consecutive rows of a kind, but never across the instant that the story is about."""
    runs: list[_Run] = []
    for t_ns, kind, text in rows:
        last = runs[-1] if runs else None
        same_side = last is not None and (last.end_ns < at_ns) == (t_ns < at_ns)
        close = last is not None and t_ns - last.end_ns < SILENCE_NS
        if last is not None and last.kind == kind and same_side and close:
            last.end_ns, last.last, last.rows = t_ns, text, last.rows + 1
        else:
            runs.append(_Run(kind, t_ns, t_ns, text, text))
    return runs


def _nearest(runs: list[_Run], at_ns: int, lines_max: int) -> tuple[list[_Run], int, int]:
    """Keep the `lines_max` runs nearest to the instant; also how many rows went on each side."""
    if len(runs) <= lines_max:
        return runs, 0, 0
    distance = [max(run.start_ns - at_ns, at_ns - run.end_ns, 0) for run in runs]
    low, high = 0, len(runs)
    while high - low > lines_max:
        if distance[low] >= distance[high - 1]:
            low += 1
        else:
            high -= 1
    above = sum(run.rows for run in runs[:low])
    return runs[low:high], above, sum(run.rows for run in runs[high:])


def _lines(
    runs: list[_Run], at_ns: int, clock: Clock | None, mark: str, in_vain: Sequence[int]
) -> list[str]:
    width = max((len(run.kind) for run in runs), default=0)
    lines: list[str] = []
    marked = not mark
    previous: _Run | None = None
    for run in runs:
        if not marked and run.start_ns >= at_ns:
            lines.append(_mark(at_ns, clock, mark))
            marked = True
        if previous is not None and run.start_ns - previous.end_ns >= SILENCE_NS:
            lines.append(_gap(previous.end_ns, run.start_ns, in_vain))
        lines.append(_line(run, at_ns, clock, width))
        previous = run
    if not marked:
        lines.append(_mark(at_ns, clock, mark))
    return lines


def _gap(start_ns: int, end_ns: int, in_vain: Sequence[int]) -> str:
    tries = bisect_left(in_vain, end_ns) - bisect_right(in_vain, start_ns)
    what = f", {plural(tries, 'attempt')} to connect in vain" if tries > 0 else " of silence"
    return f"{'':13}... {duration(to_seconds(end_ns - start_ns))}{what}"


def _line(run: _Run, at_ns: int, clock: Clock | None, width: int) -> str:
    text = run.first if run.first == run.last else f"{run.first} .. {run.last}"
    if run.rows > 1:
        text += f"  x {count(run.rows)}"
        if run.end_ns > run.start_ns:
            text += f" in {duration(to_seconds(run.end_ns - run.start_ns))}"
    offset = _offset(run.start_ns - at_ns)
    line = f"{_instant(run.start_ns, clock)}  {offset:>{_OFFSET_WIDTH}}  {run.kind:{width}}  {text}"
    return printable(line.replace("\n", " ")).rstrip()


def _mark(at_ns: int, clock: Clock | None, mark: str) -> str:
    return printable(f"{_instant(at_ns, clock)}  {'-' * 6} {mark} {'-' * 6}")


def _left_out(rows: int, which: str) -> list[str]:
    return [f"{'':13}... {count(rows)} {which} not told"] if rows else []


def _offset(delta_ns: int) -> str:
    sign = "-" if delta_ns < 0 else "+"
    return f"{sign}{duration(to_seconds(abs(delta_ns)))}"


def _instant(t_ns: int, clock: Clock | None) -> str:
    whole, millis = divmod(t_ns // (SECOND // 1000), 1000)
    if clock is not None:
        return f"{clock.at(whole)}.{millis:03}"
    hours, rest = divmod(whole, 3600)
    return f"{hours:>2}:{rest // 60:02}:{rest % 60:02}.{millis:03}"
