"""What a host and an MQTT client library say to each other: one port, several adapters.

Decides the calls and their order. Leaves out every library (lean.py, aiomqtt_port.py), what is sent
and when to try again: the state machines decide that. No call waits: each returns at once, and what
comes of it is told to the `Listener` later, on the same event loop.

Rules: each `connect` is answered by exactly one of `on_connected` and `on_connect_failed`, unless
`disconnect` or `abort` comes first; each `on_connected` by exactly one `on_disconnected`, unless the
host itself ended the connection; nothing of an ended connection is told afterwards. A port can be
connected again when it has said that it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLContext
from typing import Final, Protocol

import msgspec

REASON_NORMAL: Final = 0x00
REASON_WITH_WILL: Final = 0x04
"""Disconnect so that the will is published (MQTT 5, 3.14.2.1)."""
NOBODY: Final = 0x10
"""MQTT 5, 3.4.2.1: no matching subscribers; the broker kept the message for nobody."""
REFUSED_FROM: Final = 0x80
"""Reason codes from here on are errors."""
QUEUE_MESSAGES_MAX: Final = 10_000
UNSENT_BYTES_MAX: Final = 64 * 1024 * 1024


class PortFullError(RuntimeError):
    """A port was handed more than its bounds allow: say less, or wait for acknowledgements."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a broker listens, and who we are to it."""

    host: str = "127.0.0.1"
    port: int = 1883
    tls: SSLContext | None = None
    username: str | None = None
    password: str | None = None
    source: tuple[str, int] | None = None
    """Local address to connect from; None lets the kernel choose."""
    unix: str | None = None
    """Path of a Unix socket instead of host and port."""
    refresh: Callable[[Endpoint], Endpoint] | None = None
    """Called before each connect: gives credentials of that moment."""

    def now(self) -> Endpoint:
        """The endpoint as it is to be used for this connect."""
        return self if self.refresh is None else self.refresh(self)


class Will(msgspec.Struct, frozen=True):
    """What the broker publishes for a client that it lost; QoS 1."""

    topic: str
    payload: bytes
    retain: bool = True


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect; seconds, because MQTT counts in them."""

    client_id: str
    keepalive_s: int = 60
    session_expiry_s: int = 0
    clean_start: bool = False
    receive_maximum: int = 100
    packet_bytes_max: int = 262_144
    timeout_s: float = 20.0
    """From the first SYN to the CONNACK; then `on_connect_failed("timeout")`."""
    will: Will | None = None
    manual_ack: bool = False
    """Whether QoS 1 messages are acknowledged by `acknowledge` only; else after `on_message` returns."""
    proven_acks: bool = False
    """Whether `on_puback` comes only when the broker answered a ping sent after the PUBACK (proof.py): then a
    mosquitto that saves at every change has saved the message, and no kill -9 takes it back."""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What the CONNACK granted; absent properties have the standard's defaults."""

    session_present: bool
    receive_maximum: int = 65_535
    packet_bytes_max: int = 268_435_460
    keepalive_s: int = 0
    """The keep-alive in force: the broker's when it named one."""


class Inbound(msgspec.Struct, frozen=True, gc=False):
    """A message that arrived."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int
    """What `acknowledge` wants, and nothing else: not the id on the wire. 0 for QoS 0."""
    dup: bool = False


class Listener(Protocol):
    """Who hears what comes of the calls; never raises into the port.

    One that has a method ``on_messages(messages: list[Inbound])`` as well hears there what one read of
    the socket brought, in order, from a port that can tell (the lean one, messages of QoS 0).
    """

    def on_connected(self, granted: Granted) -> None:
        """CONNACK with success."""

    def on_connect_failed(self, reason: str) -> None:
        """Refused, unreachable or too late; `reason` is one or a few words for people."""

    def on_disconnected(self, reason: str) -> None:
        """The connection is gone: closed, reset, taken over, silent for 1.5 keep-alives."""

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """SUBACK: a reason code for each filter, in order."""

    def on_puback(self, token: int, code: int) -> None:
        """PUBACK of the publish with this token; `code` from 0x80 on is a refusal."""

    def on_message(self, message: Inbound) -> None:
        """A message arrived."""


class MqttPort(Protocol):
    """One MQTT 5 client."""

    @property
    def connected(self) -> bool:
        """Between `on_connected` and the end of that connection."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """Bytes handed over and not yet taken by the operating system."""
        ...

    def connect(self, dial: Dial) -> None:
        """Start to connect; answered by `on_connected` or `on_connect_failed`.

        Raises:
            RuntimeError: already connected or connecting.
        """
        ...

    def subscribe(self, filters: tuple[str, ...], qos: int = 1) -> None:
        """Send a SUBSCRIBE; answered by `on_suback`, or by the end of the connection."""
        ...

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
        """Send a PUBLISH; QoS 1 is answered by `on_puback(token, ...)`.

        QoS 1 past the broker's receive maximum waits in a queue of `QUEUE_MESSAGES_MAX`. While not
        connected nothing is sent and nothing is queued: the machine says it again.

        Raises:
            PortFullError: the queue or `UNSENT_BYTES_MAX` is exceeded; nothing was sent.
            ValueError: larger than the broker's maximum packet size.
        """
        ...

    def acknowledge(self, packet_id: int) -> None:
        """Send the PUBACK of a message received with `manual_ack`; ignored once that connection ended."""
        ...

    def disconnect(self, reason: int = REASON_NORMAL) -> None:
        """Send DISCONNECT and close; no listener call follows."""
        ...

    def abort(self) -> None:
        """Close the socket without a word, as a crash does; no listener call follows."""
        ...
