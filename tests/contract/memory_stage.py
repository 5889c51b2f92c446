"""The contract's verbs on the in-memory broker, where time is a number.

A stage writes one log per client: what it was told, in order, as short strings such as
``t/1=hello q1 dup`` or ``connack 0 present``. The bounds below are those of both brokers.
"""

from __future__ import annotations

from devicesdk.wire.timebase import NEVER, SECOND, from_seconds
from devicesim.world.broker import Broker, BrokerLimits, Connack, Connect, Message, ReasonCode, Will
from devicesim.world.ledger import Ledger

QUEUE_MAX, INFLIGHT_MAX, PACKET_BYTES_MAX = 3, 20, 2_000

Logs = dict[str, list[str]]


def spell(
    topic: str, payload: bytes, qos: int, retain: bool, dup: bool, expires: bool = False
) -> str:
    text = payload.decode()
    text = text if len(text) <= 20 else f"{len(text)} bytes"
    flags = (" retain" if retain else "") + (" dup" if dup else "")
    return f"{topic}={text} q{qos}" + flags + (" expires" if expires else "")


class MemoryClient:
    """One client of the in-memory broker: an outlet that writes a log."""

    def __init__(self, log: list[str], auto_ack: bool) -> None:
        self.log, self.auto_ack = log, auto_ack
        self.unacked: list[int] = []
        self.open = True

    def accepted(self, now: int, connack: Connack) -> None:
        self.log.append("connack 0 " + ("present" if connack.session_present else "new"))

    def deliver(self, now: int, packet_id: int, message: Message, dup: bool) -> None:
        qos = 1 if packet_id else 0
        expires = message.expires_at_ns is not None
        self.log.append(spell(message.topic, message.payload, qos, message.retain, dup, expires))
        if packet_id:
            self.unacked.append(packet_id)

    def closed(self, now: int, reason: ReasonCode) -> None:
        self.log.append(f"closed {reason:#x}")
        self.open = False


class MemoryStage:
    """The verbs on the in-memory broker; time is a number."""

    def __init__(self, queue_max: int = QUEUE_MAX) -> None:
        self.logs: Logs = {}
        self.clients: dict[str, MemoryClient] = {}
        self.now = 0
        self.ledger = Ledger()
        limits = BrokerLimits(
            queue_messages_max=queue_max,
            inflight_max=INFLIGHT_MAX,
            packet_bytes_max=PACKET_BYTES_MAX,
        )
        self.broker = Broker(self.ledger, limits)

    def connect(
        self,
        name: str,
        clean: bool = True,
        expiry_s: float = 0,
        receive_max: int = 65_535,
        packet_max: int | None = None,
        will: tuple[str, str, int, bool, int] | None = None,
        auto_ack: bool = True,
    ) -> None:
        log = self.logs.setdefault(name, [])
        wish = None
        if will is not None:
            topic, text, qos, retain, delay_s = will
            wish = Will(Message(topic, text.encode(), qos, retain), delay_ns=delay_s * SECOND)
        connect = Connect(
            client_id=name,
            clean_start=clean,
            session_expiry_ns=from_seconds(expiry_s),
            receive_maximum=receive_max,
            packet_bytes_max=packet_max,
            will=wish,
        )
        client = MemoryClient(log, auto_ack)
        connack = self.broker.connect(self.now, connect, client)
        if connack.accepted:
            self.clients[name] = client
        else:
            log.append(f"connack {connack.reason:#x}")
        self.settle()

    def subscribe(self, name: str, *filters: tuple[str, int]) -> None:
        mark = len(self.logs[name])
        codes = self.broker.subscribe(self.now, name, filters)
        # Either order is right (3.8.4); mosquitto's SUBACK comes first.
        self.logs[name].insert(mark, "suback " + ",".join(f"{code:#x}" for code in codes))
        self.settle()

    def unsubscribe(self, name: str, *filters: str) -> None:
        codes = self.broker.unsubscribe(self.now, name, filters)
        self.logs[name].append("unsuback " + ",".join(f"{code:#x}" for code in codes))
        self.settle()

    def publish(
        self,
        name: str,
        topic: str,
        text: str,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        expires = None if expiry_s is None else self.now + expiry_s * SECOND
        client = self.clients[name]
        message = Message(topic, text.encode(), qos, retain, expires)
        code = self.broker.publish(self.now, name, message)
        if qos and client.open:
            self.logs[name].append(f"puback {code:#x}")
        self.settle()

    def ack(self, name: str, count: int = 1) -> None:
        client = self.clients[name]
        given, client.unacked = client.unacked[:count], client.unacked[count:]
        for packet_id in given:
            self.broker.puback(self.now, name, packet_id)
        self.settle()

    def drop(self, name: str) -> None:
        self.clients.pop(name).open = False
        self.broker.connection_lost(self.now, name, ReasonCode.UNSPECIFIED_ERROR)
        self.settle()

    def disconnect(self, name: str, send_will: bool = False, expiry_s: int | None = None) -> None:
        self.clients.pop(name).open = False
        expiry_ns = None if expiry_s is None else expiry_s * SECOND
        self.broker.disconnect(self.now, name, send_will=send_will, session_expiry_ns=expiry_ns)
        self.settle()

    def until(self, name: str, lines: int) -> None:
        while len(self.logs[name]) < lines:
            due = self.broker.deadline()
            assert due is not None, f"{name} waits for line {lines} of its log, nothing is due"
            self.now = due[0]
            self.broker.tick(self.now)
            self.settle()

    def elapse(self, seconds: float) -> None:
        end = self.now + from_seconds(seconds)
        while (self.broker.deadline() or (NEVER,))[0] <= end:
            self.now = self.broker.deadline()[0]
            self.broker.tick(self.now)
        self.now = end
        self.settle()

    def restart(self, lose_sessions: bool) -> None:
        self.broker.restart(self.now, lose_sessions=lose_sessions)
        self.settle()

    def settle(self) -> None:
        for name, client in list(self.clients.items()):
            if not client.open:
                del self.clients[name]
            while client.open and client.auto_ack and client.unacked:
                self.broker.puback(self.now, name, client.unacked.pop(0))
        self.broker.validate()

    def close(self) -> None:
        self.broker.validate()
