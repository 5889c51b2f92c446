"""A device's way to a real broker: its link model, what faults lay over it, and a real connection.

Decides how what a port tells becomes what a path tells its station, and what the faults of the
timeline do to the sockets. Leaves out MQTT (devicesdk/aio) and the bytes under way (wire.py).

Rules: the host of the device is the very one of virtual time, and sees no difference but one: who
finds a dead link is the port, by read silence, and not the world. Durations of MQTT (keep-alive,
session expiry, timeouts) are those of the scenario divided by `speed`. How an attempt began or ended is told
of that attempt: what was due first, on a machine that is late, may have begun the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import TYPE_CHECKING, Final, Protocol, cast

from devicesdk.aio.port import (
    NOBODY,
    REASON_NORMAL,
    REASON_WITH_WILL,
    REFUSED_FROM,
    Dial,
    Endpoint,
    Granted,
    Inbound,
    Listener,
    MqttPort,
    PortFullError,
    Will,
)
from devicesdk.wire.errors import BadTopic
from devicesdk.wire.timebase import SECOND
from devicesdk.wire.topics import DAT, Topics
from devicesim.live.pacer import Pacer
from devicesim.live.wire import Wire
from devicesim.world.broker.packets import Message
from devicesim.world.broker_host import BrokerHost, ConnectRequest
from devicesim.world.connection import CLOSED, OPEN, OPENING, Connection
from devicesim.world.ledger import DOWN, UP, DropCause
from devicesim.world.path import NO_CARRIER_NOTICE_NS, Path

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.device_parts import Parts, Workshop

FRAME_HEADER_BYTES: Final = 24
CONNECT_TIMEOUT_S: Final = 20.0
MakePort = Callable[[Endpoint, Listener], MqttPort]


class Source(Protocol):
    """What faults make of downloads; attributes, because every chunk looks at them."""

    tampering: Callable[[str, bytes], bytes] | None
    """What becomes of a device's chunk."""
    silent: Callable[[str], bool] | None
    """Whether a device is left without an answer."""


class LiveConnection(Connection):
    """One attempt at a connection: what the device believes of it, and its part of the books."""

    __slots__ = ("_port", "_waiting")

    def __init__(self, path: LivePath, request: ConnectRequest, port: MqttPort) -> None:
        super().__init__(path, request, path.kernel, path.ledger)
        self._port = port
        self._waiting: dict[int, list[str]] = {}
        """Kinds of the publishes whose PUBACK has not come, by token: an agent may say it again."""

    def on_the_wire(self) -> tuple[int, int]:
        """Messages (up, down) sent and not known to have arrived."""
        return self.unacked, 0

    def publish(self, now: int, message: Message, token: int) -> None:
        """Send a message up."""
        del now
        ledger = self._ledger
        ledger.opened(UP, message.kind)
        try:
            self._port.publish(
                message.topic,
                bytes(message.payload),
                qos=message.qos,
                retain=message.retain,
                token=token,
            )
        except PortFullError:
            ledger.dropped(UP, message.kind, DropCause.QUEUE_FULL)
            return
        if token:
            self.unacked += 1
            self._waiting.setdefault(token, []).append(message.kind)
        else:
            ledger.delivered(UP, message.kind)

    def subscribe(self, now: int, filters: tuple[str, ...]) -> None:
        """Send a SUBSCRIBE (QoS 1 for each filter)."""
        del now
        self._port.subscribe(filters, 1)

    def opened(self, now: int) -> None:
        """CONNACK."""
        self.state, self.broker_open, self._opened_at = OPEN, True, now

    def settled(self, token: int, code: int) -> bool:
        """A PUBACK came; returns whether it was waited for."""
        kinds = self._waiting.get(token)
        if kinds is None:
            return False
        kind = kinds.pop()
        if not kinds:
            del self._waiting[token]
        self.unacked -= 1
        if code >= REFUSED_FROM:
            self._ledger.dropped(UP, kind, DropCause.NOT_AUTHORIZED)
        else:
            self._ledger.delivered(UP, kind)
        return True

    def end(self, cause: DropCause) -> None:
        """The device's end is closed: what was not acknowledged is lost with it, and said again."""
        self.device_open = self.broker_open = False
        self.state = CLOSED
        for kinds in self._waiting.values():
            for kind in kinds:
                self._ledger.dropped(UP, kind, cause)
        self._waiting.clear()
        self.unacked = 0


