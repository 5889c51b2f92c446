"""A recording of presence: who was connected, from when to when.

Decides what a recording is in memory and how single events (up, down, a broker that ends) become
intervals. Leaves out where events come from (mosquitto.py, tables.py, capture.py) and files (native.py,
reading.py).

Rules: instants are int ns; while a recording is built they count from the Unix epoch, in a finished one
from its start. A device that goes down without ever having come up was up since the start, unless the
recording saw the broker start. A second *up* without a *down* is a take-over: the device stays up.
Memory grows with sessions and not with lines, up to `EDGES_MAX`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

import msgspec

from devicesdk.wire.timebase import SECOND
from devicesim.scenario.fleet import DEVICES_MAX

EDGES_MAX: Final = 20_000_000
"""Beginnings and ends of sessions in one recording: 160 MB."""
BACK_TOLERATED_NS: Final = 2 * SECOND
"""Threads of a logger may write a little out of order; a clock that is set back is set back further."""

FORWARD_TOLERATED_NS: Final = 31 * 86_400 * SECOND
"""A log that is silent for longer has a clock that was set: 1970 until the network said otherwise."""
LENGTH_NS_MAX: Final = 10**8 * SECOND
"""Three years."""


class RecordingError(ValueError):
    """What was given is not a recording that can be used; says where, what was expected and found."""


class Recording(msgspec.Struct, frozen=True):
    """Presence of many devices; instants in `edges` and `unknown` count from `start_unix_ns`, ns."""

    start_unix_ns: int
    length_ns: int
    edges: dict[str, array[int]]
    """For each device up, down, up, down, ...: rising, within 0 and `length_ns`; empty: never up."""
    groups: dict[str, str] = {}
    """Device to group; empty: nobody said."""
    unknown: tuple[tuple[int, int], ...] = ()
    """From when to when nobody looked."""
    source: str = ""

    @property
    def sessions(self) -> int:
        """Intervals in all."""
        return sum(len(edges) for edges in self.edges.values()) // 2

    def cut(self, begin: int, end: int) -> Recording:
        """The part from `begin` to `end`; devices that were never up in it stay, as absent.

        Raises:
            RecordingError: nothing is left.
        """
        begin, end = max(0, begin), min(self.length_ns, end)
        if begin >= end:
            raise RecordingError(
                f"expected a part of the recording, which lasts {self.length_ns / SECOND:g} s, found "
                f"{begin / SECOND:g} s to {end / SECOND:g} s; correct --from and --until"
            )
        edges = {
            device: array(
                "q",
                [
                    at - begin
                    for up, down in pairs(old)
                    if up < end and down > begin
                    for at in (max(up, begin), min(down, end))
                ],
            )
            for device, old in self.edges.items()
        }
        gaps = tuple(
            (max(a, begin) - begin, min(b, end) - begin)
            for a, b in self.unknown
            if a < end and b > begin
        )
        return msgspec.structs.replace(
            self, start_unix_ns=self.start_unix_ns + begin, length_ns=end - begin, edges=edges, unknown=gaps
        )  # fmt: skip


def pairs(edges: array[int]) -> Iterator[tuple[int, int]]:
    """Intervals of a device, in order."""
    return zip(edges[::2], edges[1::2], strict=True)


class Builder:
    """Collects events in the order of their time and makes a `Recording`.

    Attributes:
        first: first and last instant that was seen; -1 before any.
        takeovers: connections that replaced one of the same name.
        orphans: downs of devices that were not up.
        setbacks: how often the clock was set, and by how much in all (ns).
    """

    def __init__(self) -> None:
        self.first = self.last = -1
        self.takeovers = self.orphans = self.setbacks = self.set_back_ns = 0
        self.broker_starts = 0
        self.groups: dict[str, str] = {}
        self._edges: dict[str, array[int]] = {}
        self._open: dict[str, int] = {}
        self._unknown: list[tuple[int, int]] = []
        self._count = self._shift = 0

    def moment(self, at: int) -> int:
        """Note that time has come to `at`; returns the instant to go on with.

        A clock that goes back by more than `BACK_TOLERATED_NS`, or ahead by more than
        `FORWARD_TOLERATED_NS`, is taken for one that was set: what follows is shifted so that time goes on.
        """
        at += self._shift
        ahead = at - self.last
        if ahead > FORWARD_TOLERATED_NS and self.last >= 0:
            self._shift -= ahead
            self.setbacks += 1
            self.set_back_ns += ahead
            return self.last
        if ahead >= 0:
            if self.first < 0:
                self.first = at
            self.last = at
            return at
        back = self.last - at
        if back > BACK_TOLERATED_NS:
            self._shift += back
            self.setbacks += 1
            self.set_back_ns += back
        return self.last

    def up(self, device: str, at: int) -> None:
        """A device has a connection from now on."""
        if device in self._open:
            self.takeovers += 1
            return
        if device not in self._edges:
            self._know(device)
        self._open[device] = at

    def down(self, device: str, at: int) -> None:
        """It has none from now on."""
        since = self._open.pop(device, None)
        if since is None:
            if device in self._edges or self.broker_starts:
                self.orphans += 1
                return
            self._know(device)
            since = -1
        self._add(device, since, at)

    def all_down(self, at: int) -> None:
        """Nobody has one from now on: the broker ended."""
        for device, since in self._open.items():
            self._add(device, since, at)
        self._open.clear()

    def interval(self, device: str, up: int | None, down: int | None) -> None:
        """A session as a whole; None: since before, or until after, the recording."""
        if device not in self._edges:
            self._know(device)
        for at in (up, down):
            if at is not None:
                self.first = at if self.first < 0 else min(self.first, at)
                self.last = max(self.last, at)
        self._add(device, -1 if up is None else up, NEVER_ENDS if down is None else down)

    def nobody_looked(self, begin: int, end: int) -> None:
        """Mark a time of which nothing is known."""
        if end > begin:
            self._unknown.append((begin, end))

    def is_up(self, device: str) -> bool:
        """Whether it is connected now, as far as is known."""
        return device in self._open

    @property
    def from_the_start(self) -> int:
        """How many were up when the recording began, as far as is known."""
        begun = self.first
        ended = sum(bool(edges) and edges[0] <= begun for edges in self._edges.values())
        return ended + sum(
            since <= begun and not self._edges[device] for device, since in self._open.items()
        )

    def _know(self, device: str) -> None:
        if len(self._edges) >= DEVICES_MAX:
            raise RecordingError(
                f"expected at most {DEVICES_MAX} devices, found more: choose with --only or --ignore"
            )
        self._edges[device] = array("q")

    def _add(self, device: str, up: int, down: int) -> None:
        if down <= up:
            return  # shorter than the log can tell
        self._count += 2
        if self._count > EDGES_MAX:
            raise RecordingError(
                f"expected at most {EDGES_MAX // 2} sessions, found more: import a part of it"
            )
        self._edges[device].extend((up, down))

    def finish(
        self, source: str = "", *, start: int | None = None, end: int | None = None
    ) -> Recording:
        """Make the recording; who is up, is up to the end of it.

        Raises:
            RecordingError: there is nothing in it.
        """
        start = self.first if start is None else start
        end = self.last if end is None else end
        if self.first < 0 or end <= start or not self._edges:
            raise RecordingError(
                "expected devices that come and go over some time, found "
                f"{len(self._edges)} devices and {max(0, end - start) / SECOND:g} s"
            )
        if end - start > LENGTH_NS_MAX:
            raise RecordingError(
                f"expected a recording of at most {LENGTH_NS_MAX // SECOND} s (three years), found "
                f"{(end - start) // SECOND} s: look for a stamp that is wrong"
            )
        for device, since in self._open.items():
            self._add(device, since, end)
        self._open.clear()
        edges = {device: _merged(old, start, end) for device, old in sorted(self._edges.items())}
        gaps = tuple((max(a, start) - start, min(b, end) - start) for a, b in self._unknown)
        return Recording(start, end - start, edges, dict(self.groups), gaps, source)


NEVER_ENDS: Final = 2**62


def _merged(old: array[int], start: int, end: int) -> array[int]:
    """Intervals sorted, joined where they touch, counted from the start and within the recording."""
    out = array("q")
    for up, down in sorted(pairs(old)):
        begin, stop = max(up, start) - start, min(down, end) - start
        if stop <= begin:
            continue
        if out and begin <= out[-1]:
            out[-1] = max(out[-1], stop)
        else:
            out.extend((begin, stop))
    return out
