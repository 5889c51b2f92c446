"""The display of a run in progress."""

from __future__ import annotations

import io

from rich.console import Console

from devicesdk.wire.timebase import HOUR, MS, SECOND
from devicesim.report.live import DRAW_EVERY_NS, LINE_EVERY_NS, Progress


class Wall:
    """A wall clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_ns = 5 * SECOND

    def __call__(self) -> int:
        return self.now_ns


def make(*, terminal: bool) -> tuple[Progress, Wall, io.StringIO]:
    out, wall = io.StringIO(), Wall()
    console = Console(file=out, width=200, force_terminal=terminal, highlight=False)
    start = "2024-02-22T08:00:00Z"
    return Progress("outage", 24 * HOUR, wall, clock_start=start, console=console), wall, out


def step(progress: Progress, now_ns: int, **more: object) -> None:
    versions = {"gauge 1.0.0": 7_000, "gauge 1.1.0": 3_000}
    progress.update(now_ns, online=9_871, devices=10_000, events=1_000_000, versions=versions,
                    transfers=12, **more)  # type: ignore[arg-type]  # fmt: skip


def read(out: io.StringIO) -> str:
    return out.getvalue().replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_a_log_gets_few_plain_lines_with_everything_in_them() -> None:
    progress, wall, out = make(terminal=False)
    with progress:
        for minute in range(24 * 60 + 1):
            wall.now_ns += 25 * MS
            step(progress, minute * 60 * SECOND, note="partition")
    lines = read(out).splitlines()
    assert len(lines) == 24 * 60 * 25 * MS // LINE_EVERY_NS + 1, "one each interval, one at the end"
    assert "\x1b" not in read(out)
    for needed in ("100%", "08:00:00 (+24:00:00 of 24 h)", "2,398 x", "online 9,871 of 10,000",
                   "gauge 1.0.0 7,000", "gauge 1.1.0 3,000", "12 transfers",
                   "partition"):  # fmt: skip
        assert needed in lines[-1], f"{needed!r} is not in {lines[-1]!r}"


def test_a_terminal_is_drawn_at_once_and_then_at_a_bounded_rate() -> None:
    progress, wall, out = make(terminal=True)
    with progress:
        step(progress, 0)
        first = len(out.getvalue())
        assert "starting" in read(out)
        wall.now_ns += DRAW_EVERY_NS - 1
        step(progress, 1 * HOUR)
        assert len(out.getvalue()) == first, "drew again before its time"
        wall.now_ns += 1
        step(progress, 2 * HOUR)
        assert len(out.getvalue()) > first
    assert "72 k x" in read(out)


def test_a_run_without_an_update_prints_nothing() -> None:
    progress, _, out = make(terminal=False)
    with progress:
        pass
    assert out.getvalue() == ""


def test_a_crowd_of_versions_is_counted() -> None:
    progress, _, out = make(terminal=False)
    with progress:
        versions = {f"v{n}": 10 - n for n in range(9)}
        progress.update(1, online=1, devices=1, events=1, versions=versions)
    assert "v3 7   5 more versions" in read(out)
    assert "0 transfers" in read(out)
