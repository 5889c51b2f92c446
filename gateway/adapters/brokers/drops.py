"""An ear on the broker's own count of messages it dropped: its queues ran over, and nobody was told.

Decides what is subscribed and that a lost connection is tried again at a steady pace. Leaves out the
alarm (a rule of Prometheus') and the client library (a `MqttPort` is made by whoever asks).

Rules: a broker that does not publish ``$SYS`` leaves the count unknown, never zero; whatever goes
wrong here disturbs nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from devicesdk.aio.port import Dial, Granted, Inbound, Listener, MqttPort
from gateway.adapters.brokers.acl import MONITOR

TOPIC: Final = "$SYS/broker/publish/messages/dropped"
RETRY_S: Final = 30.0
KEEPALIVE_S: Final = 60


class DropWatch:
    """Listens to `TOPIC` while it is open.

    Args:
        make: makes the port, once; its user must be allowed to read ``$SYS`` (acl.py: gateway-monitor).
        client_id: no other client's.
    """

    def __init__(self, make: Callable[[Listener], MqttPort], client_id: str = MONITOR) -> None:
        self._port = make(self)
        self._dial = Dial(client_id=client_id, keepalive_s=KEEPALIVE_S, clean_start=True)
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._open = False
        self.dropped: int | None = None
        """The broker's count since it started; None when it did not say."""

    def open(self) -> None:
        """Connect, and keep at it."""
        self._open = True
        self._port.connect(self._dial)

    def close(self) -> None:
        """Say goodbye."""
        self._open = False
        if self._again:
            self._again.cancel()
        self._port.disconnect()

    def on_connected(self, granted: Granted) -> None:
        """Listener."""
        del granted
        self._port.subscribe((TOPIC,), 0)

    def on_connect_failed(self, reason: str) -> None:
        """Listener."""
        self._later(reason)

    def on_disconnected(self, reason: str) -> None:
        """Listener."""
        self._later(reason)

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """Listener: a refusal leaves the count unknown."""

    def on_puback(self, token: int, code: int) -> None:
        """Listener: nothing is published."""

    def on_message(self, message: Inbound) -> None:
        """Listener."""
        if message.topic == TOPIC and message.payload.isdigit():
            self.dropped = int(message.payload)

    def _later(self, _reason: str) -> None:
        if self._open:
            self._again = self._loop.call_later(RETRY_S, self._port.connect, self._dial)
