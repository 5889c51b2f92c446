"""What crosses the broker's boundary: messages, CONNECT, CONNACK and reason codes.

Decides the vocabulary, which is MQTT 5's (https://docs.oasis-open.org/mqtt/mqtt/v5.0/, section
numbers are of that document) minus what the protocol here does not use: QoS 2, subscription
identifiers, topic aliases, AUTH. Leaves out encodings: nothing is serialised in the world, only
sizes are computed.

Instants and intervals are integer nanoseconds; an expiry is an absolute instant, because the
remaining interval that MQTT sends (3.3.2.3.3) is that instant minus now.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, Protocol

import msgspec

RECEIVE_MAXIMUM_DEFAULT: Final = 65_535
"""A client that names no receive maximum gets this one (3.1.2.11.3)."""


class ReasonCode(IntEnum):
    """Reason codes of MQTT 5 (2.4) that this broker says."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED_ERROR = 0x80
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_SHUTTING_DOWN = 0x8B
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    QOS_NOT_SUPPORTED = 0x9B


class Access(StrEnum):
    """What a client wants to do with a topic or filter."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class Message(msgspec.Struct, frozen=True, gc=False):
    """An application message (3.3); copies share one object.

    `qos` is the publisher's (0 or 1): a copy's own QoS shows in the packet identifier it is
    delivered with. `retain` is as the receiver sees it: set only on a replay from the retained
    store (retain as published = 0, 3.8.3.1). `kind` is a small word for the ledger, such as
    ``want``; it does not travel.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expires_at_ns: int | None = None
    kind: str = "app"


class Will(msgspec.Struct, frozen=True, gc=False):
    """The message that speaks for a client which vanished (3.1.2.5).

    `delay_ns` is the will delay interval (3.1.3.2.2); `expiry_ns` is the message expiry interval,
    which starts when the will is published (3.1.3.2.4).
    """

    message: Message
    delay_ns: int = 0
    expiry_ns: int | None = None


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """A CONNECT (3.1). Keep-alive is the host's business: it reports the lost connection."""

    client_id: str
    clean_start: bool = False
    session_expiry_ns: int = 0
    receive_maximum: int = RECEIVE_MAXIMUM_DEFAULT
    packet_bytes_max: int | None = None
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None


class Connack(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's answer (3.2); a refused client has no session and no outlet."""

    reason: ReasonCode
    session_present: bool = False
    session_expiry_ns: int = 0
    packet_bytes_max: int = 0

    @property
    def accepted(self) -> bool:
        """Whether the connection stands."""
        return self.reason is ReasonCode.SUCCESS


class Outlet(Protocol):
    """The broker's way to one connected client; the world's network implements it.

    The broker computes no latency and holds no socket: what it hands over has left it. An outlet
    must not call back into the broker before the broker's call has returned; it schedules.
    """

    def accepted(self, now: int, connack: Connack) -> None:
        """Send the CONNACK; it comes before the first `deliver` (MQTT-3.2.0-1)."""
        ...

    def deliver(self, now: int, packet_id: int, message: Message, dup: bool) -> None:  # noqa: FBT001 - the wire has this flag
        """Send one copy; `packet_id` 0 means QoS 0, any other awaits `Broker.puback`."""
        ...

    def closed(self, now: int, reason: ReasonCode) -> None:
        """Learn that the broker ended the connection; nothing follows."""
        ...


class Authenticate(Protocol):
    """Decides whether a CONNECT may stand."""

    def __call__(self, connect: Connect) -> ReasonCode:
        """Return SUCCESS or the reason to refuse with."""
        ...


class Authorize(Protocol):
    """Decides whether a client may use a topic (publish) or filter (subscribe)."""

    def __call__(self, username: str, topic: str, access: Access) -> bool:
        """Return True to allow; `username` is the client identifier where none was given."""
        ...


def packet_bytes(message: Message) -> int:
    """Compute the size of the PUBLISH that carries the message (3.3): fixed header to payload."""
    properties = 5 if message.expires_at_ns is not None else 0
    topic = message.topic
    topic_bytes = len(topic) if topic.isascii() else len(topic.encode())
    rest = 2 + topic_bytes + (2 if message.qos else 0) + 1 + properties
    rest += len(message.payload)
    length_bytes = 1 if rest < 128 else 2 if rest < 16_384 else 3 if rest < 2_097_152 else 4
    return 1 + length_bytes + rest
