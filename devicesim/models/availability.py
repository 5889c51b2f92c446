"""When a link is there: an alternating renewal of up and down, or a recorded one.

Decides the instants at which a link comes and goes. Leaves out how good it is while it is there
(`link.py`) and cohort faults, which the world lays over it.

Up times are log-normal, down times Weibull with a shape below one (most outages are short, some are
very long), the pair that studies of wireless availability find. Draws come from the device's own
stream in order of episodes, so that asking more often changes nothing.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from devicesdk.wire.timebase import NEVER, from_seconds
from devicesim.entropy import Stream

EPISODE_MIN_S = 0.1


class AvailabilitySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up times: median and sigma of the logarithm. Down times: scale and shape. In seconds."""

    up_median_s: float
    down_scale_s: float
    up_sigma: float = 1.0
    down_shape: float = 0.7

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) <= 0.0:
                raise ValueError(f"expected {name} above zero, found {getattr(self, name)}")


class Availability(Protocol):
    """What a link asks: whether it is up, and when that changes."""

    def is_up(self, now: int) -> bool:
        """Tell whether the link is there at `now` (ns, never going back)."""

    def next_change(self, now: int) -> tuple[int, bool]:
        """Give the next instant at which it changes, and whether it is up from then on."""


class AlwaysUp:
    """A link that never goes by itself."""

    __slots__ = ()

    def is_up(self, now: int) -> bool:  # noqa: ARG002 - the protocol passes `now`
        """Tell that it is there."""
        return True

    def next_change(self, now: int) -> tuple[int, bool]:  # noqa: ARG002 - the protocol passes `now`
        """Tell that nothing will change."""
        return NEVER, True


class Renewal:
    """The alternating renewal of one device. `now` must not go back between calls.

    Args:
        spec: distributions of the up and down times.
        stream: the device's own stream for this purpose; nobody else may draw from it.
        now: start, ns, somewhere within a first up time.
    """

    __slots__ = ("_spec", "_stream", "_until", "_up")

    def __init__(self, spec: AvailabilitySpec, stream: Stream, now: int) -> None:
        self._spec = spec
        self._stream = stream
        self._up = True
        first = stream.lognormal(spec.up_median_s, spec.up_sigma) * stream.uniform()
        self._until = now + from_seconds(max(first, EPISODE_MIN_S))

    def _catch_up(self, now: int) -> None:
        spec, stream = self._spec, self._stream
        while self._until <= now:
            self._up = not self._up
            if self._up:
                length = stream.lognormal(spec.up_median_s, spec.up_sigma)
            else:
                length = stream.weibull(spec.down_scale_s, spec.down_shape)
            self._until += from_seconds(max(length, EPISODE_MIN_S))

    def is_up(self, now: int) -> bool:
        """Tell whether the link is there at `now`."""
        if self._until <= now:
            self._catch_up(now)
        return self._up

    def next_change(self, now: int) -> tuple[int, bool]:
        """Give the end of the present episode and what follows it."""
        if self._until <= now:
            self._catch_up(now)
        return self._until, not self._up


class Outages:
    """Recorded outages: ``(from, to)`` in ns, sorted and apart; up everywhere else.

    Raises:
        ValueError: an outage ends before it begins, or before the last one ended.
    """

    __slots__ = ("_at", "_edges")

    def __init__(self, outages: tuple[tuple[int, int], ...]) -> None:
        edges: list[int] = []
        for start, end in outages:
            if end <= start or (edges and start <= edges[-1]):
                raise ValueError(
                    f"expected outages sorted, apart and of positive length, found {start}..{end} ns"
                )
            edges += [start, end]
        self._edges = tuple(edges)
        self._at = 0

    def _seek(self, now: int) -> int:
        edges, at = self._edges, self._at
        while at and edges[at - 1] > now:
            at -= 1
        while at < len(edges) and edges[at] <= now:
            at += 1
        self._at = at
        return at

    def is_up(self, now: int) -> bool:
        """Tell whether `now` lies outside all outages."""
        return self._seek(now) % 2 == 0

    def next_change(self, now: int) -> tuple[int, bool]:
        """Give the next edge of an outage and whether the link is up from then on."""
        at = self._seek(now)
        if at == len(self._edges):
            return NEVER, True
        return self._edges[at], at % 2 == 1
