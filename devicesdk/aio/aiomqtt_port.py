"""The port over aiomqtt 2.5: for the control plane and the single real device.

Decides which session is the current one. Leaves out the conversation (aiomqtt_session.py) and what
paho must be asked (aiomqtt_hooks.py). Slower than the lean endpoint (a fifth of its throughput, ten
times its memory) and built on code that many others run.

What differs from lean.py, within port.py: publishes of both QoS wait in one queue of
`QUEUE_MESSAGES_MAX`, in order; `unsent_bytes` counts QoS 1 payloads until they are acknowledged;
`Inbound.dup` is always False, because aiomqtt does not tell it; a dial that was given up may hold
back the next one until its timeout; an ended port takes some loop turns to close its socket.
"""

from __future__ import annotations

import asyncio

from devicesdk.aio.aiomqtt_session import Outgoing, Session
from devicesdk.aio.port import REASON_NORMAL, Dial, Endpoint, Listener


class AiomqttPort:
    """One MQTT 5 client; a `MqttPort`.

    Args:
        endpoint: where the broker is.
        listener: who hears what comes of the calls.
        loop: on which all of it happens; None takes the running one.

    Raises:
        RuntimeError: the loop is not the running one, which is all that aiomqtt can use.
    """

    def __init__(
        self, endpoint: Endpoint, listener: Listener, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        running = asyncio.get_running_loop()
        if loop is not None and loop is not running:
            raise RuntimeError(
                f"expected the running loop, which aiomqtt takes, found {loop!r}: "
                "make the port on its own loop"
            )
        self._endpoint, self._listener = endpoint, listener
        self._session: Session | None = None
        self._last: asyncio.Task[None] | None = None
        self._epoch = 0

    @property
    def connected(self) -> bool:
        """Between `on_connected` and the end of that connection."""
        return self._session is not None and self._session.up

    @property
    def unsent_bytes(self) -> int:
        """Payload bytes handed over and not known to be taken."""
        return 0 if self._session is None else self._session.unsent_bytes

    def connect(self, dial: Dial) -> None:
        """Start to connect.

        Raises:
            RuntimeError: already connected or connecting.
            ValueError: the dial or the endpoint cannot be put into a CONNECT.
        """
        if self._session is not None:
            raise RuntimeError(
                f"expected a port without a connection, found {dial.client_id} connected or "
                "connecting: disconnect or abort first"
            )
        self._session = Session(
            self, self._listener, self._endpoint.now(), dial, self._epoch, self._last
        )
        self._last = self._session.task
        self._epoch += 1

    def subscribe(self, filters: tuple[str, ...], qos: int = 1) -> None:
        """Send a SUBSCRIBE; nothing while not connected.

        Raises:
            ValueError: not a topic filter.
        """
        if self._session is not None:
            self._session.subscribe(filters, qos)

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
        """Send a PUBLISH; nothing while not connected.

        Raises:
            PortFullError: the queue or `UNSENT_BYTES_MAX` is exceeded; nothing was sent.
            ValueError: not a topic, or larger than the broker's maximum packet size.
        """
        if self._session is not None:
            self._session.publish(Outgoing(topic, payload, qos, retain, token, expiry_s))

    def acknowledge(self, packet_id: int) -> None:
        """Send the PUBACK of a message received with `manual_ack`."""
        if self._session is not None:
            self._session.acknowledge(packet_id)

    def disconnect(self, reason: int = REASON_NORMAL) -> None:
        """Send DISCONNECT and close; no listener call follows."""
        session, self._session = self._session, None
        if session is not None:
            session.end(reason)

    def abort(self) -> None:
        """Close the socket without a word; no listener call follows."""
        session, self._session = self._session, None
        if session is not None:
            session.end(None)

    def release(self) -> None:
        """The session ended by itself (the session says this, not the host)."""
        self._session = None
