"""A window as an experiment hears of it."""

from __future__ import annotations

from devicesdk.sketches.histogram import LATENCY_EDGES_US, pack
from devicesdk.wire.messages import Telemetry
from gateway.core.collect.seen import seen


def window(**fields):
    return Telemetry(boot_id=1, seq=1, bundle=b"12345678", frames=4, **fields)


def test_the_numbers_that_matter():
    latency = pack([0] * 9 + [4] + [0] * 6)
    said = seen(window(errors={"not-finite": 1, "error-7": 2}, latency=latency))
    assert (said.bundle, said.frames, said.errors, said.shadow) == (b"12345678", 4, 3, ())
    assert said.latency_us == LATENCY_EDGES_US[8], "expected what the bin proves, and no more"


def test_a_device_that_lies_about_errors_is_bounded_and_half_a_shadow_is_none():
    assert seen(window(errors={"a": 4_000_000_000})).errors == 4
    assert seen(window(shadow=(4, 1))).shadow == ()
    assert seen(window(shadow=(4, 1, 1, 0))).shadow == (4, 1, 1, 0)
    assert seen(window()).latency_us == 0
