from __future__ import annotations

import pytest

from devicesim.scenario.document import (
    DEPTH_MAX,
    TEXT_BYTES_MAX,
    UnreadableError,
    read_document,
    read_scalar,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("12", 12),
        ("-3", -3),
        ("012", "012"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("02:45", "02:45"),
        (".5", 0.5),
        ("1.5e3", 1500.0),
        (".nan", ".nan"),
        ("2024-02-22T08:00:00Z", "2024-02-22T08:00:00Z"),
        ("${HOME}", "${HOME}"),
    ],
)
def test_scalars_are_not_guessed(text, value):
    found = read_scalar(text)
    assert (type(found), found) == (type(value), value)


def test_marks_for_keys_and_values():
    document, problems = read_document("a: 1\nb:\n  - {c: 'x'}\n")
    assert not problems
    assert document.data == {"a": 1, "b": [{"c": "x"}]}
    assert document.place(("b", 0, "c")) == (3, 9, "")
    assert document.place(("b", 0, "c"), key=True) == (3, 6, "")
    assert document.place(("b", 0, "c"), offset=2) == (3, 11, "")
    assert document.place(("b", 0, "missing"), offset=2) == (3, 5, ""), "falls back to the parent"


def test_quoted_scalars_stay_text():
    assert read_document("a: '12'\nb: \"true\"\n")[0].data == {"a": "12", "b": "true"}


def test_anchors_give_copies():
    data = read_document("a: &x {k: [1]}\nb: *x\n")[0].data
    assert data == {"a": {"k": [1]}, "b": {"k": [1]}}
    assert data["a"] is not data["b"]


@pytest.mark.parametrize(
    ("text", "found", "line"),
    [
        ("a: 1\na: 2\n", "'a' again", 2),
        ("a: !!python/name:os.system x\n", "the tag tag:yaml.org,2002:python/name:os.system", 1),
        ("a: !custom 1\n", "the tag !custom", 1),
        ("<<: {a: 1}\n", "a merge key", 1),
        ("b: 1\n? [a]\n: 2\n", "a list or mapping", 2),
    ],
)
def test_complaints_that_leave_it_readable(text, found, line):
    (problem,) = read_document(text)[1]
    assert (problem.found, problem.line) == (found, line)


def test_all_duplicates_are_told_at_once():
    assert len(read_document("a: 1\na: 2\nb: {c: 1, c: 2}\n")[1]) == 2


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n"
    for old, new in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a scenario"),
        ("# only a comment\n", "a scenario"),
        ("a: [1\n", "YAML"),
        ("a: 1\n---\nb: 2\n", "YAML"),
        ("\ta: 1\n", "YAML"),
        ("a: %x\n", "YAML"),
        ("a: \x07\n", "printable"),
        ("[" * (DEPTH_MAX + 1), "levels"),
        ("[" * 100_000, "levels"),
        ("a: &x [*x]\n", "once anchors are expanded"),
        (BOMB, "once anchors are expanded"),
        ("a: " + "x" * TEXT_BYTES_MAX, "bytes"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_unreadable(text, expected):
    with pytest.raises(UnreadableError) as caught:
        read_document(text)
    assert expected in caught.value.problem.expected
