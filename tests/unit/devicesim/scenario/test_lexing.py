from __future__ import annotations

import re

import pytest

from devicesim.scenario.errors import Refusal
from devicesim.scenario.lexing import DEPTH_MAX, TEXT_CHARS_MAX, Cursor

WORDS = re.compile(r"(?P<word>[a-z]+)|(?P<mark>[()])")


def test_tokens_know_their_offsets():
    cursor = Cursor("ab  (cd", WORDS, "words")
    assert [(t.kind, t.text, t.offset) for t in (cursor.take() for _ in range(5))] == [
        ("word", "ab", 0),
        ("mark", "(", 4),
        ("word", "cd", 5),
        ("end", "", 7),
        ("end", "", 7),
    ]


def test_accept_expect_finish():
    cursor = Cursor("a b", WORDS, "words")
    assert cursor.ahead().text == "b"
    assert not cursor.accept("b")
    cursor.expect("a")
    with pytest.raises(Refusal, match="or the end") as caught:
        cursor.finish()
    assert caught.value.offset == 2
    with pytest.raises(Refusal, match=r"'\)'"):
        cursor.expect(")")
    cursor.take()
    cursor.finish()


@pytest.mark.parametrize("text", ["", "  ", None, 3, "a" * (TEXT_CHARS_MAX + 1), "a + b"])
def test_what_is_no_sentence(text):
    with pytest.raises(Refusal):
        Cursor(text, WORDS, "words")


def test_nesting_is_bounded():
    cursor = Cursor("a", WORDS, "words")
    for _ in range(DEPTH_MAX):
        cursor.descend()
    with pytest.raises(Refusal, match="levels"):
        cursor.descend()
    cursor.ascend()
