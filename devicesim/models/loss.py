"""What packet loss does to a TCP connection, without packets.

Decides the rate that loss leaves to a long transfer and the delay it adds to a short one. Leaves out
how fast the link is (`link.py`).

A long transfer is held to ``1.22 MSS / (RTT sqrt(p))`` (Mathis, Semke, Mahdavi, Ott, "The macroscopic
behavior of the TCP congestion avoidance algorithm", CCR 27(3), 1997), where p counts loss *events*:
packets lost in one burst halve the window once. A short one pays one RTT when a packet in its middle
is lost (fast retransmission) and a retransmission timeout when the loss covers its end, since nothing
follows that could reveal it: max(200 ms, 2 RTT), doubling while the loss goes on.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from devicesdk.wire.timebase import MS, SECOND

MSS_BYTES: Final = 1460
MATHIS: Final = 1.22
RTO_MIN_NS: Final = 200 * MS
RTO_DOUBLINGS_MAX: Final = 6


class GilbertElliott(msgspec.Struct, frozen=True, gc=False):
    """Two-state loss: good > bad with probability `p` per packet, bad > good with `r`; all is lost in bad.

    Gilbert, "Capacity of a burst-noise channel", BSTJ 39, 1960; Elliott, BSTJ 42, 1963.
    """

    p: float
    r: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.p < 1.0 and 0.0 < self.r <= 1.0):
            raise ValueError(f"expected 0 <= p < 1 and 0 < r <= 1, found p {self.p}, r {self.r}")

    @property
    def loss(self) -> float:
        """Share of packets lost in the long run."""
        return self.p / (self.p + self.r)

    @property
    def burst_packets(self) -> float:
        """Mean length of a burst of loss, packets."""
        return 1.0 / self.r


def mathis_bps(rtt_ns: int, loss: float, burst_packets: float = 1.0) -> float:
    """Rate that a long TCP transfer reaches at this RTT and loss, bit/s; infinite without loss."""
    if loss <= 0.0 or rtt_ns <= 0:
        return math.inf
    return MATHIS * MSS_BYTES * 8 / (rtt_ns / SECOND * math.sqrt(loss / max(burst_packets, 1.0)))


def timeout_penalty_ns(rtt_ns: int, loss: float, luck: float) -> int:
    """Give the delay that loss at the end of a message adds: 0 with probability 1 - loss.

    Each retransmission is lost again with the same probability. `luck` is uniform in [0, 1).
    """
    rto = max(RTO_MIN_NS, 2 * rtt_ns)
    penalty, chance = 0, loss
    for _ in range(RTO_DOUBLINGS_MAX):
        if luck >= chance:
            break
        penalty += rto
        rto += rto
        chance *= loss
    return penalty
