"""The reports of a soak: a page that needs nothing, JUnit, and a terminal that fits."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from junitparser import JUnitXml
from rich.console import Console

from devicesim.report.soak import SoakScreen, render, summary, to_xml
from devicesim.report.soak_record import SoakRecord
from tests_kit.soaks import calm, empty, troubled, window

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        found = self.open.pop()
        assert found == tag, f"</{tag}> closes <{found}>"


@pytest.mark.parametrize("record", [calm(), troubled(), empty()], ids=["calm", "troubled", "empty"])
def test_the_page_is_whole_and_needs_nothing_else(record: SoakRecord) -> None:
    text = render(record)
    page = Balanced()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags
    assert not re.search(r"(?:src|href)=\"(?!#)", text), "everything is inside"
    assert "default-src &#39;none&#39;" in text
    assert len(text) < 1_000_000


def test_hostile_text_is_text() -> None:
    text = render(troubled())
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "\x07" not in text


def test_the_page_names_what_is_missing() -> None:
    text = render(troubled())
    assert "tel (1, 12) of kiosk-0007" in text
    assert "2 messages without an explanation" in text
    assert render(calm()).count('class="chart"') == 15


def test_junit_has_a_case_for_everything_that_is_judged() -> None:
    suites = JUnitXml.fromstring(to_xml(troubled()).encode())
    cases = {(case.classname, case.name): case for suite in suites for case in suite}
    assert suites.failures == 5, "two kinds, a leak, a threshold, a check"
    failed = cases["soak.soak.messages", "tel up"].result[0]
    assert "1 unexplained" in failed.message
    assert "kiosk-0007" in failed.text
    assert "reproduce: fleetdrill soak" in failed.text


def test_junit_of_a_calm_soak_fails_nothing_and_skips_what_was_not_judged() -> None:
    suites = JUnitXml.fromstring(to_xml(calm()).encode())
    assert (suites.failures, suites.skipped) == (0, 2)


def printed(record: SoakRecord) -> str:
    stream = io.StringIO()
    summary(record, Console(file=stream, width=80, highlight=False), report="runs/x/soak.html")
    return stream.getvalue()


def test_the_summary_says_what_happened_and_what_to_do() -> None:
    text = printed(troubled())
    for words in ("2 messages without an explanation", "kiosk-0007", "memory: grows",
                  "loss > 0: found 2", "skipped: broker.restart", "runs/x/soak.html",
                  "2 telemetry window replaced"):  # fmt: skip
        assert words in text, f"{words!r} is missing from:\n{text}"


def test_the_table_of_messages_fits_a_terminal() -> None:
    table = [line for line in printed(calm()).splitlines() if "telemetry window" in line]
    assert len(table) == 1
    assert len(table[0].rstrip()) <= 80


def test_without_a_terminal_there_is_one_line_for_each_window() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    with SoakScreen(60.0, lambda: 0.0, console) as screen:
        screen.began(50, "mosquitto 2.0.11", None)
        for place in range(3):
            screen.progress(10.0 * place, 50, 50, 0)
            screen.closed(window(place))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4, lines
    assert "broker restarted" in lines[3]


def test_on_a_terminal_there_is_a_bar() -> None:
    stream = io.StringIO()
    with SoakScreen(
        60.0, lambda: 0.0, Console(file=stream, force_terminal=True, width=100)
    ) as screen:
        screen.progress(30.0, 49, 50, 3)
    assert "49 of 50 online" in stream.getvalue()
    assert "3 unexplained" in stream.getvalue()
