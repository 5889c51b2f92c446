"""Slopes: a leak is found under noise, sawteeth and restarts, and a flat line is left alone."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import pytest

from devicesim.live.soak.leaks import BLOCKS_MIN, Point, gains, leaks, slope, warm_up_s
from devicesim.live.soak.process import holding


def noise(n: int) -> float:
    """In [-1, 1), the same each time, of no period that matters."""
    return math.modf(math.sin(n * 12.9898) * 43758.5453)[0]


def curve(per_h: float, *, lasts_s: int = 3600, wobble: float = 3.0) -> list[Point]:
    return [
        (float(t), 200 + per_h * t / 3600 + wobble * noise(t) + 40 * math.exp(-t / 60))
        for t in range(0, lasts_s, 5)
    ]


def test_a_leak_is_found_with_its_size() -> None:
    found = slope(curve(60.0))
    assert found is not None
    assert found.low_per_h < 60 < found.high_per_h, found
    assert leaks(found, allowed_per_h=5.0, floor=8.0), found


def test_a_fleet_that_settles_in_does_not_leak() -> None:
    found = slope(curve(0.0))
    assert found is not None
    assert not leaks(found, allowed_per_h=5.0, floor=0.0), found


def test_a_slope_below_what_is_allowed_is_no_leak() -> None:
    found = slope(curve(4.0, wobble=0.1))
    assert found is not None
    assert found.low_per_h > 0
    assert not leaks(found, allowed_per_h=5.0, floor=0.0)


def test_a_steep_slope_in_a_short_run_is_no_leak_below_the_floor() -> None:
    found = slope([(float(t), 200 + 300 * t / 3600 + 0.2 * noise(t)) for t in range(90)])
    assert found is not None
    assert found.low_per_h > 5.0
    assert not leaks(found, allowed_per_h=5.0, floor=8.0), "an arena is no leak"


def test_restarts_do_not_make_descriptors_leak() -> None:
    points = [(float(t), 30.0 if t % 300 < 5 else 930.0) for t in range(0, 1800, 2)]
    found = slope(points)
    assert found is not None
    assert not gains(found, 0), found


def test_one_descriptor_for_each_restart_is_found() -> None:
    points = [(float(t), (30.0 if t % 300 < 5 else 930.0) + t // 300) for t in range(0, 3600, 2)]
    found = slope(points)
    assert found is not None
    assert gains(found, 0), found
    assert not gains(found, 20), found


@pytest.mark.parametrize("count", [0, 1, BLOCKS_MIN - 1])
def test_too_few_readings_are_not_judged(count: int) -> None:
    assert slope([(float(t), 1.0) for t in range(count)]) is None


def test_the_warm_up_is_a_quarter_and_ten_minutes_at_most() -> None:
    assert warm_up_s(60) == 15
    assert warm_up_s(86_400) == 600


def test_our_own_process_can_be_read() -> None:
    before = holding()
    if before is None:
        pytest.skip("no procfs here")
    with ExitStack() as stack:
        for _ in range(7):
            stack.enter_context(Path(__file__).open())
        after = holding()
    assert after is not None
    assert after.fds - before.fds == 7
    assert after.rss_bytes > 1_000_000


def test_a_process_that_is_not_there_is_not_read() -> None:
    assert holding(2**22 + 1) is None
