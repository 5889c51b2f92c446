"""The panel of run-time policies."""

from __future__ import annotations

import msgspec
import pytest

from devicesim.report.choices import choices, colours_of, spelled
from devicesim.report.html import render
from devicesim.report.palette import CURVES, GREY
from devicesim.report.view import context
from tests_kit.records import bare

TABLE = {
    "normal": {"arm64-neon": 60, "x86-avx2": 10},
    "hot": {"arm64-neon": 40},
    "ask>local": {"x86-avx2": 30},
    "never": {"x86-avx2": 0},
}


def record(table=TABLE, **more):
    return msgspec.structs.replace(bare(), choices=table, **more)


def test_each_class_has_a_whole_bar_of_its_own() -> None:
    panel = choices(record())
    assert panel is not None
    bars = {row["name"]: [part["width"] for part in row["parts"]] for row in panel["classes"]}
    assert bars == {"arm64-neon": [60, 40], "x86-avx2": [25, 75]}
    assert panel["total"] == 140


def test_the_table_counts_what_the_bars_show_in_the_same_colours() -> None:
    panel = choices(record())
    assert panel is not None
    assert [row["title"] for row in panel["rules"]] == ["normal", "hot", "ask, but locally"]
    assert [[c["raw"] for c in row["cells"]] for row in panel["rules"]] == [
        [60, 10],
        [40, 0],
        [0, 30],
    ]
    assert [row["sum"] for row in panel["rules"]] == [70, 40, 30]
    colours = {row["title"]: row["colour"] for row in panel["rules"]}
    for bar in panel["classes"]:
        for part in bar["parts"]:
            assert part["colour"] == colours[part["hint"].partition(":")[0]]


@pytest.mark.parametrize("table", [{}, {"never": {"pi": 0}}], ids=["no policy", "no decision"])
def test_without_a_decision_there_is_no_panel(table) -> None:
    assert choices(record(table)) is None
    assert 'id="rules"' not in render(record(table))


def test_the_page_has_the_panel_and_the_gateway_no_policies() -> None:
    made = record(decisions={"policy.normal": 70, "wave.opened": 3})
    page = render(made)
    assert 'id="rules"' in page
    assert '<data value="70">70</data>' in page
    assert [row["name"] for row in context(made)["decisions"]] == ["wave.opened"]


def test_more_rules_than_colours_are_grey_at_the_end() -> None:
    assert colours_of(6) == list(CURVES)
    assert colours_of(8) == [*CURVES[:5], GREY, GREY, GREY]


def test_the_names_of_rules_are_escaped() -> None:
    page = render(record({"<u>x</u>": {"<s>": 3}}))
    assert "&lt;u&gt;x" in page
    assert "<u>" not in page
    assert "<s>" not in page.partition('id="rules"')[2][:3000]


def test_a_way_out_that_was_not_open_is_told_with_the_rule() -> None:
    assert spelled("ask>local") == "ask, but locally"
    assert spelled("hot") == "hot"
