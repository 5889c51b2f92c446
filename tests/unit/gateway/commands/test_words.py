"""How values are written for people."""

import errno

import pytest

from gateway.commands.words import (
    clean,
    clock,
    curve,
    facts,
    instant,
    of_path,
    percent,
    size,
    table,
)


def test_a_table_stands_in_columns_with_numbers_at_the_right():
    shown = table(("name", "n", ""), [("a", 5, "x"), ("long", 12, "")])
    assert shown.splitlines() == ["name   n", "a      5  x", "long  12"]
    assert table(("a",), [], "no rows") == "no rows"


def test_what_would_steer_a_terminal_is_taken_out():
    assert clean("a\x1b[31mb\nc\x9b") == "a�[31mb�c�"
    assert "\x1b" not in table(("a",), [("\x1b]0;evil\x07",)])
    assert "\x1b" not in facts({"a": {"\x1b": ["\x1b"]}})


def test_facts_of_every_kind():
    shown = facts({"on": True, "labels": {"a": "b"}, "none": [], "text": "", "n": 0})
    assert shown.splitlines() == ["on      yes", "labels  a=b", "none    -", "text    -", "n       0"]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**4, "5120.0 GiB")]
)  # fmt: skip
def test_sizes(count, said):
    assert size(count) == said


def test_instants_and_shares():
    assert instant(0) == clock(0) == "-"
    assert instant(1_700_000_000_000) == "2023-11-14T22:13:20+00:00"
    assert clock(1_700_000_000_000) == "22:13:20"
    assert percent(0.025) == "2.5 %"


def test_a_curve_keeps_its_ends_and_its_width():
    assert curve([]) == ""
    assert curve([0, 1, 2, 4]) == "▁▃▅█"
    assert curve([1.0], top=10) == "▂"
    long = curve(list(range(1_000)), width=10)
    assert (len(long), long[0], long[-1]) == (10, "▁", "█")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "x.zip"),
         ("expected a file or folder that can be used at x.zip, found: no such file or directory: "
         "check the path, and who may use it")),
        (OSError(errno.ENOSPC, "No space left on device", "x.zip"), "x.zip: no space left on device"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (OSError("af_unix path too long"), "af_unix path too long"),
    ],
)  # fmt: skip
def test_an_error_of_a_path_is_told_in_words_and_another_error_as_what_it_is(error, said):
    assert of_path(error) == said
