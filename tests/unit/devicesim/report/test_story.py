"""The story of a device: windowed, collapsed, readable."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from devicesim.report.figures import Clock
from devicesim.report.story import Row, tell

AT = HOUR


def told(rows: list[Row], **options: object) -> list[str]:
    lines = tell(rows, AT, **options)  # type: ignore[arg-type]
    return [line.replace("\N{NARROW NO-BREAK SPACE}", " ") for line in lines]


def test_a_row_has_its_instant_its_offset_its_kind_and_its_text() -> None:
    (line,) = told([(AT + 1_500_000_000, "link.up", "lte-poor")])
    assert line.split(maxsplit=3) == ["1:00:01.500", "+1.50", "s", "link.up  lte-poor"]


def test_a_run_of_one_kind_is_one_line_from_first_to_last() -> None:
    rows = [(AT + i * 3 * SECOND, "agent.backoff", f"attempt {i + 1}") for i in range(14)]
    (line,) = told(rows)
    assert line.endswith("attempt 1 .. attempt 14  x 14 in 39 s")


def test_alike_rows_say_their_text_once() -> None:
    (line,) = told([(AT, "ping", "no answer"), (AT, "ping", "no answer")])
    assert line.endswith("ping  no answer  x 2")


def test_another_kind_ends_the_run() -> None:
    rows = [(AT, "a", "1"), (AT + 1, "a", "2"), (AT + 2, "b", ""), (AT + 3, "a", "3")]
    assert [line.split()[3] for line in told(rows)] == ["a", "b", "a"]


def test_the_mark_splits_a_run_at_the_instant() -> None:
    rows = [(AT - SECOND, "a", "1"), (AT + SECOND, "a", "2")]
    lines = told(rows, mark="first bad minute")
    assert len(lines) == 3
    assert "------ first bad minute ------" in lines[1]
    assert "-1 s" in lines[0]
    assert "+1 s" in lines[2]


def test_the_mark_stands_even_when_nothing_follows() -> None:
    assert "halt" in told([(AT - SECOND, "a", "1")], mark="halt")[-1]
    assert len(told([], mark="halt")) == 1


def test_silence_is_told() -> None:
    lines = told([(AT - 8 * MINUTE, "a", ""), (AT, "a", "")])
    assert [line.strip() for line in lines][1] == "... 8 min of silence"


def test_rows_outside_the_window_are_counted() -> None:
    rows = [(0, "boot", ""), (AT - HOUR // 2, "x", ""), (AT, "y", ""), (AT + HOUR, "z", "")]
    lines = told(rows, before_ns=MINUTE, after_ns=MINUTE)
    assert [line.strip() for line in lines if "not told" in line] == [
        "... 2 earlier not told", "... 1 later not told",
    ]  # fmt: skip
    assert len(lines) == 3


def test_a_long_story_keeps_what_is_near_the_instant() -> None:
    rows = [(AT + (i - 50) * SECOND, f"kind{i}", "") for i in range(100)]
    lines = told(rows, lines_max=10)
    assert len(lines) == 12, "ten lines, and one on each side for what was left out"
    assert any("kind50" in line for line in lines)
    assert not any("kind10 " in line or "kind90" in line for line in lines)
    skipped = [int(line.split()[1]) for line in lines if "not told" in line]
    assert sum(skipped) == 90


def test_no_row_is_lost_between_lines_and_counts() -> None:
    rows = [(AT + (i * 7919) % 900 * SECOND - 450 * SECOND, f"k{i % 5}", "") for i in range(300)]
    lines = told(rows, lines_max=40)
    total = 0
    for line in lines:
        words = line.split()
        if "not told" in line:
            total += int(words[1])
        elif "silence" not in line:
            total += int(words[words.index("x") + 1]) if "x" in words else 1
    assert total == 300


def test_a_clock_spells_the_instants_of_the_scenario() -> None:
    (line,) = told([(AT, "a", "")], clock=Clock("2024-02-22T08:00:00Z"))
    assert line.startswith("09:00:00.000 ")


def test_rows_may_come_in_any_order() -> None:
    rows = [(AT + 2, "b", ""), (AT, "a", ""), (AT + 1, "c", "")]
    assert told(rows) == told(sorted(rows))


def test_a_text_cannot_add_lines_or_move_the_cursor() -> None:
    (line,) = told([(AT, "a", "one\ntwo\x1b[2J")])
    assert "\n" not in line
    assert "\x1b" not in line


def test_no_lines_is_not_a_story() -> None:
    with pytest.raises(ValueError, match="at least 1 line, found 0"):
        tell([], AT, lines_max=0)


def test_attempts_in_vain_are_no_silence() -> None:
    rows = [(0, "disconnected", ""), (10 * MINUTE, "connected", ""), (20 * MINUTE, "boot", "")]
    tries = [3 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE]
    lines = told(rows, before_ns=HOUR, in_vain=tries)
    assert [line.strip() for line in lines if "..." in line] == [
        "... 10 min, 2 attempts to connect in vain",
        "... 10 min of silence",
    ]
