"""How copies move: from a publish to windows, queues and outlets.

Decides for each copy whether it is handed over now, waits, or is dropped and why. Leaves out who is
connected (`lifecycle`) and who subscribed (`routing`).

Rules (section numbers of MQTT 5, https://docs.oasis-open.org/mqtt/mqtt/v5.0/):

- A QoS 1 copy is sent while the window has room (receive maximum, 4.9), else it queues; order is
  kept (4.6). A full queue drops the newest copy, the publisher still hears Success, and an offline
  client's copies in flight count as queued: all as mosquitto 2.0 does (`db__ready_for_queue`).
- A QoS 0 copy is sent or dropped, never queued: the client is offline, or its send buffer is full.
- An expired message is not sent (MQTT-3.3.2-5), also not again after a reconnect (as mosquitto).
- A packet above the client's maximum is skipped as if it had been sent (MQTT-3.1.2-25).
- After a reconnect, unacknowledged copies go first, in order, marked DUP, under their old packet
  identifiers (MQTT-4.4.0-1), and no more of them than the new receive maximum allows.

`Delivery.fan_out` is the hot path: it counts a broadcast's copies once, at its end.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.broker.packets import Message, ReasonCode, packet_bytes
from devicesim.world.broker.retained import RetainedStore
from devicesim.world.broker.routing import FilterNode, Routing
from devicesim.world.broker.session import PACKET_ID_MAX, Session
from devicesim.world.ledger import BROKER, DropCause, Ledger

_SUCCESS: Final = ReasonCode.SUCCESS
"""Looked up once: the member of an enumeration costs more than a copy in the hot loop."""


class Delivery:
    """Moves copies between the sessions of one broker.

    Args:
        limits: the broker's bounds.
        ledger: the world's books; the legs ``broker`` and ``retained`` are kept here.
    """

    __slots__ = ("_books", "queue_max", "queue_peak", "retained", "routing")

    def __init__(self, limits: BrokerLimits, ledger: Ledger) -> None:
        self._books = ledger.leg(BROKER)
        self.queue_max = limits.queue_messages_max
        """Copies that a session may wait for, now."""
        self.queue_peak = 0
        """Most copies that ever waited in one session's queue."""
        self.routing = Routing(limits.topic_levels_max, limits.route_cache_topics_max)
        self.retained = RetainedStore(limits.retained_messages_max, ledger)

    def publish(self, now: int, message: Message) -> ReasonCode:
        """Retain and route one message; the reason is for the publisher's PUBACK (3.4.2.1)."""
        nodes = self.routing.match(message.topic)
        if nodes is None:
            return ReasonCode.TOPIC_NAME_INVALID
        if message.expires_at_ns is not None and now >= message.expires_at_ns:
            self._lose(message, DropCause.EXPIRED)
            return ReasonCode.SUCCESS
        if message.retain:
            if not self.retained.store(message):
                self._lose(message, DropCause.QUOTA_EXCEEDED)
                return ReasonCode.QUOTA_EXCEEDED
            live = _unretained(message)
        else:
            live = message
        if nodes and self.fan_out(now, nodes, live):
            return _SUCCESS
        if not (message.retain and message.payload):
            self._lose(message, DropCause.NO_SUBSCRIBER)
        return ReasonCode.NO_MATCHING_SUBSCRIBERS

    def fan_out(  # noqa: PLR0912 - the hot loop: a call per copy would double its cost
        self, now: int, nodes: tuple[FilterNode, ...], message: Message
    ) -> int:
        """Give every subscriber of the filters a copy.

        Returns:
            The number of copies, whatever became of them.
        """
        qos = message.qos
        # Bounds the packet from above without encoding the topic; `offer` looks closer.
        bytes_most = len(message.payload) + 4 * len(message.topic) + 16
        copies = handed = 0
        for node in nodes:
            for session, granted in node.members:
                copies += 1
                if bytes_most > session.packet_bytes_max:
                    handed += self._offer(now, session, granted, message)
                elif qos and granted:
                    outlet = session.outlet
                    if session.room and outlet is not None:
                        session.room -= 1
                        packet_id = session.next_packet_id
                        inflight = session.inflight
                        if packet_id in inflight or packet_id == PACKET_ID_MAX:
                            packet_id = session.take_packet_id()
                        else:
                            session.next_packet_id = packet_id + 1
                        inflight[packet_id] = message
                        outlet.deliver(now, packet_id, message, False)
                    else:
                        self._queue(session, message)
                else:
                    outlet = session.outlet_qos0
                    if outlet is not None:
                        handed += 1
                        outlet.deliver(now, 0, message, False)
                    else:
                        self._books.dropped[message.kind, DropCause.QOS0_OFFLINE] += 1
            for group in node.groups:
                copies += 1
                handed += self._offer(now, *group.turn(), message)
        self._books.opened[message.kind] += copies
        if handed:
            self._books.delivered[message.kind] += handed
        return copies

    def replay(self, now: int, session: Session, granted: int, topic_filter: str) -> None:
        """Show a new subscription the retained messages that match it (3.8.4)."""
        for message in self.retained.matching(now, topic_filter):
            self._books.opened[message.kind] += 1
            self._books.delivered[message.kind] += self._offer(now, session, granted, message)

    def acknowledge(self, now: int, session: Session, packet_id: int) -> bool:
        """Close a QoS 1 copy and send what its place in the window allows."""
        message = session.inflight.pop(packet_id, None)
        if message is None:
            return False
        self._books.delivered[message.kind] += 1
        if session.resend and packet_id in session.resend:
            session.resend.remove(packet_id)
            return True
        session.room += 1
        if session.queue or session.resend:
            self.drain(now, session)
        return True

    def drain(self, now: int, session: Session) -> None:
        """Send what waits, first what was sent before, while the window has room."""
        outlet = session.outlet
        resend = session.resend
        while outlet is not None and resend and session.room:
            packet_id = resend.popleft()
            message = session.inflight[packet_id]
            if self._undeliverable(now, session, message):
                del session.inflight[packet_id]
            else:
                session.room -= 1
                outlet.deliver(now, packet_id, message, True)
        queue = session.queue
        while queue and session.room:
            message = queue.popleft()
            if not self._undeliverable(now, session, message):
                self._send(now, session, message)
        if not queue:
            session.queue = None

    def discard(self, session: Session, cause: DropCause) -> None:
        """Drop every copy the session holds."""
        for message in (*session.inflight.values(), *(session.queue or ())):
            self._books.dropped[message.kind, cause] += 1
        session.inflight.clear()
        session.queue = session.resend = None
        session.room = session.window

    def _offer(self, now: int, session: Session, granted: int, message: Message) -> bool:
        """Give one session one copy, the long way; True when a QoS 0 copy was handed over."""
        if session.outlet is not None and self._too_large(session, message):
            return False
        if message.qos and granted:
            if session.room:
                self._send(now, session, message)
            else:
                self._queue(session, message)
            return False
        if session.outlet_qos0 is None:
            self._books.dropped[message.kind, DropCause.QOS0_OFFLINE] += 1
            return False
        session.outlet_qos0.deliver(now, 0, message, False)
        return True

    def _send(self, now: int, session: Session, message: Message) -> None:
        assert session.outlet is not None, f"{session.client_id} is offline and yet has room"
        packet_id = session.take_packet_id()
        session.room -= 1
        session.inflight[packet_id] = message
        session.outlet.deliver(now, packet_id, message, False)

    def _queue(self, session: Session, message: Message) -> None:
        queue = session.queue
        # Copies sent on this connection do not count; those of an earlier one do.
        held = len(session.inflight) - session.window + (len(queue) if queue is not None else 0)
        if held >= self.queue_max:
            self._books.dropped[message.kind, DropCause.QUEUE_FULL] += 1
        elif queue is None:
            session.queue = deque((message,))
            self.queue_peak = max(self.queue_peak, 1)
        else:
            queue.append(message)
            self.queue_peak = max(self.queue_peak, len(queue))

    def _undeliverable(self, now: int, session: Session, message: Message) -> bool:
        if message.expires_at_ns is not None and now >= message.expires_at_ns:
            self._books.dropped[message.kind, DropCause.EXPIRED] += 1
            return True
        return self._too_large(session, message)

    def _too_large(self, session: Session, message: Message) -> bool:
        if packet_bytes(message) <= session.packet_bytes_max:
            return False
        self._books.dropped[message.kind, DropCause.PACKET_TOO_LARGE] += 1
        return True

    def _lose(self, message: Message, cause: DropCause) -> None:
        self._books.opened[message.kind] += 1
        self._books.dropped[message.kind, cause] += 1


def _unretained(message: Message) -> Message:
    """Copy the message with its retain flag cleared, as live subscribers see it (3.3.1.3)."""
    return Message(
        message.topic, message.payload, message.qos, False, message.expires_at_ns, message.kind
    )
