"""Why a run failed, in ten lines: for a place where nobody scrolls.

Decides which of a record's sentences come first: the verdict, the checks that failed, the first bad minute.
Leaves out layout and colours.
"""

from __future__ import annotations

from typing import Final

from devicesim.report.figures import Clock, printable
from devicesim.report.record import RunRecord, failed_first
from devicesim.report.wording import check_story, verdict_line

LINES_MAX: Final = 10
CHECKS_MAX: Final = 4
LINE_CHARS_MAX: Final = 240


def ten_lines(record: RunRecord) -> list[str]:
    """Tell a run: at most `LINES_MAX` lines of at most `LINE_CHARS_MAX` characters."""
    clock = Clock(record.clock_start, record.virtual_s)
    failed = [check for check in failed_first(record.checks) if check.held is False]
    told = [verdict_line(record)]
    told += [check_story(check, clock) for check in failed[:CHECKS_MAX]]
    if len(failed) > CHECKS_MAX:
        told.append(f"and {len(failed) - CHECKS_MAX} more checks")
    minute = record.first_bad_minute
    if minute is not None:
        room = LINES_MAX - len(told) - 1
        told.append(f"first bad minute, {clock.at(minute.at_s)}: {minute.what}")
        told += minute.lines[-room:] if room > 0 else []
    return [_cut(printable(line)) for line in told[:LINES_MAX]]


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARS_MAX else line[: LINE_CHARS_MAX - 3] + "..."
