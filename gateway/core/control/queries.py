"""Asking devices to report: how the gateway finds out again what it may have missed.

Decides who is asked and how fast. Leaves out what they answer. Brokers drop silently past their queue
limit, so after a gap the fleet is asked page by page, at a bounded rate, and never rebuilt from one
wildcard subscription.

Rules: a device is in the queue once; pages of `report_page_devices` at least `report_interval_ns`
apart; besides, a connected device with an open want that was not heard for `stale_ns` is asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Control, ControlVerb
from gateway.core import notes
from gateway.core.control.outbox import Batch, Outbox
from gateway.core.control.twins import Twins
from gateway.core.effects import Note
from gateway.core.limits import ControlLimits

_REPORT = codec.encode(Control(verb=ControlVerb.REPORT))


class Queries:
    """The queue of devices to be asked.

    Args:
        limits: page size, interval, staleness.
    """

    __slots__ = ("_limits", "_next_ns", "_outbox", "_queue", "_sweep_ns", "_topics", "_twins")

    def __init__(self, limits: ControlLimits, twins: Twins, outbox: Outbox) -> None:
        self._limits = limits
        self._twins = twins
        self._outbox = outbox
        self._topics = topics.Topics(limits.root)
        self._queue: dict[str, None] = {}
        self._next_ns = 0
        self._sweep_ns: int | None = None

    @property
    def waiting(self) -> int:
        """How many devices are still to be asked."""
        return len(self._queue)

    def ask(self, devices: Iterable[str], at: int) -> None:
        """Put devices into the queue."""
        self._queue.update(dict.fromkeys(devices))
        self._next_ns = max(self._next_ns, at)

    def forget(self) -> None:
        """The broker is gone: whoever was to be asked is asked when it is back."""
        self._queue.clear()

    def watch(self, at: int) -> None:
        """There are open wants: look for stale twins from now on."""
        if self._sweep_ns is None:
            self._sweep_ns = at + self._limits.sweep_interval_ns

    def due(self) -> tuple[int, str] | None:
        """When the next page or sweep is due."""
        if self._queue and (self._sweep_ns is None or self._next_ns <= self._sweep_ns):
            return self._next_ns, "next page of queries"
        return None if self._sweep_ns is None else (self._sweep_ns, "look for stale twins")

    def run(self, at: int, out: Batch) -> None:
        """Do what is due."""
        if self._sweep_ns is not None and at >= self._sweep_ns:
            self._sweep(at)
        if self._queue and at >= self._next_ns:
            self._page(at, out)

    def _page(self, at: int, out: Batch) -> None:
        queue, limits = self._queue, self._limits
        page = [device for device, _ in zip(queue, range(limits.report_page_devices), strict=False)]
        for device in page:
            del queue[device]
            topic = self._topics.device(device, topics.CTL)
            self._outbox.ask(topic, topics.CTL, _REPORT, limits.report_expiry_ns, out)
        out.append(Note(notes.QUERY, "", len(page), len(queue)))
        self._next_ns = at + limits.report_interval_ns

    def _sweep(self, at: int) -> None:
        """Find the stale; without any open want there is no next sweep."""
        before, any_open, stale = at - self._limits.stale_ns, False, []
        for name, twin in self._twins.by_name.items():
            if twin.wants_open():
                any_open = True
                if twin.presence.online and twin.heard_ns < before:
                    stale.append(name)
        self._sweep_ns = at + self._limits.sweep_interval_ns if any_open else None
        if stale:
            self.ask(stale, at)
