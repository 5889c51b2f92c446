"""Unit-test twin of `devicesim/models/loss.py`."""

from __future__ import annotations

import math

import pytest

from devicesdk.wire.timebase import MS, SECOND
from devicesim.models.loss import GilbertElliott, mathis_bps, timeout_penalty_ns


def test_mathis_at_200_ms_and_2_percent():
    assert mathis_bps(200 * MS, 0.02) == pytest.approx(1.22 * 1460 * 8 / (0.2 * math.sqrt(0.02)))
    assert mathis_bps(200 * MS, 0.02) == pytest.approx(503_788, rel=1e-3)


def test_loss_in_bursts_halves_the_window_less_often():
    assert mathis_bps(100 * MS, 0.02, 4.0) == pytest.approx(2 * mathis_bps(100 * MS, 0.02))
    assert mathis_bps(100 * MS, 0.0) == math.inf


def test_timeouts_double_and_start_at_200_ms():
    assert timeout_penalty_ns(20 * MS, 0.1, 0.5) == 0
    assert timeout_penalty_ns(20 * MS, 0.1, 0.05) == 200 * MS
    assert timeout_penalty_ns(300 * MS, 0.1, 0.05) == 600 * MS
    assert timeout_penalty_ns(20 * MS, 0.1, 0.005) == 600 * MS, "200 ms, then 400 ms"
    assert timeout_penalty_ns(20 * MS, 0.9, 0.0) == 63 * 200 * MS < 13 * SECOND, (
        "it gives up doubling"
    )


@pytest.mark.parametrize(
    ("p", "r", "loss", "burst"),
    [(0.005, 0.5, 0.0099, 2.0), (0.01, 1 / 3, 0.0291, 3.0), (0.05, 0.5, 0.0909, 2.0)],
)
def test_gilbert_elliott_settles(p, r, loss, burst, book):
    chain = GilbertElliott(p, r)
    assert chain.loss == pytest.approx(loss, abs=1e-4)
    assert chain.burst_packets == pytest.approx(burst)
    shipped = [c for c in book.classes.values() if c.source == "ge"]
    assert any(
        c.loss == pytest.approx(chain.loss, abs=2e-4) and c.burst_packets == pytest.approx(burst)
        for c in shipped
    ), "the links file ships this chain"


def test_gilbert_elliott_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="0 <= p < 1"):
        GilbertElliott(0.1, 0.0)
