"""What an agent asks of its connection, performed on this world's path.

Decides what a CONNECT carries, what talking costs the body, and which bytes count as sent. Leaves out the
path itself (path.py) and what it tells the device (device_host.py). A part of the virtual device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from devicesdk.agent import effects as ask
from devicesdk.wire import codec
from devicesdk.wire.timebase import NEVER
from devicesim.world.broker.packets import Connect, Message, Will
from devicesim.world.broker_host import ConnectRequest
from devicesim.world.ledger import DropCause

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost

HANDSHAKE_BYTES: Final = 2000
"""What the radio sends for TCP, TLS and CONNECT."""


def connect(host: DeviceHost, effect: ask.Connect, now: int) -> None:
    """Open the path, with a will."""
    shop, config = host.shop, host.parts.config
    for seen in shop.watch.attempted:
        seen(host, now)
    topic, payload = host.topics.device(host.device, "link"), codec.encode(effect.will)
    will = Message(topic, payload, 1, retain=True, kind="link")
    request = Connect(
        client_id=host.device,
        session_expiry_ns=config.session_expiry_ns,
        will=Will(message=will),
    )
    host.parts.body.message(now, HANDSHAKE_BYTES, uplink=True)
    host.path.open(now, ConnectRequest(request, config.keepalive_ns))


def disconnect(host: DeviceHost, effect: ask.Disconnect, now: int) -> None:
    """Close it."""
    host.path.close(now, DropCause.CONNECTION_LOST)
    host.went_offline(now, effect.reason)


def subscribe(host: DeviceHost, effect: ask.Subscribe, now: int) -> None:
    """Into the air if there is no connection, as a socket would."""
    connection = host.path.connection
    if connection is not None and connection.device_open:
        connection.subscribe(now, effect.filters)


def publish(host: DeviceHost, effect: ask.Publish, now: int) -> None:
    """Into the air if there is no connection; the agent's outbox keeps what matters."""
    for seen in host.shop.watch.published:
        seen(host, effect, now)
    parts, payload = host.parts, effect.payload
    nbytes = len(payload)
    parts.body.message(now, nbytes, uplink=True)
    host.acked_by = NEVER
    connection = host.path.connection
    if connection is not None and connection.device_open:
        host.bytes_up += nbytes
        kind, token = effect.kind, effect.token
        topic = parts.topic_of[kind]
        message = Message(topic, payload, 1 if token else 0, effect.retain, None, kind)
        connection.publish(now, message, token)


MESSAGES: Final[dict[type[Any], Callable[[DeviceHost, Any, int], None]]] = {
    ask.Connect: connect,
    ask.Disconnect: disconnect,
    ask.Subscribe: subscribe,
    ask.Publish: publish,
}
