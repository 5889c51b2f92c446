from __future__ import annotations

from devicesdk.wire import limits as wire
from gateway.core.transfers.limits import TransferLimits


def test_a_whole_round_always_fits_the_budgets_of_the_lowest_priority() -> None:
    limits = TransferLimits()
    assert limits.burst_bytes_max // 2 >= wire.ROUND_BYTES_MAX
    assert limits.deployment_burst_bytes_max >= wire.ROUND_BYTES_MAX
    assert limits.deployment_bytes_per_s_max < limits.bytes_per_s_max


def test_waits_are_shorter_than_a_device_would_take_for_silence() -> None:
    limits = TransferLimits()
    assert limits.budget_retry_ns_min < limits.busy_retry_ns < limits.budget_retry_ns_max
    assert limits.lease_ns >= limits.budget_retry_ns_min
