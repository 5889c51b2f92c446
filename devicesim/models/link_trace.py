"""A recorded link: rates, round trips and outages over time, used like any other link.

Decides the quality at an instant from columns in memory. Leaves out file formats: an importer fills
the columns (Mahimahi slots, ``t mbit/s`` columns, CSV), this class plays them, over and over.

Rules: instants in the trace count from its start; a slot of rate 0 is an outage, during which nothing
leaves and `is_up` says no.
"""

from __future__ import annotations

from bisect import bisect_right

import msgspec

from devicesim.entropy import Stream
from devicesim.models.availability import AlwaysUp, Availability
from devicesim.models.link import Link


class Trace(msgspec.Struct, frozen=True):
    """Columns of equal length; slot k holds from ``starts_ns[k]`` to the next start.

    `length_ns` closes the last slot; then the trace begins again. `rtt_ns`, `up_bps` and `loss` may
    have one entry that holds throughout.

    Raises:
        ValueError: columns that do not fit together, or a trace that carries nothing.
    """

    starts_ns: tuple[int, ...]
    down_bps: tuple[float, ...]
    length_ns: int
    rtt_ns: tuple[int, ...]
    up_bps: tuple[float, ...] = ()
    loss: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        starts, count = self.starts_ns, len(self.starts_ns)
        if not count or starts[0] != 0 or list(starts) != sorted(set(starts)):
            raise ValueError("expected slots that start at 0 and go on in time")
        if self.length_ns <= starts[-1]:
            raise ValueError(f"expected a length after the last slot, found {self.length_ns} ns")
        if len(self.down_bps) != count or len(self.up_bps) not in {0, count}:
            raise ValueError(f"expected {count} rates, one per slot")
        if len(self.rtt_ns) not in {1, count} or len(self.loss) not in {1, count}:
            raise ValueError(f"expected 1 or {count} round-trip times and losses")
        if min(self.down_bps) < 0.0 or max(self.down_bps) <= 0.0 or max(self.up_bps or (1.0,)) <= 0:
            raise ValueError("expected rates of zero or more that carry something")


class TraceLink(Link):
    """Plays a `Trace` from `offset_ns` on, cyclically.

    Args:
        trace: the columns.
        luck: stream for losses.
        offset_ns: where in the trace the instant 0 lies; devices that share a trace are spread by it.
        availability: when the link is there at all; slots without a rate are stalls then, and no
            outages.
    """

    __slots__ = ("_offset", "_told", "_trace")

    def __init__(
        self,
        trace: Trace,
        luck: Stream,
        offset_ns: int = 0,
        availability: Availability | None = None,
    ) -> None:
        super().__init__(availability or AlwaysUp(), luck)
        self._trace = trace
        self._offset = offset_ns
        self._told = availability is not None

    def _slot(self, now: int) -> tuple[int, int]:
        """Index of the slot at `now` and the instant at which its round of the trace began."""
        within = (now + self._offset) % self._trace.length_ns
        return bisect_right(self._trace.starts_ns, within) - 1, now - within

    def _bounds(self, slot: int, origin: int) -> tuple[int, int]:
        starts = self._trace.starts_ns
        end = starts[slot + 1] if slot + 1 < len(starts) else self._trace.length_ns
        return origin + starts[slot], origin + end

    def _enter(self, now: int) -> None:
        slot, origin = self._slot(now)
        trace = self._trace
        start, end = self._bounds(slot, origin)
        down = trace.down_bps[slot]
        up = trace.up_bps[slot] if trace.up_bps else down
        rtt = trace.rtt_ns[slot if len(trace.rtt_ns) > 1 else 0]
        loss = trace.loss[slot if len(trace.loss) > 1 else 0]
        self._hold(start, end, rtt, down, up, loss, 1.0)

    def is_up(self, now: int) -> bool:
        """Tell whether the slot at `now` carries anything."""
        if self._told:
            return self.availability.is_up(now)
        return self._trace.down_bps[self._slot(now)[0]] > 0.0

    def next_change(self, now: int) -> tuple[int, bool]:
        """Give the start of the next slot that goes from nothing to something, or back."""
        trace = self._trace
        if self._told:
            return self.availability.next_change(now)
        up = self.is_up(now)
        if min(trace.down_bps) > 0.0:
            return self.availability.next_change(now)
        slot, origin = self._slot(now)
        while True:  # there is a slot with nothing and one with something: within one round
            _, end = self._bounds(slot, origin)
            slot, origin = self._slot(end)
            if (trace.down_bps[slot] > 0.0) != up:
                return end, not up
