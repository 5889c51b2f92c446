"""Windows on wall clocks, on ordinary days and on those on which clocks jump."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.wire.timebase import MINUTE, SECOND
from gateway.core.windows import DAYS, Window, closes_ns, is_open, opens_ns, read_window

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def offset_in(zone):
    info = ZoneInfo(zone)

    def offset(at_s):
        return int(datetime.fromtimestamp(at_s, info).utcoffset().total_seconds())

    return offset


def ns(text):
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def text(at_ns):
    return f"{datetime.fromtimestamp(at_ns // SECOND, UTC):%Y-%m-%dT%H:%MZ}"


def opens(zone, window, after):
    return text(opens_ns((read_window(window),), offset_in(zone), ns(after)))


def closes(zone, window, after):
    return text(closes_ns((read_window(window),), offset_in(zone), ns(after)))


@pytest.mark.parametrize(
    ("written", "window"),
    [
        ("Mon-Fri 01:00-05:00", Window((0, 1, 2, 3, 4), 60, 300)),
        ("Mon-Fri 01:00-05:00 local", Window((0, 1, 2, 3, 4), 60, 300)),
        ("22:00-04:00", Window(tuple(range(7)), 1320, 240)),
        ("daily 00:00-24:00", Window(tuple(range(7)), 0, 1440)),
        ("sat-mon, Wed 20:00-00:00", Window((0, 2, 5, 6), 1200, 1440)),
    ],
)
def test_a_window_is_read_and_written(written, window):
    assert read_window(written) == window
    assert read_window(str(window)) == window


@pytest.mark.parametrize(
    "written", ["", "Mon", "Mon-Fri 1:00-5:00", "Mon 01:00-01:00", "Foo 01:00-02:00", "25:00-26:00",
                "01:60-02:00", "Mon 24:00-02:00", "Mon-Fri 01:00-05:00 UTC"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_was_expected(written):
    with pytest.raises(ValueError, match="expected"):
        read_window(written)


def test_a_window_across_midnight_belongs_to_the_day_on_which_it_begins():
    windows = (read_window("Fri 22:00-04:00"),)
    for moment, expected in [
        ("2026-03-06T21:59:00Z", False), ("2026-03-06T22:00:00Z", True),
        ("2026-03-07T03:59:00Z", True), ("2026-03-07T04:00:00Z", False),
        ("2026-03-06T02:00:00Z", False), ("2026-03-07T23:00:00Z", False),
    ]:  # fmt: skip
        assert is_open(windows, 0, ns(moment)) is expected, moment


def test_a_window_inside_the_gap_of_spring_does_not_open_that_day():
    assert opens(BERLIN, "daily 02:10-02:50", "2026-03-28T12:00:00Z") == "2026-03-30T00:10Z"


def test_a_window_that_the_gap_cuts_opens_when_clocks_have_jumped():
    assert opens(BERLIN, "daily 02:30-04:00", "2026-03-28T12:00:00Z") == "2026-03-29T01:00Z"
    assert closes(BERLIN, "daily 01:30-02:30", "2026-03-29T00:45:00Z") == "2026-03-29T01:00Z"


def test_a_window_in_the_overlap_of_autumn_opens_twice():
    window = "Sun 02:10-02:50"
    assert opens(BERLIN, window, "2026-10-24T12:00:00Z") == "2026-10-25T00:10Z"
    assert closes(BERLIN, window, "2026-10-25T00:10:00Z") == "2026-10-25T00:50Z"
    assert opens(BERLIN, window, "2026-10-25T00:50:00Z") == "2026-10-25T01:10Z"


def test_a_weekly_window_in_the_gap_opens_in_the_week_after():
    assert opens(NEW_YORK, "Sun 02:05-02:55", "2026-03-07T12:00:00Z") == "2026-03-15T06:05Z"


def test_half_an_hour_of_daylight_saving():
    assert opens(LORD_HOWE, "Sun 02:00-02:20", "2026-10-03T10:00:00Z") == "2026-10-10T15:00Z"


def test_windows_that_follow_on_each_other_are_one():
    windows = tuple(map(read_window, ["daily 01:00-03:00", "daily 03:00-05:00"]))
    assert text(closes_ns(windows, lambda _: 0, ns("2026-03-02T01:30:00Z"))) == "2026-03-02T05:00Z"
    always = (read_window("daily 00:00-24:00"),)
    assert closes_ns(always, lambda _: 0, ns("2026-03-02T01:30:00Z")) is None


def test_no_window_is_always_open():
    assert is_open((), 0, 0)
    assert opens_ns((), lambda _: 0, 7) == 7
    assert closes_ns((), lambda _: 0, 7) is None


def on_the_wall(window, zone, at_ns):
    """Whether a window is open, by Python's own wall clock."""
    local = datetime.fromtimestamp(at_ns // SECOND, ZoneInfo(zone))
    minute = local.hour * 60 + local.minute
    begins, ends = window.begins_min, window.ends_min
    if begins < ends:
        return local.weekday() in window.days and begins <= minute < ends
    yesterday = (local.replace(tzinfo=None) - timedelta(days=1)).weekday()
    late = local.weekday() in window.days and minute >= begins
    return late or (yesterday in window.days and minute < ends)


windows = st.builds(
    Window,
    st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True).map(sorted).map(tuple),
    st.integers(0, 1439),
    st.integers(1, 1440),
).filter(lambda window: window.begins_min != window.ends_min)
zones = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "Asia/Kolkata", "Pacific/Chatham", "UTC"])
# around the changes of clocks, where it is hard
days = st.sampled_from(["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-07-01"])  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(windows, zones, days, st.integers(0, 3 * 1440))
def test_it_opens_and_closes_when_the_wall_clock_says(window, zone, day, minute):
    at_ns = ns(f"{day}T00:00:00Z") + minute * MINUTE
    offset = offset_in(zone)
    assert is_open((window,), offset(at_ns // SECOND), at_ns) == on_the_wall(window, zone, at_ns)
    opened = opens_ns((window,), offset, at_ns)
    assert opened is not None, f"{window} never opens in {zone}: {DAYS}"
    assert on_the_wall(window, zone, opened)
    closed = closes_ns((window,), offset, opened)
    if closed is not None:
        assert not on_the_wall(window, zone, closed)
    step = 7 * MINUTE
    for instant in range(at_ns, min(opened, at_ns + 2 * 1440 * MINUTE), step):
        assert not on_the_wall(window, zone, instant), (
            f"open at {text(instant)}, before {text(opened)}"
        )
    for instant in range(opened, min(closed or opened, opened + 2 * 1440 * MINUTE), step):
        assert on_the_wall(window, zone, instant), (
            f"closed at {text(instant)}, before {text(closed)}"
        )
