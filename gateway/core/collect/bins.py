"""Where each histogram of a telemetry window stands in a row of counts.

Decides the order: confidence, entropy, latency, eight features. Leaves out what is summed.
"""

from __future__ import annotations

from typing import Final

from devicesdk.sketches import histogram as h

SIZES: Final = (h.CONFIDENCE_BINS, h.ENTROPY_BINS, h.LATENCY_BINS) + (h.FEATURE_BINS,) * h.FEATURES
BINS: Final = sum(SIZES)
LATENCY_INDEX: Final = 2
HISTOGRAMS: Final = tuple(
    (sum(SIZES[:index]), sum(SIZES[: index + 1])) for index in range(len(SIZES))
)
"""(first column, one past the last) of confidence, entropy, latency and the eight features."""