class LivePath(Path):
    """One device's attachment to a real broker; the `Listener` of its port.

    Args:
        shop: what all devices share.
        parts: what is this device's own.
        host: the device.
        pacer: real time.
        speed: scenario seconds per real one.
        source: where downloads come from, and what faults make of it.
    """

    __slots__ = (
        "_device",
        "_down",
        "_pacer",
        "_port",
        "_source",
        "_speed",
        "_topics",
        "_wire",
        "kernel",
        "ledger",
        "live",
        "strange",
    )

    def __init__(
        self,
        shop: Workshop,
        parts: Parts,
        host: DeviceHost,
        pacer: Pacer,
        speed: float,
        source: Source,
    ) -> None:
        no_broker = cast("BrokerHost", None)  # only a virtual connection asks for it
        super().__init__(shop.kernel, shop.ledger, no_broker, parts.link, parts.luck, host)
        self.kernel, self.ledger, self._topics = shop.kernel, shop.ledger, shop.topics
        self._down = shop.ledger.leg(DOWN)
        self._device, self._pacer, self._speed = parts.identity.device, pacer, speed
        self._source = source
        self._port: MqttPort = cast("MqttPort", None)
        self._wire: Wire | None = None
        self.live: LiveConnection | None = None
        self.strange = 0
        """Messages on topics that are none of this device's."""

    def attach(self, port: MqttPort, wire: Wire | None) -> None:
        """Give it its port, and the proxied wire that the port dials, if there is one."""
        self._port, self._wire = port, wire

    # -- what the station asks ------------------------------------------------------------------

    def open(self, now: int, request: ConnectRequest) -> None:
        """Try to connect."""
        old = self.live
        if old is not None and old.device_open:
            self.close(now, DropCause.CONNECTION_LOST)
        self._map_anew(now)
        self._link.reset()
        self.live = self.connection = LiveConnection(self, request, self._port)
        if not self.carrier:
            self.kernel.at(now + NO_CARRIER_NOTICE_NS, self.live.failed, "no carrier")
        elif self.overlay.reset:
            self.kernel.at(now + self.rtt_ns(now), self.live.failed, "reset")
        elif self.gates is not None and (stopped := self.gates.stops(self, now)) is not None:
            self.kernel.at(now + stopped[0], self.live.failed, stopped[1])
        else:
            self._port.connect(self._dial(request))

    def _dial(self, request: ConnectRequest) -> Dial:
        connect, will = request.connect, request.connect.will
        return Dial(
            client_id=connect.client_id,
            keepalive_s=max(1, round(request.keepalive_ns / SECOND / self._speed)),
            session_expiry_s=ceil(connect.session_expiry_ns / SECOND / self._speed),
            clean_start=connect.clean_start,
            timeout_s=max(1.0, CONNECT_TIMEOUT_S / self._speed),
            will=Will(will.message.topic, bytes(will.message.payload)) if will else None,
            proven_acks=True,
        )

    def close(self, now: int, cause: DropCause, *, polite: bool = False) -> None:
        """Close the device's end; the broker's end hears of it if anything can still get through."""
        del now
        live = self.live
        if live is None or not live.device_open:
            return
        live.end(cause)
        if not self.black and cause is not DropCause.POWER_OFF:
            self._port.disconnect(REASON_NORMAL if polite else REASON_WITH_WILL)
            return
        if self._wire is not None:
            self._wire.strand()
        self._port.abort()

    def on_the_wire(self) -> tuple[int, int]:
        """Messages (up, down) under way, as far as the device can know."""
        return (0, 0) if self.live is None else self.live.on_the_wire()

    def shut(self) -> None:
        """The run is over: close the socket, without a word to anybody."""
        if self.live is not None and self.live.device_open:
            self.live.end(DropCause.CONNECTION_LOST)
        self._port.abort()

    # -- what faults do -------------------------------------------------------------------------

    def _goes_black(self, now: int) -> None:
        """Nothing to do: the wire carries nothing while the path is black."""

    def _clears(self, now: int) -> None:
        if self._wire is not None:
            self._wire.clear(now)

    def _is_reset(self, now: int) -> None:
        live = self.live
        if live is None or not live.device_open:
            return
        live.end(DropCause.CONNECTION_LOST)
        if self._wire is not None:
            self._wire.reset()
        self._port.abort()
        self.station.on_disconnected(now, "reset")

    # -- what the port tells --------------------------------------------------------------------

    def on_connected(self, granted: Granted) -> None:
        """CONNACK."""
        self._pacer.tell(self._connected, self.live, granted.session_present)

    def _connected(
        self,
        now: int,
        live: LiveConnection | None,
        session_present: bool,  # noqa: FBT001 - as the station has it
    ) -> None:
        if live is not None and live is self.live and live.device_open:
            live.opened(now)
            self.station.on_connected(now, session_present)

    def on_connect_failed(self, reason: str) -> None:
        """No connection."""
        self._pacer.tell(self._failed, self.live, reason)

    def _failed(self, now: int, live: LiveConnection | None, reason: str) -> None:
        if live is not None and live is self.live and live.state == OPENING:
            live.failed(now, reason)

    def on_disconnected(self, reason: str) -> None:
        """The connection is gone."""
        self._pacer.tell(self._gone, self.live, reason)

    def _gone(self, now: int, live: LiveConnection | None, reason: str) -> None:
        if live is not None and live is self.live and live.device_open:
            if self.black and self._wire is not None:
                self._wire.strand()
            live.end(DropCause.BLACK_HOLE if self.black else DropCause.CONNECTION_LOST)
            self.station.on_disconnected(now, reason)

    def on_suback(self, codes: tuple[int, ...]) -> None:
        """SUBACK."""
        self._pacer.tell(self._subscribed, self.live, codes)

    def _subscribed(self, now: int, live: LiveConnection | None, codes: tuple[int, ...]) -> None:
        if live is not None and live is self.live and live.device_open:
            self.station.on_suback(now, codes)

    def on_puback(self, token: int, code: int) -> None:
        """PUBACK."""
        self._pacer.tell(self._acked, self.live, token, code)

    def _acked(self, now: int, live: LiveConnection | None, token: int, code: int) -> None:
        # Tokens begin anew with each boot: an acknowledgement told late must not settle another's.
        if live is not None and live is self.live and live.settled(token, code):
            if code == NOBODY:
                self.station.on_unheard(now, token)
            elif code < REFUSED_FROM:
                self.station.on_acked(now, token)
            # A refused one nobody took: the agent's timer sees to it, as on a real device.

    def on_message(self, message: Inbound) -> None:
        """A message arrived."""
        self._pacer.tell(self._heard, message)

    def on_messages(self, messages: list[Inbound]) -> None:
        """What one read brought."""
        if len(messages) == 1:
            self._pacer.tell(self._heard, messages[0])
        else:
            self._pacer.tell(self._heard_all, messages)

    def _heard(self, now: int, inbound: Inbound) -> None:
        message = self._take(inbound)
        if message is not None:
            self.station.on_message(now, message)

    def _heard_all(self, now: int, messages: list[Inbound]) -> None:
        self.station.on_messages(now, self._taken(messages))

    def _taken(self, messages: list[Inbound]) -> Iterator[Message]:
        """One by one, as they are asked for: what follows from one may end the connection of the next."""
        live = self.live
        for inbound in messages:
            if self.live is not live:
                return
            message = self._take(inbound)
            if message is not None:
                yield message

    def _take(self, inbound: Inbound) -> Message | None:
        if self.live is None or not self.live.device_open:
            return None
        try:
            kind, _ = self._topics.parse(inbound.topic)
        except BadTopic:
            self.strange += 1
            return None
        payload = inbound.payload
        source, down = self._source, self._down
        if kind == DAT:
            if source.silent is not None and source.silent(self._device):
                down.opened[kind] += 1  # as if it had never been sent
                down.dropped[kind, DropCause.SOURCE_GONE] += 1
                return None
            if source.tampering is not None:
                head, chunk = payload[:FRAME_HEADER_BYTES], payload[FRAME_HEADER_BYTES:]
                payload = head + source.tampering(self._device, chunk)
        down.opened[kind] += 1
        down.delivered[kind] += 1
        return Message(inbound.topic, payload, inbound.qos, inbound.retain, None, kind)


__all__ = ["LiveConnection", "LivePath", "MakePort", "Topics"]
