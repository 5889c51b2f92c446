"""Unit-test twin of `devicesim/models/clock.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import DAY, HOUR, SECOND
from devicesim.models.clock import DeviceClock

NOON_MS = 1_708_603_200_000


def test_skew_adds_up_over_a_day():
    clock = DeviceClock(20.0, NOON_MS, 0)
    assert clock.wall_ms(0) == NOON_MS
    assert clock.wall_ms(DAY) - NOON_MS - 86_400_000 == pytest.approx(1728, abs=1)
    assert DeviceClock(-20.0, NOON_MS, 0).wall_ms(DAY) - NOON_MS - 86_400_000 == pytest.approx(
        -1728, abs=1
    )


def test_a_lost_rtc_wakes_up_in_1970_and_monotonic_time_stays_right():
    clock = DeviceClock(0.0, NOON_MS, 0, rtc=False)
    clock.boot(HOUR)
    assert clock.wall_ms(HOUR) == 0
    assert clock.wall_ms(HOUR + SECOND) == 1000
    assert clock.monotonic_ns(HOUR + SECOND) == SECOND
    clock.set_wall(HOUR + SECOND, NOON_MS)
    assert clock.wall_ms(HOUR + 2 * SECOND) == NOON_MS + 1000
    assert clock.monotonic_ns(HOUR + 2 * SECOND) == 2 * SECOND


def test_a_battery_backed_clock_survives_unless_its_battery_fails():
    clock = DeviceClock(0.0, NOON_MS, 0)
    clock.boot(HOUR)
    assert clock.wall_ms(HOUR) == NOON_MS + 3_600_000
    clock.boot(2 * HOUR, lost_rtc=True)
    assert clock.wall_ms(2 * HOUR) == 0


def test_changing_the_skew_does_not_jump():
    clock = DeviceClock(50.0, NOON_MS, 0)
    before = clock.wall_ms(DAY)
    clock.skew(DAY, -50.0)
    assert clock.wall_ms(DAY) == before
    assert clock.wall_ms(2 * DAY) - before < 86_400_000


def test_a_skew_beyond_reason_is_refused():
    with pytest.raises(ValueError, match="1000 ppm"):
        DeviceClock(5000.0, NOON_MS, 0)
    with pytest.raises(ValueError, match="1000 ppm"):
        DeviceClock(0.0, NOON_MS, 0).skew(1, -5000.0)
