"""Numbers, durations and instants read as people write them."""

from __future__ import annotations

import math

import pytest

from devicesim.report.figures import (
    DASH,
    Clock,
    compact,
    count,
    duration,
    elapsed,
    measure,
    number,
    plural,
    printable,
    share,
    shortened,
)


def plain(text: str) -> str:
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (0.0, "0 s"), (0.0004, "0.40 ms"), (0.312, "312 ms"), (4.2, "4.20 s"),
        (59.94, "59.9 s"), (60.0, "1 min"), (125.4, "2 min 5 s"), (3_600.0, "1 h"),
        (9_900.0, "2 h 45 min"), (86_400.0, "24 h"), (61 * 3600 + 25 * 60.0, "61 h 25 min"),
        (14 * 86_400.0, "14 d"), (10.5 * 86_400, "10 d 12 h"), (math.inf, "never"),
        (math.nan, DASH), (None, DASH),
    ],
)  # fmt: skip
def test_durations(value_s: float | None, text: str) -> None:
    assert plain(duration(value_s)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7_614_208, "7.61 M"), (58_412, "58.4 k"), (9_999, "9,999"), (0, "0"), (2.5e9, "2.50 G"),
        (3e12, "3 T"), (-58_412, "-58.4 k"),
    ],
)  # fmt: skip
def test_compact_numbers(value: float, text: str) -> None:
    assert plain(compact(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (12.0, "12"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (0.354, "0.35"),
        (0.044, "0.044"), (0.00004, "4.0e-05"), (1234.5, "1,234"), (math.inf, "\N{INFINITY}"),
        (-math.inf, "-\N{INFINITY}"), (math.nan, DASH), (None, DASH),
    ],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_shares_and_measures_carry_their_unit() -> None:
    assert plain(share(0.25)) == "25 %"
    assert plain(share(0.0178)) == "1.8 %"
    assert plain(share(0.001)) == "0.10 %"
    assert share(None) == DASH
    assert plain(measure(0.25, "s")) == "250 ms"
    assert plain(measure(1571.0, "ms")) == "1.57 s"
    assert plain(measure(0.5, "share")) == "50 %"
    assert plain(measure(15_351_000.0, "B/s")) == "15.4 MB/s"
    assert plain(measure(81.25, "C")) == "81.2 \N{DEGREE SIGN}C"
    assert plain(measure(3.0, "")) == "3"
    assert measure(math.nan, "s") == DASH


def test_counts_and_plurals() -> None:
    assert count(3_508_977) == "3,508,977"
    assert plural(1, "check") == "1 check"
    assert plural(31, "check") == "31 checks"
    assert plural(2, "story", "stories") == "2 stories"


def test_control_characters_do_not_reach_a_reader() -> None:
    assert (
        printable("a\x1b[31mb\x00\tc\n")
        == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}\tc\n"
    )
    assert shortened("abcdef", 4) == "abc\N{HORIZONTAL ELLIPSIS}"
    assert shortened("abcd", 4) == "abcd"


def test_the_clock_dates_instants_only_beyond_a_day() -> None:
    day = Clock("2024-02-22T08:00:00Z", 86_400.0)
    assert day.at(17_748.0) == "12:55:48"
    assert day.at(None) == DASH
    week = Clock("2024-02-22T08:00:00Z", 7 * 86_400.0)
    assert week.at(17_748.0) == "22 Feb 12:55:48"
    assert week.start_text == "22 Feb 2024 08:00 UTC"


def test_the_clock_shows_the_offset_it_was_given() -> None:
    utc, east = Clock("2024-02-22T08:00:00"), Clock("2024-02-22T08:00:00+09:00")
    assert utc.at(0.0) == east.at(0.0) == "08:00:00"
    assert utc.epoch_ms == east.epoch_ms, "a chart shows the clock on the wall of the scenario"


def test_a_clock_without_an_instant_says_what_it_wants() -> None:
    with pytest.raises(ValueError, match=r"ISO 8601.*found 'noon'"):
        Clock("noon")


def test_elapsed_time_has_a_sign_and_no_days() -> None:
    assert elapsed(17_748.0) == "+4:55:48"
    assert elapsed(90_000.0) == "+25:00:00"
    assert elapsed(-5.0) == "-0:00:05"
    assert elapsed(None) == DASH
