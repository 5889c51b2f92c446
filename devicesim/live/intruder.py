"""A second client under the id of a device, against a real broker.

Decides nothing: it connects, reads what is sent to somebody else, and goes. Leaves out when (the timeline)
and what the owner makes of it (its agent).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from devicesdk.aio.port import REASON_NORMAL, Dial, Granted, Inbound, MqttPort
from devicesdk.wire.timebase import SECOND
from devicesim.world.broker_host import INTRUDER_EXPIRY_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicesdk.aio.port import Listener

CONNECT_TIMEOUT_S: Final = 5.0


class LiveIntruder:
    """One second client; the `Listener` of its port, to which it never says anything.

    Args:
        client_id: whose session it takes.
        speed: scenario seconds per real one.
        make: opens a port for a listener.
    """

    def __init__(self, client_id: str, speed: float, make: Callable[[Listener], MqttPort]) -> None:
        self._client_id, self._speed = client_id, speed
        self._port = make(self)
        self.overheard = 0
        """Messages that were meant for somebody else; those of QoS 1 are left unacknowledged."""

    def come(self) -> None:
        """Connect."""
        self._port.connect(
            Dial(
                client_id=self._client_id,
                session_expiry_s=ceil(INTRUDER_EXPIRY_NS / SECOND / self._speed),
                timeout_s=CONNECT_TIMEOUT_S,
                manual_ack=True,
            )
        )

    def leave(self, now: int) -> None:
        """Go with a goodbye, if it is connected still; give up, if it is connecting."""
        del now
        if self._port.connected:
            self._port.disconnect(REASON_NORMAL)
        else:
            self._port.abort()

    def on_connected(self, granted: Granted) -> None:
        """CONNACK: the session is taken."""

    def on_connect_failed(self, reason: str) -> None:
        """No broker: nothing is taken."""

    def on_disconnected(self, reason: str) -> None:
        """The owner is back."""

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """Never: it subscribes to nothing."""

    def on_puback(self, token: int, code: int) -> None:
        """Never: it publishes nothing."""

    def on_message(self, message: Inbound) -> None:
        """Something for the owner."""
        del message
        self.overheard += 1
