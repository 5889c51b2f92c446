"""Links without packets: how long a message takes, one way, at any instant.

Decides arrival delays, round trips and rates between a device and its broker. Leaves out who sends
what, cohort faults (the world lays them over), and energy (`radio.py`).

Theory of operation. A link has two time scales. *Availability* says when it is there at all
(`availability.py`). While it is there, a *quality epoch* holds one round-trip time, one rate each way
and one loss rate. Epochs cost no events: the quality at an instant is looked up when a message asks,
by the epoch's number, so that what one policy sends never changes the luck of another. A message of n
bytes leaves when the ones before it in its direction have left, takes ``8 n / rate`` to leave (a rate
held down by `loss.mathis_bps` once it is longer than TCP's initial window), half an RTT to travel, and
what its loss adds (`loss.py`). TCP delivers in order: nothing overtakes.

A `FixedLink` of 200 ms and 2 % loss carries 1.22 x 1460 x 8 / (0.2 sqrt(0.02)) = 503,788 bit/s, that
is 62,973 bytes/s, whatever its nominal rate above that.

Rules: instants and delays are int ns; rates bit/s inside, bytes/s where `goodput` is asked. Calls come
in order of `now`. `arrival_delay_ns` and `train_delays_ns` *book* the message: ask once per message.
`handshake_ns` opens a new connection and forgets what the old one had queued.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.timebase import NEVER, SECOND
from devicesim.entropy import Stream
from devicesim.models.availability import AlwaysUp, Availability, Renewal
from devicesim.models.link_class import LinkSpec, QualityTables
from devicesim.models.loss import MSS_BYTES, mathis_bps, timeout_penalty_ns

INITIAL_WINDOW_BYTES: Final = 10 * MSS_BYTES
HANDSHAKE_ROUNDS: Final = 3
"""TCP, TLS 1.3 and MQTT CONNECT: one round trip each."""
HANDSHAKE_DOWN_BYTES: Final = 4500
"""ServerHello with a certificate chain of two, and CONNACK."""
SYN_TIMEOUT_NS: Final = SECOND
_BITS_NS: Final = 8.0 * SECOND
_LUCK_STEPS: Final = 1 << 24
_UNKNOWN: Final = -1.0


class Link:
    """What all links share; a kind of link says what quality holds when, in `_enter`.

    Args:
        availability: when the link is there.
        luck: the device's own stream for losses; drawn by instant, never in sequence.
    """

    __slots__ = (
        "_arrived_down", "_arrived_up", "_burst", "_cap_bps", "_down_bps", "_end", "_free_down",
        "_free_up", "_loss", "_luck", "_rtt", "_start", "_up_bps", "availability",
    )  # fmt: skip

    def __init__(self, availability: Availability, luck: Stream) -> None:
        self.availability = availability
        self._luck = luck
        self._start = self._end = -1
        self._rtt = 0
        self._down_bps = self._up_bps = 0.0
        self._cap_bps = _UNKNOWN
        self._loss, self._burst = 0.0, 1.0
        self.reset()

    def reset(self) -> None:
        """Forget what the last connection had queued (it was cut, or a new one opens)."""
        self._free_down = self._free_up = 0
        self._arrived_down = self._arrived_up = 0

    def _enter(self, now: int) -> None:
        """Set the quality that holds at `now`, by calling `_hold`."""
        raise NotImplementedError

    def _hold(
        self,
        start: int,
        end: int,
        rtt: int,
        down_bps: float,
        up_bps: float,
        loss: float,
        burst: float,
    ) -> None:
        self._start, self._end, self._rtt = start, end, rtt
        self._down_bps, self._up_bps = down_bps, up_bps
        self._loss, self._burst = loss, burst
        self._cap_bps = _UNKNOWN

    def _long_bps(self, *, downlink: bool) -> float:
        """Rate of a long transfer in this epoch; most epochs see none."""
        if self._cap_bps == _UNKNOWN:
            self._cap_bps = mathis_bps(self._rtt, self._loss, self._burst)
        bps = self._down_bps if downlink else self._up_bps
        return bps if bps < self._cap_bps else self._cap_bps

    # -- availability -----------------------------------------------------------------------------

    def is_up(self, now: int) -> bool:
        """Tell whether the link is there at `now`."""
        return self.availability.is_up(now)

    def next_change(self, now: int) -> tuple[int, bool]:
        """Give the next instant at which the link comes or goes, and whether it is up from then on."""
        return self.availability.next_change(now)

    # -- quality ----------------------------------------------------------------------------------

    def rtt_ns(self, now: int) -> int:
        """Round-trip time at `now`, ns."""
        if not self._start <= now < self._end:
            self._enter(now)
        return self._rtt

    def goodput_bytes_per_s(self, now: int, downlink: bool) -> float:  # noqa: FBT001 - a hot path
        """Bytes per second that a long transfer gets at `now`, loss included."""
        if not self._start <= now < self._end:
            self._enter(now)
        return self._long_bps(downlink=downlink) / 8.0

    def arrival_delay_ns(self, nbytes: int, now: int, downlink: bool) -> int:  # noqa: FBT001 - hot
        """Book a message of `nbytes` and say how long after `now` it arrives, ns.

        Queueing behind earlier messages, sending, travelling and the penalties of loss included.
        """
        if not self._start <= now < self._end:
            self._enter(now)
        rtt, loss = self._rtt, self._loss
        free = self._free_down if downlink else self._free_up
        begin = free if free > now else now
        if nbytes <= INITIAL_WINDOW_BYTES:
            bps = self._down_bps if downlink else self._up_bps
        else:
            bps = self._long_bps(downlink=downlink)
        left = begin + int(nbytes * _BITS_NS / bps) if bps > 0.0 else NEVER
        if left >= self._end:
            left = self._drain(nbytes, begin, downlink=downlink)
            if not self._start <= now < self._end:
                self._enter(now)
        arrival = left + (rtt >> 1)
        if loss > 0.0:
            arrival += self._penalty(nbytes, now, downlink=downlink)
        if downlink:
            self._free_down = left
            if arrival < self._arrived_down:
                arrival = self._arrived_down
            else:
                self._arrived_down = arrival
        else:
            self._free_up = left
            if arrival < self._arrived_up:
                arrival = self._arrived_up
            else:
                self._arrived_up = arrival
        return arrival - now

    def train_delays_ns(self, sizes: list[int], now: int, downlink: bool) -> list[int]:  # noqa: FBT001
        """Book messages sent back to back at `now`; delay of each arrival, ns, in order.

        A train is one long transfer: its losses are mended in passing (that is what the Mathis rate
        says), and only its last message can wait for a timeout.
        """
        if not sizes:
            return []
        if not self._start <= now < self._end:
            self._enter(now)
        half = self._rtt >> 1
        at = max(now, self._free_down if downlink else self._free_up)
        last = self._arrived_down if downlink else self._arrived_up
        long = sum(sizes) > INITIAL_WINDOW_BYTES
        arrivals = []
        for nbytes in sizes:
            at = self._drain(nbytes, at, downlink=downlink, long=long)
            last = max(last, at + half)
            arrivals.append(last - now)
        if not self._start <= now < self._end:
            self._enter(now)
        if self._loss > 0.0:
            late = self._penalty(MSS_BYTES, now, downlink=downlink)
            arrivals[-1] += late
            last += late
        if downlink:
            self._free_down, self._arrived_down = at, last
        else:
            self._free_up, self._arrived_up = at, last
        return arrivals

    def handshake_ns(self, now: int) -> int:
        """Open a connection at `now`: TCP, TLS 1.3 and MQTT CONNECT, until CONNACK is there, ns."""
        self.reset()
        rtt = self.rtt_ns(now)
        loss = self._loss
        total = HANDSHAKE_ROUNDS * rtt
        total += self._drain(HANDSHAKE_DOWN_BYTES, now, downlink=True) - now
        if not self._start <= now < self._end:
            self._enter(now)
        if loss > 0.0:
            bits = self._luck.at(now * 4 + 2)
            if (bits & 0xFFFFFF) < loss * _LUCK_STEPS:  # the SYN, before any RTT is known
                total += SYN_TIMEOUT_NS
            total += timeout_penalty_ns(rtt, loss, (bits >> 40) / _LUCK_STEPS)
        return total

    def _penalty(self, nbytes: int, now: int, *, downlink: bool) -> int:
        """Delay by loss: a round trip for a loss in the middle, timeouts for one at the end."""
        loss, rtt = self._loss, self._rtt
        bits = self._luck.at(now * 4 + downlink)
        penalty = 0
        if (bits >> 40) < loss * _LUCK_STEPS:
            penalty = timeout_penalty_ns(rtt, loss, (bits >> 40) / _LUCK_STEPS)
        if MSS_BYTES < nbytes <= INITIAL_WINDOW_BYTES:
            # Longer messages meet these losses in the Mathis rate.
            events = loss / self._burst * (nbytes // MSS_BYTES)
            if (bits & 0xFFFFFF) < events * _LUCK_STEPS:
                penalty += rtt
        return penalty

    def _drain(self, nbytes: int, begin: int, *, downlink: bool, long: bool | None = None) -> int:
        """Instant at which the last bit has left, through as many epochs as it takes."""
        if long is None:
            long = nbytes > INITIAL_WINDOW_BYTES
        bits, at = 8.0 * nbytes, begin
        while at < NEVER:
            if not self._start <= at < self._end:
                self._enter(at)
            if long:
                bps = self._long_bps(downlink=downlink)
            else:
                bps = self._down_bps if downlink else self._up_bps
            finish = at + int(bits * SECOND / bps) if bps > 0.0 else NEVER
            if finish < self._end:
                return finish
            if self._end >= NEVER:
                return min(finish, NEVER)
            bits -= bps * (self._end - at) / SECOND
            at = self._end
        return NEVER


class FixedLink(Link):
    """A link that never changes: round trip, rate each way, loss.

    Args:
        rtt_ns: round-trip time, ns.
        rate_bps: bit/s downlink; uplink too, unless `up_bps` is given.
        loss: share of packets lost, one at a time unless `burst_packets` says otherwise.
        luck: stream for the losses; needed when there are any.
        up_bps: bit/s uplink.
        burst_packets: mean length of a burst of loss.
        availability: when it is there; always, by default.

    Raises:
        ValueError: figures out of range, or losses without a stream.
    """

    __slots__ = ("_figures",)

    def __init__(
        self,
        rtt_ns: int,
        rate_bps: float,
        loss: float = 0.0,
        *,
        luck: Stream,
        up_bps: float = 0.0,
        burst_packets: float = 1.0,
        availability: Availability | None = None,
    ) -> None:
        if rtt_ns < 0 or rate_bps <= 0.0 or not 0.0 <= loss < 1.0:
            raise ValueError(
                "expected rtt_ns >= 0, rate_bps > 0 and 0 <= loss < 1, "
                f"found {rtt_ns}, {rate_bps} and {loss}"
            )
        super().__init__(availability or AlwaysUp(), luck)
        self._figures = (rtt_ns, float(rate_bps), float(up_bps or rate_bps), loss, burst_packets)
        self._enter(0)

    def _enter(self, now: int) -> None:  # noqa: ARG002 - it is the same at any instant
        self._hold(0, NEVER, *self._figures)


class EpochLink(Link):
    """A link of quality classes, each held for an epoch.

    Args:
        spec: the named link.
        tables: its tables, shared.
        availability: when it is there; None takes the one of the `spec`.
        streams: three streams of the device: availability, epochs, losses.
        now: start, ns.
    """

    __slots__ = ("_epoch_ns", "_epochs", "_phase", "_tables")

    def __init__(
        self,
        spec: LinkSpec,
        tables: QualityTables,
        streams: tuple[Stream, Stream, Stream],
        now: int = 0,
        *,
        availability: Availability | None = None,
    ) -> None:
        coming, epochs, luck = streams
        if availability is None and spec.availability is not None:
            availability = Renewal(spec.availability, coming, now)
        super().__init__(availability or AlwaysUp(), luck)
        self._tables = tables
        self._epochs = epochs
        low, high = spec.epoch_s
        self._epoch_ns = int(epochs.uniform(low, high) * SECOND)
        self._phase = int(epochs.uniform() * self._epoch_ns)

    def _enter(self, now: int) -> None:
        number = (now + self._phase) // self._epoch_ns
        bits = self._epochs.at(number)
        tables = self._tables
        rtt, down, up, loss, burst = tables.rows[tables.choice[bits & 0xFF]]
        start = number * self._epoch_ns - self._phase
        row = (bits >> 16) & 0xFF
        # As `_hold` does, without a call: at the pace of telemetry each message meets a new epoch.
        self._start, self._end = start, start + self._epoch_ns
        self._rtt, self._down_bps, self._up_bps = rtt[(bits >> 8) & 0xFF], down[row], up[row]
        self._loss, self._burst = loss, burst
        self._cap_bps = _UNKNOWN
