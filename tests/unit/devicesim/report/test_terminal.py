"""What the run command prints at the end."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from devicesim.report.record import CheckRow, RunRecord
from devicesim.report.terminal import summary
from tests_kit.records import bare, checks_of_an_outage, outage


def printed(record: RunRecord, report: str = "", width: int = 110) -> str:
    out = io.StringIO()
    summary(record, Console(file=out, width=width, highlight=False), report=report)
    return out.getvalue().replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_a_failure_says_what_why_and_how_to_see_it_again() -> None:
    record = outage(broken=True)
    text = printed(record, "runs/7/report.html")
    for needed in (f"Failed: 2 of {checks_of_an_outage()} checks did not hold.", "First of its own checks to break: stuck == 0",
                   "camera-00412 activated", "stuck == 0", "not exercised: died mid flash",
                   "halted", "1,109", "runs/7/report.html", record.reproduce, "1,480 x",
                   "black hole 48,120", record.trace_digest):  # fmt: skip
        assert needed in text, f"{needed!r} is not in:\n{text}"
    assert text.index("stuck == 0") < text.index("halt holds")


def test_a_pass_is_short_about_its_checks() -> None:
    text = printed(outage())
    made = checks_of_an_outage()
    assert f"Held: {made - 2} of {made} checks; 2 not exercised." in text
    assert "no false success" not in text


def test_the_least_record_prints() -> None:
    text = printed(bare())
    assert "Passed, but nothing was checked." in text
    assert "report" not in text


def test_square_brackets_are_text_and_escape_codes_are_not_obeyed() -> None:
    check = CheckRow("[bold]x[/]", "always", False, "[red]story[/red] \x1b[2J")
    text = printed(msgspec.structs.replace(bare("failed"), checks=[check], reproduce="run [x]"))
    assert "[bold]x[/]" in text
    assert "[red]story[/red]" in text
    assert "run [x]" in text
    assert "\x1b" not in text


def test_many_failures_are_counted_not_listed() -> None:
    checks = [CheckRow(f"check-{n}", "always", False, at_s=float(n)) for n in range(40)]
    text = printed(msgspec.structs.replace(bare("failed"), checks=checks))
    assert "check-11" in text
    assert "check-12" not in text
    assert "and 28 more" in text
