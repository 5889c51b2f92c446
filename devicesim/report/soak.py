"""The reports of a soak: the page, the JUnit file, what the terminal says.

Decides how each is put together from a `SoakRecord`. Leaves out what the page says (soak_view.py) and where
files go: these functions return text. The page needs no script and no other file, and its
Content-Security-Policy forbids both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite
from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from devicesim.report.display import Display
from devicesim.report.figures import compact, count, duration, number, printable
from devicesim.report.pages import REPORT, render_scriptless
from devicesim.report.soak_record import MessageRow, Quantiles, SoakRecord, WindowRow
from devicesim.report.soak_view import CAUSE_WORDS, KIND_WORDS, context, detail, verdict_line
from devicesim.report.terminal import BAD, GOOD, SOFT

DRAW_EVERY_S: Final = 0.25
BAR_WIDTH: Final = 28


# -- the page -----------------------------------------------------------------------------------


def render(record: SoakRecord) -> str:
    """Make the page of a soak."""
    return render_scriptless("soak.html.j2", "soak.css", context(record), REPORT)


# -- JUnit --------------------------------------------------------------------------------------


def to_xml(record: SoakRecord) -> str:
    """Spell a soak as JUnit XML: a case for each kind of message, leak, threshold and check."""
    suites: Any = JUnitXml(printable(record.scenario))
    suite: Any = TestSuite(printable(f"soak {record.scenario} seed {record.seed}"))
    suite.timestamp = record.began
    for case in _cases(record):
        suite.add_testcase(case)
    for name in ("seed", "verdict", "ending", "devices", "lasted_s", "said", "lost", "unexplained",
                 "restarts", "memory_mib", "reproduce"):  # fmt: skip
        suite.add_property(name, printable(str(getattr(record, name))))
    suite.add_property("summary", printable(f"{verdict_line(record)} {record.story}"))
    suites.add_testsuite(suite)
    suites.update_statistics()
    for made in (suites, *suites):
        made.time = record.lasted_s
    text: str | bytes = suites.tostring()
    return text.decode() if isinstance(text, bytes) else text


def _cases(record: SoakRecord) -> Iterator[TestCase]:
    told = "\n".join(record.stories)
    for row in record.messages:
        held = not row.unexplained + row.nowhere
        yield _case(record, "messages", f"{row.kind} {row.way}", held, _books_line(row), told)
    for leak in record.leaks:
        yield _case(record, "leak", leak.what, leak.held, leak.story)
    for abort in record.aborts:
        yield _case(record, "threshold", abort.what, abort.held, abort.story)
    for check in record.checks:
        yield _case(record, check.kind, check.name, check.held, check.story)


def _case(
    record: SoakRecord,
    kind: str,
    name: str,
    held: bool | None,  # noqa: FBT001
    story: str,
    more: str = "",
) -> TestCase:
    case = TestCase(printable(name), printable(f"soak.{record.scenario}.{kind}"), 0)
    if held is None:
        case.result = [Skipped(printable(story))]
    elif held:
        case.system_out = printable(story)
    else:
        failure = Failure(printable(story), "SoakFailed")
        failure.text = printable(f"{story}\n{more}\n\nreproduce: {record.reproduce}\n")
        case.result = [failure]
    return case


def _books_line(row: MessageRow) -> str:
    causes = ", ".join(f"{count(n)} {cause}" for cause, n in row.causes.items())
    return (
        f"{KIND_WORDS.get(row.kind, row.kind)}: {count(row.said)} said, {count(row.once)} heard, "
        f"{count(row.again)} again, {count(row.waiting)} waiting, {causes or 'none lost'}, "
        f"{count(row.unexplained)} unexplained, {count(row.nowhere)} from nowhere"
    )


# -- the terminal -------------------------------------------------------------------------------


class SoakScreen(Display):
    """Shows a soak while it runs: one line for each window, and a bar below; on standard error.

    Args:
        asked_s: how long it shall last.
        clock_s: seconds that never go back; their origin does not matter.
        console: where to draw.
    """

    def __init__(
        self, asked_s: float, clock_s: Callable[[], float], console: Console | None = None
    ) -> None:
        self._asked_s, self._clock_s = asked_s, clock_s
        super().__init__(console)
        self._drawn_s = float("-inf")

    def began(self, devices: int, broker: str, metrics: str | None) -> None:
        """Say what is open."""
        told = f"; metrics at {metrics}" if metrics else ""
        text = f"{count(devices)} devices on {printable(broker)}{told}"
        self._console.print(Text(text, SOFT), soft_wrap=True)

    def progress(self, elapsed_s: float, online: int, devices: int, unexplained: int) -> None:
        """Draw the bar, at most every `DRAW_EVERY_S`."""
        now_s = self._clock_s()
        if self._live is None or now_s - self._drawn_s < DRAW_EVERY_S:
            return
        self._drawn_s = now_s
        grid = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(self._asked_s, min(elapsed_s, self._asked_s), width=BAR_WIDTH)
        state = Text(f"{unexplained} unexplained", BAD if unexplained else GOOD)
        left = f"{duration(round(max(0.0, self._asked_s - elapsed_s)))} left"
        grid.add_row(bar, left, f"{count(online)} of {count(devices)} online", state)
        self._show(grid)

    def closed(self, row: WindowRow) -> None:
        """One line for a window."""
        self._console.print(_window_line(row), soft_wrap=True)


def _window_line(row: WindowRow) -> Text:
    telemetry = row.latencies.get("telemetry", Quantiles())
    kill = row.latencies.get("kill", Quantiles())
    held = row.held
    rss = f"{number(held.rss_mib)} MiB" if held.rss_mib is not None else ""
    words = [
        f"+{duration(round(row.end_s)):>9}",
        f"{compact(row.said):>6} said",
        f"{compact(row.again)} again",
        f"{compact(row.lost)} lost",
        f"{compact(row.waiting)} waiting",
        f"online {row.online_min}-{row.online}",
        f"telemetry p99 {duration(telemetry.p99_s)}",
        f"kill p99 {duration(kill.p99_s)}",
        f"{rss}, {held.fds} fds" if held.fds is not None else "",
        "broker restarted" if row.restarts else "",
    ]
    line = Text("  ".join(word for word in words if word), SOFT)
    if row.unexplained:
        line.append(f"  {count(row.unexplained)} unexplained", BAD)
    return line


def summary(record: SoakRecord, console: Console | None = None, *, report: str = "") -> None:
    """Print the end of a soak on standard output."""
    screen = console or Console(highlight=False)
    for part in _summary(record, report):
        screen.print(part, soft_wrap=not isinstance(part, Table))


def _summary(record: SoakRecord, report: str) -> Iterator[RenderableType]:
    good = record.verdict == "passed"
    yield Text.assemble(
        (("\N{CHECK MARK}" if good else "\N{BALLOT X}") + " ", GOOD if good else BAD),
        (verdict_line(record), f"bold {GOOD}" if good else BAD),
    )
    yield Text(printable(f"  {detail(record)}"))
    if record.ending != "complete":
        yield Text(printable(f"  {record.story}"))
    yield _books(record)
    yield from _why_lost(record)
    for story in record.stories:
        yield Text(printable(f"  {story}"), BAD)
    for leak in record.leaks:
        style = {True: "", False: BAD, None: SOFT}[leak.held]
        yield Text(printable(f"  {leak.what}: {leak.story}"), style)
    for abort in record.aborts:
        if not abort.held:
            yield Text(printable(f"  {abort.what}: {abort.story}"), BAD)
    for check in record.checks:
        if check.held is False:
            yield Text(printable(f"  {check.name} ({check.kind}): {check.story}"), BAD)
    for skipped in record.skipped:
        yield Text(printable(f"  skipped: {skipped}"), SOFT)
    yield Text(printable(f"  report  {report}\n  again   {record.reproduce}"), SOFT)


def _why_lost(record: SoakRecord) -> Iterator[RenderableType]:
    for row in record.messages:
        for cause, n in row.causes.items():
            kind = KIND_WORDS.get(row.kind, row.kind)
            yield Text(f"  {count(n)} {kind} {cause}: {CAUSE_WORDS.get(cause, '')}", SOFT)


def _books(record: SoakRecord) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), header_style=SOFT)
    table.add_column("message", no_wrap=True)
    for name in ("said", "once", "again", "waiting", "lost", "unexplained"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in record.messages:
        unexplained = row.unexplained + row.nowhere
        table.add_row(
            KIND_WORDS.get(row.kind, row.kind), count(row.said), count(row.once),
            count(row.again), count(row.waiting), count(sum(row.causes.values())),
            Text(count(unexplained), BAD if unexplained else ""),
        )  # fmt: skip
    return table


__all__ = ["CAUSE_WORDS", "SoakScreen", "render", "summary", "to_xml"]
