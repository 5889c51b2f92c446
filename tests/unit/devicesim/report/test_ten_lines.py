"""Why a run failed, in ten lines."""

from __future__ import annotations

from msgspec.structs import replace

from devicesim.report.record import BadMinute, CheckRow
from devicesim.report.ten_lines import LINE_CHARS_MAX, LINES_MAX, ten_lines
from tests_kit.records import bare, outage


def test_a_run_that_held_needs_one_line():
    (line,) = ten_lines(outage())
    assert line.startswith("Held: ")


def test_what_failed_comes_first_and_then_the_first_bad_minute():
    told = ten_lines(outage(broken=True))
    assert told[0].startswith("Failed: ")
    assert told[2].startswith("halt holds (always) did not hold, first at ")
    assert any(line.startswith("first bad minute, ") for line in told)
    assert len(told) <= LINES_MAX


def test_however_much_there_is_it_stays_ten_short_lines():
    rows = [CheckRow(f"check_{n}", "always", False, "x" * 999, 60.0 * n) for n in range(30)]
    minute = BadMinute(60.0, "check_1: xxx", [f"line {n}" for n in range(40)])
    told = ten_lines(replace(bare("failed"), checks=rows, first_bad_minute=minute))
    assert len(told) == LINES_MAX
    assert max(map(len, told)) == LINE_CHARS_MAX
    assert told[5] == "and 26 more checks"
    assert told[-1] == "line 39", "the last lines are nearest to the failure"
