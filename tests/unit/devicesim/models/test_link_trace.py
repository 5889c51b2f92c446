"""Unit-test twin of `devicesim/models/link_trace.py`."""

from __future__ import annotations

import pytest

from devicesdk.wire.timebase import MS, NEVER, SECOND
from devicesim.models.link_trace import Trace, TraceLink

STEPS = Trace(
    starts_ns=(0, 10 * SECOND, 20 * SECOND),
    down_bps=(8e6, 0.0, 800e3),
    length_ns=30 * SECOND,
    rtt_ns=(20 * MS,),
)


def link(entropy, trace=STEPS, offset=0):
    return TraceLink(trace, entropy.stream("luck", "trace"), offset)


def test_slots_are_played_and_played_again(entropy):
    played = link(entropy)
    assert played.goodput_bytes_per_s(5 * SECOND, True) == 1e6
    assert played.goodput_bytes_per_s(25 * SECOND, True) == 1e5
    assert played.goodput_bytes_per_s(35 * SECOND, False) == 1e6
    assert played.goodput_bytes_per_s(15 * SECOND, True) == 0.0
    assert link(entropy, offset=20 * SECOND).goodput_bytes_per_s(0, True) == 1e5


def test_a_transfer_waits_through_an_outage(entropy):
    played = link(entropy)
    # 1 MB before 10 s, nothing until 20 s, then 100 kB/s.
    delay = played.arrival_delay_ns(1_100_000, 9 * SECOND, True)
    assert delay == pytest.approx(12 * SECOND + 10 * MS, abs=MS)


def test_outages_are_announced(entropy):
    played = link(entropy)
    assert played.is_up(0)
    assert played.next_change(0) == (10 * SECOND, False)
    assert not played.is_up(12 * SECOND)
    assert played.next_change(12 * SECOND) == (20 * SECOND, True)
    assert played.next_change(25 * SECOND) == (40 * SECOND, False), "through the turn of the trace"
    steady = Trace((0,), (1e6,), SECOND, (MS,))
    assert link(entropy, steady).next_change(0) == (NEVER, True)


def test_columns_of_their_own(entropy):
    full = Trace((0, 10), (1e6, 2e6), 20, (MS, 2 * MS), up_bps=(1e5, 2e5), loss=(0.0, 0.01))
    played = link(entropy, full)
    assert played.rtt_ns(12) == 2 * MS
    assert played.goodput_bytes_per_s(2, False) == 12_500
    assert played.rtt_ns(2) == MS


@pytest.mark.parametrize(
    "bad",
    [
        {"starts_ns": ()},
        {"starts_ns": (5, 10)},
        {"starts_ns": (0, 0)},
        {"length_ns": 10},
        {"down_bps": (1.0,)},
        {"up_bps": (1.0,)},
        {"rtt_ns": (1, 2, 3)},
        {"down_bps": (0.0, 0.0)},
        {"down_bps": (-1.0, 1.0)},
        {"up_bps": (0.0, 0.0)},
    ],
)
def test_columns_that_do_not_fit_are_refused(bad):
    good = {"starts_ns": (0, 10), "down_bps": (1e6, 1e6), "length_ns": 20, "rtt_ns": (1,)}
    with pytest.raises(ValueError, match="expected"):
        Trace(**good | bad)
