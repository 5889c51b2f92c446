from __future__ import annotations

from devicesdk.wire import limits as wire
from gateway.core.collect.limits import CollectLimits


def test_sums_of_squares_cannot_overflow():
    limits = CollectLimits()
    windows_a_year = 200_000 * 366 * 96
    assert limits.window_frames_max**2 * 9_000_000 < 2**63
    assert limits.window_frames_max * windows_a_year < 2**63


def test_hysteresis_points_the_right_way():
    limits = CollectLimits()
    assert limits.psi_clear_max < limits.psi_raise_min
    assert limits.raise_windows > 1
    assert limits.judge_interval_ns <= limits.window_ns
    assert limits.telemetry_bytes_max <= wire.MESSAGE_BYTES_MAX
