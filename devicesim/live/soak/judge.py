"""What a soak must satisfy: no unexplained message, nothing that grows, no threshold crossed.

Decides how limits of the scenario's ``soak:`` section become verdicts. Leaves out how slopes are made
(leaks.py) and what a measure is (`devicesim.world.measures`).

Rules: ``loss`` in ``abort:`` means messages without an explanation, of these books. A leak ends a soak
early only after `ABORT_SPAN_S` of readings: before that a fleet may still be settling in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from devicesim.live.soak.books import Books
from devicesim.live.soak.leaks import Point, Slope, gains, leaks, slope
from devicesim.report.figures import duration, number
from devicesim.report.soak_record import AbortRow, LeakRow
from devicesim.scenario.checks import MEASURES, Leak, Measured, Soak
from devicesim.scenario.values import Kind

ABORT_SPAN_S: Final = 900.0
RSS_FLOOR_MIB: Final = 8.0
"""Growth that is never called a leak: one arena and its neighbours."""
BROKER_RSS_FLOOR_MIB: Final = 4.0
MB_PER_MIB: Final = 1.048576
LOSS: Final = "loss"

Read = Callable[[str], float | None]


def judge_leaks(points: dict[str, list[Point]], limits: Leak) -> list[LeakRow]:
    """Judge the readings of both processes.

    Args:
        points: by subject of windows.py; MiB and counts.
        limits: of the scenario.
    """
    rss_mib_per_h = limits.rss_mb_per_h / MB_PER_MIB
    return [
        _memory("memory", points["rss"], rss_mib_per_h, RSS_FLOOR_MIB, limits.rss_mb_per_h),
        _count("file descriptors", points["fds"], limits.fds),
        _count("tasks", points["tasks"], limits.tasks),
        _memory("memory of the broker", points["broker_rss"], rss_mib_per_h,
                BROKER_RSS_FLOOR_MIB, limits.rss_mb_per_h),
        _count("file descriptors of the broker", points["broker_fds"], limits.fds),
    ]  # fmt: skip


def _memory(
    what: str, points: list[Point], allowed_per_h: float, floor: float, spelled: float
) -> LeakRow:
    found = slope(points)
    allowed = f"{number(spelled)} MB/h"
    if found is None:
        return _unjudged(what, "MiB", allowed, points)
    row = _row(what, "MiB", allowed, found, not leaks(found, allowed_per_h, floor))
    if row.held and found.low_per_h > allowed_per_h:
        why = f"; less than {number(floor)} MiB in all is no leak yet: an allocator does that"
        return msgspec.structs.replace(row, story=row.story + why)
    return row


def _count(what: str, points: list[Point], allowed: int) -> LeakRow:
    found = slope(points)
    spelled = f"{allowed} gained"
    if found is None:
        return _unjudged(what, "", spelled, points)
    return _row(what, "", spelled, found, not gains(found, allowed))


def _row(what: str, unit: str, allowed: str, found: Slope, held: bool) -> LeakRow:  # noqa: FBT001
    unit_text = f" {unit}" if unit else ""
    story = (
        f"from {number(found.first)} to {number(found.last)}{unit_text} in "
        f"{duration(found.span_s)}: {_signed(found.per_h)}{unit_text}/h "
        f"({_signed(found.low_per_h)} to {_signed(found.high_per_h)} with 95 % confidence)"
    )
    if not held:
        story = f"grows: {story}; allowed: {allowed}"
    return LeakRow(
        what=what, unit=unit, allowed=allowed, held=held, story=story,
        per_h=found.per_h, low_per_h=found.low_per_h, high_per_h=found.high_per_h,
        first=found.first, last=found.last,
    )  # fmt: skip


def _unjudged(what: str, unit: str, allowed: str, points: list[Point]) -> LeakRow:
    why = "too few readings after the warm-up" if points else "it cannot be read here"
    return LeakRow(what=what, unit=unit, allowed=allowed, held=None, story=f"not judged: {why}")


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}" if abs(value) > 1e-9 else "0"


def judge_aborts(soak: Soak, books: Books, read: Read) -> list[AbortRow]:
    """Look at the thresholds of ``abort:`` now; a measure without a sample holds."""
    return [_abort(measured, books, read) for measured in soak.abort]


def _abort(measured: Measured, books: Books, read: Read) -> AbortRow:
    found = books.unexplained if measured.measure == LOSS else read(measured.measure)
    crossed = found is not None and measured.must.holds(found)
    story = f"found {_spelled(measured.measure, found)}"
    if crossed and measured.measure == LOSS and books.stories:
        story += f": {books.stories[0]}"
    return AbortRow(str(measured), not crossed, story)


def _spelled(measure: str, found: float | None) -> str:
    if found is None:
        return "nothing to measure"
    kind = MEASURES[measure][0]
    return duration(found / 1e9) if kind is Kind.DURATION else number(found)


def leaking(rows: list[LeakRow], span_s: float) -> LeakRow | None:
    """The first leak that is sure enough to end a soak early."""
    if span_s < ABORT_SPAN_S:
        return None
    return next((row for row in rows if row.held is False), None)
