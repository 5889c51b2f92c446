"""Heads as lines: what is read back, and which lines are none of ours."""

import pytest

from gateway.core.audit.kept import line_of, read_lines
from tests_kit.audit_logs import AUDITOR, Log, entry, log_of
from tests_kit.audit_logs import STRANGER as OTHERS


def lines(count=3):
    log = Log()
    out = []
    for number in range(1, count + 1):
        log.write(entry(number))
        out.append(line_of(log.heads[-1], log.head.envelope))
    return log, out


def test_lines_are_read_back():
    log, text = lines()
    assert read_lines("# kept by ana\n\n" + "".join(text), AUDITOR, "kept") == (log.heads, [])
    assert text[0].startswith(f"1 {log.heads[0].digest.hex()} {log.heads[0].at_ms} ")


def test_a_line_that_a_crash_cut_short_is_passed_over():
    log, text = lines()
    heads, found = read_lines("".join(text)[:-1], AUDITOR, "kept")
    assert (heads, found) == (log.heads[:2], [])


def test_a_line_of_somebody_else_is_named():
    log, text = lines(1)
    other = line_of(log.heads[0], OTHERS.seal(b"x"))
    heads, (finding,) = read_lines(text[0] + other, AUDITOR, "kept.txt")
    assert heads == log.heads
    assert finding.kind == "signature"
    assert "line 2 of kept.txt" in finding.story


@pytest.mark.parametrize("place", [0, 1, 2])
def test_words_that_say_something_else_than_their_envelope_are_named(place):
    words = lines(1)[1][0].split()
    words[place] = "7" + words[place][1:] if place == 1 else "7"
    heads, found = read_lines(" ".join(words) + "\n", AUDITOR, "kept")
    assert heads == []
    assert "expected the words of entry 1" in found[0].story


@pytest.mark.parametrize("line", ["1 2 3\n", "1 2 3 !!\n", "x" * 5_000 + "\n", "1 2 3 4 5\n"])
def test_nonsense_is_named(line):
    assert read_lines(line, AUDITOR, "kept")[1][0].kind == "signature"


def test_an_empty_file_keeps_nothing():
    assert read_lines("", AUDITOR, "kept") == ([], [])
    assert log_of(0).head is None
