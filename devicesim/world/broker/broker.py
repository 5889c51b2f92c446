"""An MQTT 5 broker for virtual time: a deterministic state machine without IO.

This facade only routes: it checks who calls and what they may do, then hands over to `lifecycle`
(connections, sessions, wills), `delivery` (copies), `routing` (filters), `retained` and `admission`.
Every call takes `now` in integer nanoseconds; `deadline` names the next instant at which `tick` has
something to do (a delayed will, the end of a session).

Copies leave through the `Outlet` that a client connected with; the host sends CONNACK, SUBACK and
PUBACK from what the calls return, and brings PUBACKs in with `puback`. What a host tells about a
client that has no connection is the host's mistake and raises `LookupError`; packets that outlive
their connection on the wire are the network's to drop (compare `Broker.outlet`).

Behaves as MQTT 5 and mosquitto 2.0.11; where these differ, as MQTT 5. Left out: QoS 2, topic aliases,
AUTH, subscription options and identifiers, the server's own receive maximum, ``$SYS``. Access lists
are asked when a client subscribes or publishes, not for each copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from devicesim.world.broker.admission import Admission
from devicesim.world.broker.delivery import Delivery
from devicesim.world.broker.lifecycle import Lifecycle, Reason
from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.broker.packets import (
    Access,
    Authenticate,
    Authorize,
    Connack,
    Connect,
    Message,
    Outlet,
    ReasonCode,
    packet_bytes,
)
from devicesim.world.broker.session import Session
from devicesim.world.broker.topics import is_topic
from devicesim.world.ledger import BROKER, RETAINED, DropCause, Ledger, Leg

_TOPIC_NAME_INVALID: Final = ReasonCode.TOPIC_NAME_INVALID


class Broker:
    """One broker.

    Args:
        ledger: the world's books; the broker keeps the legs ``broker`` and ``retained``.
        limits: bounds and rates.
        authenticate: asked at each CONNECT; None lets everybody in.
        authorize: asked at each SUBSCRIBE, PUBLISH and for wills; None allows everything.
    """

    __slots__ = (
        "_accept_rate_per_s",
        "_admission",
        "_authenticate",
        "_authorize",
        "_delivery",
        "_eats",
        "_ledger",
        "_lifecycle",
        "_limits",
        "_sessions",
        "epoch",
    )

    def __init__(
        self,
        ledger: Ledger,
        limits: BrokerLimits | None = None,
        *,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
    ) -> None:
        self._ledger = ledger
        self._limits = limits or BrokerLimits()
        self._authenticate = authenticate
        self._authorize = authorize
        self._accept_rate_per_s = self._limits.accept_rate_per_s
        self._admission = Admission(self._limits.accept_rate_per_s, self._limits.accept_backlog_max)
        self._delivery = Delivery(self._limits, ledger)
        self._lifecycle = Lifecycle(self._limits, self._delivery)
        self._sessions = self._lifecycle.sessions
        self._eats: Callable[[str], bool] | None = None
        self.epoch = 0
        """Restarts so far; whatever was admitted in an earlier epoch is void."""

    @property
    def limits(self) -> BrokerLimits:
        """The bounds in force."""
        return self._limits

    @property
    def ledger(self) -> Ledger:
        """The books that it keeps."""
        return self._ledger

    @property
    def closes(self) -> dict[ReasonCode, int]:
        """Connections that ended so far, by reason, for the report."""
        return dict(self._lifecycle.closes)

    @property
    def dropped_syns(self) -> int:
        """Connections turned away by a full accept backlog so far."""
        return self._admission.dropped_syns

    @property
    def queue_peak(self) -> int:
        """Most copies that ever waited in one session's queue."""
        return self._delivery.queue_peak

    def admit(self, now: int) -> int | None:
        """Queue an incoming connection.

        Returns:
            The instant at which its CONNECT is to be processed (call `connect` then, unless `epoch`
            changed), or None: the backlog is full and the SYN is dropped.
        """
        return self._admission.admit(now)

    def set_accept_rate(self, rate_per_s: float | None) -> float | None:
        """Work CONNECTs off at another rate from now on; returns the rate until now."""
        before = self._accept_rate_per_s
        self._accept_rate_per_s = rate_per_s
        self._admission.change_rate(rate_per_s, self._limits.accept_backlog_max)
        return before

    def set_queue_max(self, messages: int) -> None:
        """Let sessions wait for so many copies from now on; what waits already stays."""
        self._delivery.queue_max = messages

    def eat(self, eats: Callable[[str], bool] | None) -> None:
        """Acknowledge QoS 1 messages and lose them: asked with the publisher; None ends it."""
        self._eats = eats

    def connect(self, now: int, connect: Connect, outlet: Outlet) -> Connack:
        """Process a CONNECT.

        On success ``outlet.accepted`` has been called, and after it ``outlet.deliver`` for what the
        session still held. A refused client's outlet hears nothing: the answer is the return value.

        Raises:
            ValueError: a receive maximum of 0, a protocol error (3.1.2.11.3).
        """
        if connect.receive_maximum < 1:
            raise ValueError(
                f"expected a receive maximum of 1..65535 from {connect.client_id!r}, found "
                f"{connect.receive_maximum} (MQTT 5, 3.1.2.11.3)"
            )
        refusal = self._refusal(connect)
        if refusal is not ReasonCode.SUCCESS:
            return Connack(reason=refusal)
        return self._lifecycle.open(now, connect, outlet)

    def disconnect(
        self, now: int, client_id: str, *, send_will: bool, session_expiry_ns: int | None = None
    ) -> None:
        """Process a DISCONNECT, reason 0x00, or 0x04 with `send_will` (3.14.2.1).

        Args:
            now: the instant.
            client_id: who leaves.
            send_will: leave the will in force.
            session_expiry_ns: a new session expiry interval, or None to keep it (3.14.2.2.2).

        Raises:
            ValueError: a session expiry where CONNECT had none, a protocol error (3.14.2.2.2).
        """
        session = self._connected(client_id, "DISCONNECT")
        if session_expiry_ns is not None:
            if session_expiry_ns and not session.expiry_ns:
                raise ValueError(
                    f"expected no session expiry in the DISCONNECT of {client_id!r}, whose CONNECT "
                    f"had none, found {session_expiry_ns} ns (MQTT 5, 3.14.2.2.2)"
                )
            session.expiry_ns = min(session_expiry_ns, self._limits.session_expiry_ns_max)
        if not send_will:
            session.will = None
        self._lifecycle.lost(now, session, ReasonCode.SUCCESS)

    def connection_lost(self, now: int, client_id: str, reason: ReasonCode) -> None:
        """Learn that a connection is gone without goodbye; the outlet is not told."""
        self._lifecycle.lost(now, self._connected(client_id, "end of connection"), reason)

    def kick(self, now: int, client_id: str, reason: ReasonCode) -> None:
        """End a connection as an operator would; the outlet is told, the will applies."""
        self._lifecycle.cut(now, self._connected(client_id, "kick"), reason)

    def publish(self, now: int, client_id: str, message: Message) -> ReasonCode:
        """Process a PUBLISH.

        Returns:
            The reason code for the PUBACK, should `message.qos` be 1. TOPIC_NAME_INVALID,
            QOS_NOT_SUPPORTED and PACKET_TOO_LARGE end the connection instead (3.3.4, 3.14.2.1): the
            outlet has been closed with that reason and no PUBACK is due.
        """
        session = self._sessions.get(client_id)
        if session is None or session.outlet is None:
            session = self._connected(client_id, f"PUBLISH to {message.topic!r}")
        # The bound spares encoding the topic, and the call, for all but the largest packets.
        bytes_most = len(message.payload) + 4 * len(message.topic) + 16
        if message.qos > 1 or bytes_most > self._limits.packet_bytes_max:
            fault = self._fault(message)
            if fault is not None:
                self._refuse(message, fault[1])
                self._lifecycle.cut(now, session, fault[0])
                return fault[0]
        if self._authorize is not None and not self._authorize(
            session.username, message.topic, Access.PUBLISH
        ):
            self._refuse(message, DropCause.NOT_AUTHORIZED)
            return ReasonCode.NOT_AUTHORIZED
        if self._eats is not None and message.qos and self._eats(client_id):
            self._refuse(message, DropCause.ACKED)
            return ReasonCode.SUCCESS
        reason = self._delivery.publish(now, message)
        if reason is _TOPIC_NAME_INVALID:
            self._refuse(message, DropCause.MALFORMED)
            self._lifecycle.cut(now, session, reason)
        return reason

    def puback(self, now: int, client_id: str, packet_id: int) -> bool:
        """Process a PUBACK and send what it makes room for; False for an unknown identifier."""
        session = self._sessions.get(client_id)
        if session is None or session.outlet is None:
            session = self._connected(client_id, f"PUBACK {packet_id}")
        return self._delivery.acknowledge(now, session, packet_id)

    def subscribe(
        self, now: int, client_id: str, filters: Iterable[tuple[str, int]]
    ) -> list[ReasonCode]:
        """Process a SUBSCRIBE with retain handling 0 for each ``(filter, maximum QoS)``.

        Returns:
            One reason code per filter for the SUBACK (3.9.3); 2 is granted as 1. The retained
            messages that match have gone to the outlet, which MQTT allows before the SUBACK (3.8.4).
        """
        session = self._connected(client_id, "SUBSCRIBE")
        return [self._subscribe(now, session, name, min(qos, 1)) for name, qos in filters]

    def unsubscribe(self, now: int, client_id: str, filters: Iterable[str]) -> list[ReasonCode]:
        """Process an UNSUBSCRIBE; copies already queued are still delivered (MQTT-3.10.4-3)."""
        del now  # nothing becomes due; the parameter keeps the calls alike
        session = self._connected(client_id, "UNSUBSCRIBE")
        remove = self._delivery.routing.unsubscribe
        return [
            ReasonCode.SUCCESS if remove(session, name) else ReasonCode.NO_SUBSCRIPTION_EXISTED
            for name in filters
        ]

    def congest(self, client_id: str, *, congested: bool) -> None:
        """Learn that a client's send buffer is full (its QoS 0 copies are dropped) or free again."""
        session = self._connected(client_id, "congestion")
        session.outlet_qos0 = None if congested else session.outlet

    def restart(self, now: int, *, lose_sessions: bool) -> None:
        """Crash and come back: all connections, wills and the accept backlog are gone.

        Args:
            now: the instant.
            lose_sessions: persistence was off: sessions, queues and retained messages are gone too.
        """
        self.epoch += 1
        self._admission.reset()
        self._lifecycle.restart(now, lose_sessions=lose_sessions)

    def deadline(self) -> tuple[int, Reason] | None:
        """Name the instant at which `tick` has something to do, and what; None for never."""
        return self._lifecycle.deadline()

    def tick(self, now: int) -> None:
        """Publish the wills and end the sessions that are due."""
        self._lifecycle.tick(now)

    def outlet(self, client_id: str) -> Outlet | None:
        """Return the outlet of the client's present connection, or None while offline."""
        session = self._sessions.get(client_id)
        return None if session is None else session.outlet

    def has_session(self, client_id: str) -> bool:
        """Tell whether the broker remembers the client, connected or not."""
        return client_id in self._sessions

    def retained(self, now: int, topic: str) -> Message | None:
        """Look at the retained message of a topic."""
        return self._delivery.retained.get(now, topic)

    def most_in_flight(self) -> int:
        """The most QoS 1 copies that are in flight to one client now."""
        return max([len(session.inflight) for session in self._sessions.values()], default=0)

    def waiting_for(self, client_id: str) -> int:
        """Count the QoS 1 copies in flight to a client, or queued for it."""
        session = self._sessions.get(client_id)
        return 0 if session is None else session.held_copies()

    def held_copies(self) -> dict[Leg, int]:
        """Count the copies in the real queues, for `Ledger.conserved`."""
        sessions = self._sessions.values()
        held = sum([len(session.inflight) for session in sessions])
        held += sum([len(session.queue) for session in sessions if session.queue])
        return {BROKER: held, RETAINED: len(self._delivery.retained)}

    def longest_queues(self, most: int) -> list[tuple[str, int, str]]:
        """The sessions in which most copies wait: client, how many, and the kind of the first."""
        waiting = [one for one in self._sessions.values() if one.queue]
        waiting.sort(key=lambda one: (-len(one.queue or ()), one.client_id))
        return [
            (one.client_id, len(one.queue), one.queue[0].kind)
            for one in waiting[:most]
            if one.queue
        ]

    def validate(self) -> None:
        """Re-check the whole state.

        Raises:
            AssertionError: the story of what does not hold.
        """
        self._lifecycle.validate()
        self._delivery.routing.validate(self._sessions)
        self._delivery.retained.validate()
        story = self._ledger.conserved(self.held_copies())
        assert story is None, story

    def _refusal(self, connect: Connect) -> ReasonCode:
        # MQTT lets a server invent a name for a client without one (3.1.3.1); ours all have one.
        if not connect.client_id or "\0" in connect.client_id:
            return ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        if self._authenticate is not None:
            reason = self._authenticate(connect)
            if reason is not ReasonCode.SUCCESS:
                return reason
        return self._will_refusal(connect)

    def _will_refusal(self, connect: Connect) -> ReasonCode:
        if connect.will is None:
            return ReasonCode.SUCCESS
        message = connect.will.message
        fault = self._fault(message)
        if fault is not None:
            return fault[0]
        if not is_topic(message.topic, self._limits.topic_levels_max):
            return ReasonCode.TOPIC_NAME_INVALID
        username = connect.username or connect.client_id
        if self._authorize is None or self._authorize(username, message.topic, Access.PUBLISH):
            return ReasonCode.SUCCESS
        return ReasonCode.NOT_AUTHORIZED

    def _subscribe(self, now: int, session: Session, name: str, qos: int) -> ReasonCode:
        routing = self._delivery.routing
        if not routing.valid(name):
            return ReasonCode.TOPIC_FILTER_INVALID
        shared = name.startswith("$share/")
        bare = name.split("/", 2)[2] if shared else name
        authorize = self._authorize
        if authorize is not None and not authorize(session.username, bare, Access.SUBSCRIBE):
            return ReasonCode.NOT_AUTHORIZED
        full = len(session.subscriptions) >= self._limits.subscriptions_per_session_max
        if full and all(entry.filter != name for entry in session.subscriptions):
            return ReasonCode.QUOTA_EXCEEDED
        routing.subscribe(session, name, qos)
        if not shared:  # a group gets no retained messages (4.8.2)
            self._delivery.replay(now, session, qos, name)
        return ReasonCode.GRANTED_QOS_1 if qos else ReasonCode.SUCCESS

    def _fault(self, message: Message) -> tuple[ReasonCode, DropCause] | None:
        """Find what makes a PUBLISH a reason to hang up."""
        if message.qos > 1:
            return ReasonCode.QOS_NOT_SUPPORTED, DropCause.MALFORMED
        if packet_bytes(message) > self._limits.packet_bytes_max:
            return ReasonCode.PACKET_TOO_LARGE, DropCause.PACKET_TOO_LARGE
        return None

    def _refuse(self, message: Message, cause: DropCause) -> None:
        self._ledger.opened(BROKER, message.kind)
        self._ledger.dropped(BROKER, message.kind, cause)

    def _connected(self, client_id: str, what: str) -> Session:
        session = self._sessions.get(client_id)
        if session is None or session.outlet is None:
            state = "is offline" if session is not None else "has no session"
            raise LookupError(
                f"expected a connected client for the {what}, found that {client_id!r} {state}; "
                f"drop packets whose connection is gone before they reach the broker"
            )
        return session
