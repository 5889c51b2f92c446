"""What the page of a soak is given."""

from __future__ import annotations

import msgspec
import pytest

from devicesim.live.soak.books import KINDS, Cause
from devicesim.report.soak_view import CAUSE_WORDS, KIND_WORDS, context, verdict_line
from tests_kit.soaks import calm, empty, troubled


def test_the_verdict_in_one_line() -> None:
    assert (
        verdict_line(calm())
        == "Held for 1\N{NARROW NO-BREAK SPACE}min: every message is accounted for."
    )
    assert verdict_line(troubled()) == "Failed: 2 messages without an explanation."
    leaky = msgspec.structs.replace(calm(), verdict="failed")
    assert verdict_line(leaky) == "Failed, though every message is accounted for."
    paused = msgspec.structs.replace(calm(), ending="paused")
    assert verdict_line(paused).startswith("Paused after")


def test_the_parts_of_a_bar_are_the_whole() -> None:
    for row in context(troubled())["rows"]:
        assert row["balanced"]
        assert sum(row["parts"]) == pytest.approx(100.0)


def test_causes_are_summed_over_kinds_and_explained() -> None:
    found = {row["name"]: row for row in context(troubled())["causes"]}
    assert found["replaced"]["count"].raw == 2
    assert all(row["means"] for row in found.values())


def test_every_kind_and_cause_of_the_books_has_words() -> None:
    assert set(KIND_WORDS) == set(KINDS)
    assert set(CAUSE_WORDS) == {cause.value for cause in Cause} - {"waiting", "unexplained"}


def test_every_window_has_its_row_and_every_chart_its_restart() -> None:
    made = context(calm())
    assert [row["restarted"] for row in made["windows"]] == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]
    charts = [*made["flow"], *made["processes"], *(row["chart"] for row in made["latencies"])]
    assert len(charts) == 15
    assert all(len(chart.stripes) == 1 for chart in charts)


def test_a_soak_without_windows_still_has_a_page() -> None:
    made = context(empty())
    assert made["flow"] == []
    assert [row["chart"] for row in made["latencies"]] == [None] * 5
