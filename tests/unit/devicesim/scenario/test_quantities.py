from __future__ import annotations

import pytest

from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from devicesim.scenario import quantities as q
from devicesim.scenario.errors import Refusal

START = 1_708_588_800 * SECOND  # 2024-02-22T08:00:00Z


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (q.read_duration, "2h30m", 150 * MINUTE),
        (q.read_duration, "250ms", SECOND // 4),
        (q.read_positive_duration, "1.5s", 3 * SECOND // 2),
        (q.read_unix_instant, "2024-02-22T08:00:00Z", START),
        (q.read_unix_instant, "2024-02-22T02:00:00-06:00", START),
        (q.read_share, "1%", 0.01),
        (q.read_share, ".5", None),
        (q.read_share, 0.5, 0.5),
        (q.read_share, 1, 1.0),
        (q.read_increase, "+20%", 0.2),
        (q.read_rate, "500/s", 500.0),
        (q.read_rate, "30/m", 0.5),
        (q.read_size, "64KiB", 65_536),
        (q.read_size, "1.5MiB", 3 << 19),
        (q.read_size, "2MB", 2_000_000),
        (q.read_bitrate, "256kbit/s", 256_000),
    ],
)
def test_reads_final_units(reader, text, value):
    if value is None:
        with pytest.raises(Refusal):
            reader(text)
    else:
        assert reader(text) == value, f"{reader.__name__}({text!r})"


@pytest.mark.parametrize(
    ("reader", "value", "nearest"),
    [
        (q.read_duration, 45, "45s (seconds), 45m (minutes) or 45h (hours)"),
        (q.read_duration, "02:45", "2h45m"),
        (q.read_duration, "00:00:30", "30s"),
        (q.read_duration, "20min", "20m"),
        (q.read_duration, "2 hours", "2h"),
        (q.read_duration, "1 week", "7d"),
        (q.read_duration, "soon", ""),
        (q.read_duration, True, ""),
        (q.read_duration, None, ""),
        (q.read_duration, "9999999d", ""),
        (q.read_positive_duration, "0s", ""),
        (q.read_unix_instant, "2024-02-22", "2024-02-22T00:00:00Z"),
        (q.read_unix_instant, "2024-02-22T08:00:00", "2024-02-22T08:00:00Z"),
        (q.read_unix_instant, 2024, ""),
        (q.read_unix_instant, "2024-02-31T08:00:00Z", ""),
        (q.read_share, 25, "25%"),
        (q.read_share, "101%", "100%"),
        (q.read_share, -0.1, ""),
        (q.read_share, float("nan"), ""),
        (q.read_share, True, ""),
        (q.read_positive_share, "0%", ""),
        (q.read_increase, "20%", "+20%"),
        (q.read_increase, 0.2, ""),
        (q.read_rate, 500, "500/s"),
        (q.read_rate, "0/s", ""),
        (q.read_size, 64, "64B or 64KiB"),
        (q.read_size, "64K", "64KiB"),
        (q.read_bitrate, "2 Mbps", "2Mbit/s"),
        (q.read_bitrate, "0kbit/s", ""),
    ],
)
def test_refuses_with_the_nearest_valid_form(reader, value, nearest):
    with pytest.raises(Refusal) as caught:
        reader(value)
    assert caught.value.nearest == nearest, f"{reader.__name__}({value!r}): {caught.value}"
    assert caught.value.found


def test_an_instant_is_counted_from_the_start():
    assert q.read_instant("2024-02-22T08:45:00Z", START) == 45 * MINUTE
    assert q.read_instant("45m", START) == 45 * MINUTE
    with pytest.raises(Refusal, match="at or after"):
        q.read_instant("2024-02-22T07:59:59Z", START)


def test_an_instant_waits_for_a_start_that_cannot_be_read():
    assert q.read_instant("2024-02-22T08:45:00Z", None) == 0


def test_calls_are_split():
    assert q.read_call("normal(30, 6)", "?") == ("normal", ["30", "6"])
    assert q.read_call("together", "?") == ("together", [])
    with pytest.raises(Refusal):
        q.read_call("normal(30", "?")
    with pytest.raises(Refusal):
        q.read_call(3, "?")


@pytest.mark.parametrize("text", ["one", "inf", "nan"])
def test_numbers_are_finite(text):
    with pytest.raises(Refusal):
        q.read_number(text)


def test_hours_survive():
    assert q.read_duration("24h") == 24 * HOUR
