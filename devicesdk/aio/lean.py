"""The lean endpoint: a port for thousands of MQTT 5 clients in one process.

Decides how a socket is opened (TCP, TLS or Unix, from which address) and which connection is the
current one. Leaves out the conversation (lean_connection.py), the window (lean_window.py) and bytes
(lean_packets.py). Made for uvloop, runs on any asyncio loop.

Rules: those of port.py. A connection once let go of can say nothing any more, whatever its socket
still does.
"""

from __future__ import annotations

import asyncio

from devicesdk.aio.lean_connection import Connection, trouble_in_words
from devicesdk.aio.lean_packets import connect_packet
from devicesdk.aio.port import REASON_NORMAL, Dial, Endpoint, Listener


class LeanPort:
    """One MQTT 5 client; a `MqttPort`.

    Args:
        endpoint: where the broker is.
        listener: who hears what comes of the calls.
        loop: on which all of it happens; None takes the running one.
    """

    __slots__ = ("_connection", "_endpoint", "_epoch", "_listener", "_loop")

    def __init__(
        self, endpoint: Endpoint, listener: Listener, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._endpoint, self._listener = endpoint, listener
        self._loop = loop or asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._epoch = 0

    @property
    def connected(self) -> bool:
        """Between `on_connected` and the end of that connection."""
        return self._connection is not None and self._connection.up

    @property
    def unsent_bytes(self) -> int:
        """Bytes handed over and not yet taken by the operating system."""
        return 0 if self._connection is None else self._connection.unsent_bytes

    def connect(self, dial: Dial) -> None:
        """Start to connect.

        Raises:
            RuntimeError: already connected or connecting.
            ValueError: the dial or the endpoint cannot be put into a CONNECT.
        """
        if self._connection is not None:
            raise RuntimeError(
                f"expected a port without a connection, found {dial.client_id} connected or "
                "connecting: disconnect or abort first"
            )
        hello = connect_packet(self._endpoint.now(), dial)
        connection = Connection(self, self._listener, self._loop, dial, hello, self._epoch)
        self._epoch += 1
        self._connection = connection
        connection.opening = self._loop.create_task(self._open(connection))

    def subscribe(self, filters: tuple[str, ...], qos: int = 1) -> None:
        """Send a SUBSCRIBE; nothing while not connected.

        Raises:
            PortFullError: too many are unanswered.
            ValueError: not a topic filter.
        """
        if self._connection is not None:
            self._connection.subscribe(filters, qos)

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
        if self._connection is not None:
            self._connection.publish(topic, payload, qos, token, expiry_s, retain=retain)

    def acknowledge(self, packet_id: int) -> None:
        """Send the PUBACK of a message received with `manual_ack`."""
        if self._connection is not None:
            self._connection.acknowledge(packet_id)

    def disconnect(self, reason: int = REASON_NORMAL) -> None:
        """Send DISCONNECT and close; no listener call follows."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect(reason)

    def abort(self) -> None:
        """Close the socket without a word; no listener call follows."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def release(self) -> None:
        """The connection ended by itself (the connection says this, not the host)."""
        self._connection = None

    async def _open(self, connection: Connection) -> None:
        """Open the socket; the connection's own timer bounds the time, by cancelling this."""
        at = self._endpoint
        try:
            if at.unix is not None:
                await self._loop.create_unix_connection(lambda: connection, at.unix)
            else:
                await self._loop.create_connection(
                    lambda: connection, at.host, at.port, ssl=at.tls, local_addr=at.source
                )
        except Exception as error:  # noqa: BLE001 - whatever it was: it is told, and the host decides
            connection.opening = None
            connection.fail(f"cannot connect: {trouble_in_words(error)}")
        else:
            connection.opening = None
