"""A broker of one device in memory, behind the port that hosts know.

It grants, acknowledges and delivers on the loop's next turn, keeps retained messages, answers chunk
requests out of bundles, and can lose the connection or refuse what a script tells it to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from devicesdk.aio.port import Dial, Granted, Inbound, Listener
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Event, Have, Link, Telemetry
from devicesdk.wire.topics import Topics
from tests_kit import agent_bundles

_TYPES: dict[str, Any] = {"have": Have, "link": Link, "ev": Event, "tel": Telemetry}


class MemoryPort:
    """A `MqttPort` with its broker inside."""

    def __init__(self, listener: Listener, *bundles: agent_bundles.Bundle) -> None:
        self.listener, self.gateway = listener, agent_bundles.Gateway(*bundles)
        self.topics, self.loop = Topics(), asyncio.get_running_loop()
        self.dials: list[Dial] = []
        self.farewells: list[int] = []
        self.filters: tuple[str, ...] = ()
        self.retained: dict[str, bytes] = {}
        self.published: list[tuple[str, bytes, int, bool]] = []
        self.said: dict[str, list[Any]] = {kind: [] for kind in _TYPES}
        self.refuse_connects: list[str] = []
        self.puback_code = 0
        self.raise_on_publish: Exception | None = None
        self.answers = True
        self.up = False
        self.news = asyncio.Event()

    connected = property(lambda self: self.up)
    unsent_bytes = 0

    def connect(self, dial: Dial) -> None:
        assert not self.up, "connected twice"
        self.dials.append(dial)
        if self.refuse_connects:
            self._soon(self.listener.on_connect_failed, self.refuse_connects.pop())
        else:
            self._soon(self._granted)

    def _granted(self) -> None:
        self.up = True
        self.listener.on_connected(Granted(session_present=False))

    def subscribe(self, filters: tuple[str, ...], qos: int = 1) -> None:
        self.filters = filters
        self._soon(self.listener.on_suback, (qos,) * len(filters))
        for topic, payload in self.retained.items():
            self._deliver(topic, payload, retain=True)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        token: int = 0,
        expiry_s: int = 0,
    ) -> None:
        if self.raise_on_publish is not None:
            error, self.raise_on_publish = self.raise_on_publish, None
            raise error
        kind, device = self.topics.parse(topic)
        self.published.append((topic, payload, qos, retain))
        if kind in self.said:
            self.said[kind].append(codec.decode(_TYPES[kind], payload))
        if qos:
            self._soon(self.listener.on_puback, token, self.puback_code)
        if kind == topics.GET and self.answers:
            for frame in self.gateway.answer(payload):
                self._deliver(self.topics.device(device, "dat"), frame, retain=False)
        self.news.set()

    def acknowledge(self, packet_id: int) -> None:
        raise AssertionError("a device does not acknowledge by hand")

    def disconnect(self, reason: int = 0) -> None:
        self.farewells.append(reason)
        self.up = False

    def abort(self) -> None:
        self.up = False

    def lose(self, reason: str) -> None:
        """The broker is gone."""
        self.up = False
        self.listener.on_disconnected(reason)

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Somebody publishes."""
        if retain:
            self.retained[topic] = payload
        if self.up:
            self._deliver(topic, payload, retain=retain)

    def _deliver(self, topic: str, payload: bytes, *, retain: bool) -> None:
        self._soon(self.listener.on_message, Inbound(topic, payload, 1, retain, 0))

    def _soon(self, call: Callable[..., None], *arguments: Any) -> None:
        self.loop.call_soon(call, *arguments)

    async def until(
        self, what: str, holds: Callable[[MemoryPort], Any], timeout_s: float = 60
    ) -> None:
        """Wait until something that is published makes `holds` true."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds(self):
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            last = {kind: said[-1] for kind, said in self.said.items() if said}
            raise AssertionError(
                f"expected {what} in {timeout_s} s, found at last {last}"
            ) from None
