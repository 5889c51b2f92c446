"""One of the gateway's connections to its broker: kept up, subscribed, and told apart.

Decides when to connect again (back-off), what counts as up (connected, and every filter granted) and
when a connection that looks alive is given up (no SUBACK in time, a refusal). Leaves out what is said:
the runtime publishes through `port` and hears through `Ears`.

Rules: `plane_up` and `plane_down` alternate; each connection has an `epoch` of its own, because packet
identifiers mean nothing in the next one; a session that the broker kept is not subscribed again by the
same process, or it would send every retained message once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from devicesdk.aio.clock import Clock
from devicesdk.aio.port import REFUSED_FROM, Dial, Granted, Inbound, Listener, MqttPort
from devicesdk.wire.timebase import SECOND
from gateway.ports import Counters
from gateway.runtime.backoff import Backoff
from gateway.runtime.logs import say

MakePort = Callable[[Listener], MqttPort]


class Ears(Protocol):
    """Who hears what happens on a plane."""

    def plane_up(self, plane: Plane) -> None:
        """Connected and subscribed."""

    def plane_down(self, plane: Plane, reason: str) -> None:
        """No longer so."""

    def plane_message(self, message: Inbound) -> None:
        """A message arrived."""

    def plane_puback(self, plane: Plane, token: int, code: int) -> None:
        """The broker answered a publish."""


class Plane:
    """One connection, kept up until `close` or `abort`.

    Args:
        name: for the log.
        make: makes the port, once.
        dial: how to connect.
        filters: what to subscribe with QoS 1; none means that it only publishes.
        ears: who hears.
        clock: paces the back-off.
        backoff: its delays.
        counters: where connects are counted.
        suback_s_max: patience, real seconds.
        passing: filters to subscribe with QoS 0: what a broker should not keep for us while we are
            away, because whoever said it says it again.
    """

    def __init__(
        self,
        name: str,
        make: MakePort,
        dial: Dial,
        filters: tuple[str, ...],
        ears: Ears,
        clock: Clock,
        backoff: Backoff,
        counters: Counters,
        suback_s_max: float,
        passing: tuple[str, ...] = (),
    ) -> None:
        self.name, self._dial, self._ears = name, dial, ears
        self._clock, self._backoff, self._counters = clock, backoff, counters
        self._suback_s_max = suback_s_max
        self._wishes = tuple(wish for wish in ((filters, 1), (passing, 0)) if wish[0])
        self._asked: deque[tuple[str, ...]] = deque()
        """Filters of the SUBSCRIBEs that were not answered yet; answers come in order."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._open = False
        self._subscribed = False
        self._since_ns = 0
        self.up = False
        self.session_present = False
        self.epoch = 0
        """Number of the current or last connection."""
        self.port = make(self)

    def open(self) -> None:
        """Connect, and keep at it."""
        self._open = True
        self._connect()

    def close(self) -> None:
        """Say goodbye and stay away; nobody is told."""
        self._end()
        self.port.disconnect()

    def abort(self) -> None:
        """Drop the socket without a word and stay away, as a crash does; nobody is told."""
        self._end()
        self.port.abort()

    def give_up(self, reason: str) -> None:
        """End a connection that is of no use and try again later."""
        self.port.abort()
        self._lost(reason)

    # -- the port's listener --------------------------------------------------------------------

    def on_connected(self, granted: Granted) -> None:
        """Listener: subscribe, unless the broker still has what this process subscribed."""
        self.epoch += 1
        self._since_ns = self._clock.now()
        self._counters.connects += 1
        self.session_present = granted.session_present
        if not self._wishes or (self._subscribed and granted.session_present):
            self._is_up()
            return
        self._subscribed = False
        self._arm(self._suback_s_max, lambda: self.give_up("no SUBACK in time"))
        self._asked = deque(filters for filters, _ in self._wishes)
        for filters, qos in self._wishes:
            self.port.subscribe(filters, qos)

    def on_connect_failed(self, reason: str) -> None:
        """Listener: try again later."""
        self._counters.connect_failures += 1
        self._retry("connect failed", reason)

    def on_disconnected(self, reason: str) -> None:
        """Listener: the connection is gone."""
        self._lost(reason)

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """Listener: every filter must have been granted."""
        if not self._asked:
            return
        asked = self._asked.popleft()
        refused = [
            f"{name} ({code:#04x})"
            for name, code in zip(asked, codes, strict=False)
            if code >= REFUSED_FROM
        ]
        if refused or len(codes) != len(asked):
            say(logging.ERROR, "subscription refused", plane=self.name, filters=" ".join(refused),
                hint="the broker's ACL must let the gateway read them")  # fmt: skip
            self.give_up("subscription refused")
            return
        if not self._asked:
            self._subscribed = True
            self._is_up()

    def on_puback(self, token: int, code: int) -> None:
        """Listener: an acknowledgement, or a refusal."""
        self._ears.plane_puback(self, token, code)

    def on_message(self, message: Inbound) -> None:
        """Listener: a message."""
        self._ears.plane_message(message)

    # -- inside ---------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._timer = None
        self.port.connect(self._dial)

    def _is_up(self) -> None:
        self._disarm()
        self.up = True
        say(logging.INFO, "connected", plane=self.name, session_present=self.session_present)
        self._ears.plane_up(self)

    def _lost(self, reason: str) -> None:
        was_up, self.up = self.up, False
        self._asked.clear()
        self._counters.disconnects += 1
        self._backoff.ended(self._clock.now() - self._since_ns)
        self._retry("disconnected", reason)
        if was_up:
            self._ears.plane_down(self, reason)

    def _retry(self, event: str, reason: str) -> None:
        delay_ns = self._backoff.next()
        say(logging.WARNING, event, plane=self.name, reason=reason, retry_s=delay_ns / SECOND)
        if self._open:
            self._arm(self._clock.wait_s(self._clock.now() + delay_ns), self._connect)

    def _end(self) -> None:
        self._open = self.up = False
        self._disarm()

    def _arm(self, delay_s: float, then: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._loop.call_later(delay_s, then)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
