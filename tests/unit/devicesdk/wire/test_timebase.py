import pytest

from devicesdk.wire.timebase import (
    HOUR,
    MINUTE,
    MS,
    SECOND,
    format_duration,
    from_seconds,
    parse_duration,
    to_seconds,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45m", 45 * MINUTE),
        ("2h30m", 150 * MINUTE),
        ("1.5s", 1500 * MS),
        ("250ms", 250 * MS),
        ("1d", 24 * HOUR),
    ],
)
def test_a_duration_with_units_is_read(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "45", "02:45", "5 m", "m5", "5m!", "-5m", "5m 3"])
def test_anything_else_is_refused_with_the_forms_that_are_taken(text):
    with pytest.raises(ValueError, match="45m, 2h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["45m", "2h30m", "1.5s", "250ms", "1d2h", "-3s"])
def test_a_duration_is_spelled_as_people_write_it(text):
    sign = -1 if text[0] == "-" else 1
    assert format_duration(sign * parse_duration(text.lstrip("-"))) == text


def test_seconds_round_to_the_nearest_nanosecond():
    assert from_seconds(1e-9 * 2.4) == 2
    assert to_seconds(1_500_000_000) == 1.5
    assert from_seconds(2) == 2 * SECOND
