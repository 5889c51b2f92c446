"""How fast a transfer may ask, and how long it waits for an answer.

Decides the window (chunks per request) and the patience with a request. Leaves out the requests
(download.py).

RTO as in RFC 6298: srtt + 4 rttvar, smoothed by 1/8 and 1/4, clamped to [1 s, 30 s], doubled for each
time-out in a row, +-25 % so that a fleet that lost the same server does not ask in step. On top comes
the time that one more chunk takes at the measured goodput: a slow link is not a lost round. Samples
of a round that was asked for while another was under way are left out (they contain the other's
chunks), as are those of rounds that timed out (Karn).
"""

from __future__ import annotations

from typing import Final

from devicesdk.agent.dice import Dice
from devicesdk.wire import limits
from devicesdk.wire.timebase import MS, SECOND

RTO_NS_MIN: Final = SECOND
RTO_NS_MAX: Final = 30 * SECOND
RTO_NS_UNKNOWN: Final = 3 * SECOND
JITTER_PERCENT: Final = 25
GOODPUT_UNKNOWN_BYTES_PER_S: Final = 4 * 1024
"""What a link is believed to carry before anything was measured: GPRS on a bad day."""
SERIALISATION_NS_MAX: Final = 120 * SECOND
_DOUBLINGS_MAX: Final = 5


class Pace:
    """The measurements of one transfer, or of one connection's transfers in a row."""

    __slots__ = ("_chunks_max", "_goodput", "_rttvar", "_timeouts", "chunks", "srtt_ns")

    def __init__(self) -> None:
        self.srtt_ns = 0
        self._rttvar = 0
        self._goodput = 0
        self._timeouts = 0
        self._chunks_max = 1
        self.chunks = 1
        """How many chunks the next request may ask for."""

    def begin(self, chunk_bytes: int, round_bytes_max: int) -> None:
        """Another blob: the window starts over, what is known of the path stays."""
        most = max(1, min(round_bytes_max, limits.ROUND_BYTES_MAX) // chunk_bytes)
        self._chunks_max = min(most, limits.ROUND_CHUNKS_MAX)
        self.chunks = min(limits.ROUND_CHUNKS_START, self._chunks_max)
        self._timeouts = 0

    @property
    def rtt_ms(self) -> int:
        """Smoothed round-trip time in ms, 0 while unknown."""
        return self.srtt_ns // MS

    def patience_ns(self, chunk_bytes: int, dice: Dice) -> int:
        """How long the next sign of life of an outstanding request may take."""
        rto = self.srtt_ns + 4 * self._rttvar if self.srtt_ns else RTO_NS_UNKNOWN
        rto = min(max(rto, RTO_NS_MIN) << self._timeouts, RTO_NS_MAX)
        goodput = self._goodput or GOODPUT_UNKNOWN_BYTES_PER_S
        serialisation = chunk_bytes * SECOND // goodput << self._timeouts
        spread = rto * JITTER_PERCENT // 100
        return dice.between(rto - spread, rto + spread) + min(serialisation, SERIALISATION_NS_MAX)

    def answered(self, rtt_ns: int) -> None:
        """The first chunk of a request came this long after it was sent."""
        if not self.srtt_ns:
            self.srtt_ns, self._rttvar = rtt_ns, rtt_ns // 2
            return
        self._rttvar += (abs(rtt_ns - self.srtt_ns) - self._rttvar) // 4
        self.srtt_ns += (rtt_ns - self.srtt_ns) // 8

    def round_over(self, received_bytes: int, took_ns: int, *, clean: bool) -> None:
        """A round ended by its last frame: grow when nothing of it was lost."""
        if took_ns > 0 and received_bytes:
            measured = max(1, received_bytes * SECOND // took_ns)
            self._goodput += (measured - self._goodput) // 4 if self._goodput else measured
            self._goodput = max(1, self._goodput)
        self._timeouts = 0
        if clean:
            self.chunks = min(2 * self.chunks, self._chunks_max)

    def timed_out(self) -> None:
        """A request was not answered in time: ask for less, and wait longer."""
        self._timeouts = min(self._timeouts + 1, _DOUBLINGS_MAX)
        self.chunks = max(1, self.chunks // 2)
