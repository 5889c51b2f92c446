"""One accepted telemetry window as an experiment hears of it.

Decides which numbers of a window matter there. Leaves out whether they are bad.
"""

from __future__ import annotations

from devicesdk.sketches import histogram
from devicesdk.wire.messages import Telemetry
from gateway.core.internal import WindowSeen

_SHADOW_COUNTS = 4
P95 = 0.95


def seen(message: Telemetry) -> WindowSeen:
    """The window, for the experiments machine; a shadow that says too little counts as none."""
    shadow = message.shadow if len(message.shadow) == _SHADOW_COUNTS else ()
    errors = min(message.frames, sum(message.errors.values()))
    return WindowSeen(message.bundle, message.frames, errors, _latency_us(message), shadow)


def _latency_us(message: Telemetry) -> int:
    if not message.latency:
        return 0
    counts = histogram.unpack(message.latency, histogram.LATENCY_BINS)
    if not any(counts):
        return 0
    low, _, _ = histogram.quantile_bin_us(counts, P95)
    return int(low)
