"""Telemetry of made-up devices, for the tests of the collect machine."""

from __future__ import annotations

from typing import Any

import pytest

from devicesdk.sketches.histogram import pack
from devicesdk.wire import codec
from devicesdk.wire.messages import Telemetry
from gateway.core.stimuli import Arrived

BUNDLE = b"bundle-1"
CANDIDATE = b"bundle-2"


def one_hot(bins: int, bin_: int, count: int) -> list[int]:
    counts = [0] * bins
    counts[bin_] = count
    return counts


def telemetry(seq: int = 1, **fields: Any) -> Telemetry:
    """A window of 4 frames that all look alike; `look` says how, `slow` is the latency bin."""
    frames = fields.pop("frames", 4)
    look = fields.pop("look", 0)
    slow = fields.pop("slow", 5)
    body = {
        "boot_id": 1,
        "seq": seq,
        "bundle": BUNDLE,
        "frames": frames,
        "confidence": pack(one_hot(20, look, frames)),
        "entropy": pack(one_hot(16, look, frames)),
        "latency": pack(one_hot(16, slow, frames)),
        "features": b"".join(pack(one_hot(10, look, frames)) for _ in range(8)),
    }
    return Telemetry(**(body | fields))


class Lab:
    """What the tests need again and again."""

    BUNDLE = BUNDLE
    CANDIDATE = CANDIDATE
    telemetry = staticmethod(telemetry)
    one_hot = staticmethod(one_hot)

    @staticmethod
    def arrived(device: str, seq: int = 1, **fields: Any) -> Arrived:
        return Arrived("tel", device, codec.encode(telemetry(seq, **fields)))

    @staticmethod
    def flat_baseline(**others: list[float]) -> dict[str, list[float]]:
        """Uniform over ten bins, where healthy devices of these tests look 0..9."""
        named = {
            "confidence": [0.1] * 10 + [0.0] * 10,
            "entropy": [0.1] * 10 + [0.0] * 6,
        }
        return named | {f"feature {i}": [0.1] * 10 for i in range(8)} | others


@pytest.fixture
def lab() -> Lab:
    return Lab()
