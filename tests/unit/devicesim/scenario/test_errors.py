from __future__ import annotations

import pytest

from devicesim.scenario.errors import (
    Problem,
    Refusal,
    ScenarioError,
    choices,
    dotted,
    nearest_word,
    show,
)


def problems(count):
    return [
        Problem(path=("a", i), expected="x " * 200, found="y", nearest="z", line=i + 1, column=3)
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 9, 400])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_any_number_of_problems_fits_one_screen(count, width):
    lines = ["  " + "v" * 300] * 500
    text = ScenarioError("some/" + "long/" * 20 + "file.yaml", problems(count), lines).render(width)
    assert len(text.split("\n")) <= 24, text
    assert max(map(len, text.split("\n"))) <= width, text


def test_problems_left_out_are_counted():
    error = ScenarioError("f.yaml", problems(9), [])
    shown = error.render().count("f.yaml:")
    assert f"and {9 + 1 - shown} more problem" in error.render(), error.render()
    assert len(error.problems) == 9


def test_the_caret_stands_under_the_column_also_far_right():
    line = "x" * 150 + "HERE" + "x" * 50
    problem = Problem(path=("a",), expected="e", found="f", line=1, column=151)
    rows = ScenarioError("f.yaml", [problem], [line]).render(80).split("\n")
    caret = next(i for i, row in enumerate(rows) if row.endswith("^"))
    assert rows[caret - 1][rows[caret].index("^") :].startswith("HERE")


def test_problems_come_in_reading_order_and_overrides_last():
    first = Problem(path=("b",), expected="e", found="f", line=2, column=1)
    second = Problem(path=("a",), expected="e", found="f", line=9, column=1)
    override = Problem(path=("c",), expected="e", found="f", origin="--set c=1")
    error = ScenarioError("f", [override, second, first])
    assert [p.path[0] for p in error.problems] == ["b", "a", "c"]
    assert "--set c=1  c" in error.render()
    assert error.exit_code == 2


def test_refusals_say_what_they_are():
    assert str(Refusal("x", found="y")) == "expected x, found y"
    assert str(Refusal("x")) == "expected x"


def test_words():
    assert nearest_word("Kisok", ["kiosk", "camera"]) == "kiosk"
    assert nearest_word("zzz", ["kiosk"]) == ""
    assert dotted(("a", 0, "b")) == "a.0.b"
    assert choices([]) == "(there are none)"
    assert choices(range(30)).endswith("and 6 more")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing (null)"),
        (True, "true"),
        ({}, "an empty mapping"),
        ({"a": 1}, "a mapping with the keys a"),
        ([1], "a list of 1 item"),
        ((), "a list of 0 items"),
        ("x", "'x'"),
        (1.5, "1.5"),
    ],
)
def test_show(value, text):
    assert show(value) == text
    assert len(show("x" * 500)) == 60
