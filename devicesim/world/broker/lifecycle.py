"""Connections come and go, sessions outlive them, wills speak for the dead.

Decides what happens to session state and wills (section numbers of MQTT 5,
https://docs.oasis-open.org/mqtt/mqtt/v5.0/):

- A second connection under the same client identifier ends the first (MQTT-3.1.4-3). The first
  one's will counts as if its connection had been lost, which with clean start or a session expiry of
  0 means now (3.1.4, "Non-normative comment").
- Clean start discards the session (MQTT-3.1.2-4); a session ends when its expiry interval has
  passed since the connection ended (MQTT-3.1.2-23).
- A will is published when its delay has passed or the session ends, whichever is first, and not at
  all if the client is back before (3.1.3.2.2) or said goodbye (MQTT-3.14.4-3).

Leaves out copies (`delivery`) and when a silent client counts as gone: the host decides that. A
restart is a crash: wills are not persisted, as in mosquitto 2.0, so nobody speaks for its victims.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final, Literal

import msgspec

from devicesdk.wire.timebase import NEVER
from devicesim.world.broker.delivery import Delivery
from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.broker.packets import Connack, Connect, Outlet, ReasonCode
from devicesim.world.broker.session import Session
from devicesim.world.ledger import DropCause

Reason = Literal["will delay", "session expiry"]
_STALE_SLACK: Final = 64


class Lifecycle:
    """All sessions of one broker and their deadlines.

    Args:
        limits: the broker's bounds.
        delivery: moves the copies; wills are published through it.
    """

    __slots__ = ("_deadlines", "_delivery", "_limits", "_sequence", "closes", "sessions")

    def __init__(self, limits: BrokerLimits, delivery: Delivery) -> None:
        self._limits = limits
        self._delivery = delivery
        self._deadlines: list[tuple[int, int, Session, Reason]] = []
        self._sequence = 0
        self.sessions: dict[str, Session] = {}
        self.closes: dict[ReasonCode, int] = {}

    def open(self, now: int, connect: Connect, outlet: Outlet) -> Connack:
        """Let an authenticated client in, with its old session or a new one."""
        session = self.sessions.get(connect.client_id)
        if session is not None and session.outlet is not None:
            self.cut(now, session, ReasonCode.SESSION_TAKEN_OVER)
            session = self.sessions.get(connect.client_id)
        if session is not None and connect.clean_start:
            self._end(now, session, DropCause.CLEAN_START)
            session = None
        present = session is not None
        if session is None:
            if len(self.sessions) >= self._limits.sessions_max:
                return Connack(reason=ReasonCode.QUOTA_EXCEEDED)
            session = self.sessions[connect.client_id] = Session(connect.client_id)
        self._attach(session, connect, outlet)
        connack = Connack(
            reason=ReasonCode.SUCCESS,
            session_present=present,
            session_expiry_ns=session.expiry_ns,
            packet_bytes_max=self._limits.packet_bytes_max,
        )
        outlet.accepted(now, connack)
        if present:
            self._delivery.drain(now, session)
        return connack

    def cut(self, now: int, session: Session, reason: ReasonCode) -> None:
        """End a connection from the broker's side; the outlet is told."""
        outlet = session.outlet
        assert outlet is not None, f"{session.client_id} has no connection to cut"
        outlet.closed(now, reason)
        self.lost(now, session, reason)

    def lost(self, now: int, session: Session, reason: ReasonCode) -> None:
        """Take note that a connection ended, goodbye or not; the will, if any is left, applies."""
        self.closes[reason] = self.closes.get(reason, 0) + 1
        session.detach()
        will = session.will
        if will is not None:
            if will.delay_ns:
                session.will_due_ns = now + will.delay_ns
                self._arm(session.will_due_ns, session, "will delay")
            else:
                self._speak(now, session)
        if not session.expiry_ns:
            self._end(now, session, DropCause.SESSION_EXPIRED)
        elif session.expiry_ns < NEVER:
            session.expires_at_ns = now + session.expiry_ns
            self._arm(session.expires_at_ns, session, "session expiry")

    def restart(self, now: int, *, lose_sessions: bool) -> None:
        """Drop every connection and will; keep persistent state or lose it."""
        for session in list(self.sessions.values()):
            session.will = None
            session.will_due_ns = NEVER
            if session.outlet is not None:
                self.cut(now, session, ReasonCode.SERVER_SHUTTING_DOWN)
        if lose_sessions:
            for session in list(self.sessions.values()):
                self._end(now, session, DropCause.SESSION_LOST)
            self._delivery.retained.lose()

    def deadline(self) -> tuple[int, Reason] | None:
        """Name the next instant at which a will or the end of a session is due."""
        deadlines = self._deadlines
        while deadlines and _stale(deadlines[0]):
            heappop(deadlines)
        return (deadlines[0][0], deadlines[0][3]) if deadlines else None

    def tick(self, now: int) -> None:
        """Do what is due."""
        while self.deadline() is not None and self._deadlines[0][0] <= now:
            _, _, session, why = heappop(self._deadlines)
            if why == "will delay":
                self._speak(now, session)
            else:
                self._end(now, session, DropCause.SESSION_EXPIRED)

    def validate(self) -> None:
        """Re-check every session and that whatever is due has a deadline.

        Raises:
            AssertionError: the story of what does not hold.
        """
        armed = {(id(entry[2]), entry[0], entry[3]) for entry in self._deadlines}
        for client_id, session in self.sessions.items():
            assert session.client_id == client_id
            session.validate()
            for due, why in (
                (session.will_due_ns, "will delay"),
                (session.expires_at_ns, "session expiry"),
            ):
                assert due == NEVER or (id(session), due, why) in armed, (
                    f"session {client_id} waits for its {why} at {due} ns, which is not armed"
                )
        assert len(self.sessions) <= self._limits.sessions_max
        assert len(self._deadlines) <= _STALE_SLACK + 4 * len(self.sessions) + 1

    def _attach(self, session: Session, connect: Connect, outlet: Outlet) -> None:
        session.username = connect.username or connect.client_id
        session.expiry_ns = min(connect.session_expiry_ns, self._limits.session_expiry_ns_max)
        session.will = connect.will
        window = min(connect.receive_maximum, self._limits.inflight_max)
        session.attach(outlet, window, connect.packet_bytes_max)

    def _end(self, now: int, session: Session, cause: DropCause) -> None:
        """Forget a session that is offline; a will that still waits is published (3.1.3.2.2)."""
        del self.sessions[session.client_id]
        session.expires_at_ns = NEVER
        self._delivery.routing.forget(session)
        self._delivery.discard(session, cause)
        self._speak(now, session)

    def _speak(self, now: int, session: Session) -> None:
        will, session.will = session.will, None
        session.will_due_ns = NEVER
        if will is None:
            return
        message = will.message
        if will.expiry_ns is not None:
            message = msgspec.structs.replace(message, expires_at_ns=now + will.expiry_ns)
        self._delivery.publish(now, message)

    def _arm(self, instant: int, session: Session, why: Reason) -> None:
        # Clients who came back leave dead entries behind: sweep them before they outgrow the live.
        if len(self._deadlines) > _STALE_SLACK + 4 * len(self.sessions):
            self._deadlines = [entry for entry in self._deadlines if not _stale(entry)]
            heapify(self._deadlines)
        self._sequence += 1
        heappush(self._deadlines, (instant, self._sequence, session, why))


def _stale(entry: tuple[int, int, Session, Reason]) -> bool:
    instant, _, session, why = entry
    due = session.will_due_ns if why == "will delay" else session.expires_at_ns
    return due != instant
