"""The MQTT session: when to connect, what to subscribe to, when to give up and for how long.

Decides the steps from no carrier to online and back. Leaves out what is sent once online (outbox.py,
report.py) and the connection itself (the host's).

    NO_BEARER > BACKING_OFF > CONNECTING > SUBSCRIBING > ONLINE
                   ^______________|____________|___________|     any failure or loss: back off
                   |  or, where the back-off says so: GAVE_UP until the carrier comes again

Rules: each wait has a timer of its own; every SUBACK code is checked, one refusal ends the attempt
(a device that cannot hear its kill list is not online); the kill list's filter comes first; the
first connect of a boot always subscribes, because nobody knows what the session's subscriptions of
the last boot were; so does the first after a connect without an answer, whose CONNECT may have begun
a new session behind our back; each connect carries a will with a session number of its own.
With `AgentConfig.subscribe_once` a boot subscribes once and never again, as clients do that were
written for brokers which never forget: for rehearsals only.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from devicesdk.agent.backoff import Backoff
from devicesdk.agent.effects import Connect, Disconnect, Subscribe
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.shared import Shared
from devicesdk.agent.sites import RETRY_AT_ONCE, SUBSCRIBE_ANEW
from devicesdk.wire import topics
from devicesdk.wire.messages import Link
from devicesdk.wire.timebase import MS, NEVER
from devicesdk.wire.topics import Topics

SUBACK_REFUSED_MIN: Final = 0x80


class Phase(Enum):
    """Where the session stands."""

    NO_BEARER = "no bearer"
    BACKING_OFF = "backing off"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    ONLINE = "online"
    GAVE_UP = "gave up"


class Session:
    """The session of one boot."""

    __slots__ = (
        "_backoff",
        "_bearer_up",
        "_filters",
        "_online_since",
        "_rushed",
        "_shared",
        "_subscribed",
        "at",
        "number",
        "phase",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._backoff = Backoff(shared.config.backoff, shared.seed)
        self._bearer_up = False
        self._subscribed = self._rushed = False
        self._online_since = 0
        self._filters: tuple[str, ...] = ()
        self.phase = Phase.NO_BEARER
        self.at = NEVER
        """When this phase's timer ends."""
        self.number = 0
        """Counts the connects of this boot."""

    def booted(self, now: int, *, bearer_up: bool) -> None:
        """Begin."""
        self._bearer_up = bearer_up
        self._backoff.booted(self._shared.boot_id)
        if bearer_up:
            self._wait(now, self._backoff.first(self._shared.retries))

    def bearer_changed(self, now: int, *, up: bool) -> None:
        """The carrier came or went. A connection that is up stays so until the host says otherwise."""
        self._bearer_up = up
        if up and self.phase in (Phase.NO_BEARER, Phase.GAVE_UP):
            self._wait(now, self._backoff.next(self._shared.retries))
        elif not up and self.phase in (Phase.BACKING_OFF, Phase.GAVE_UP):
            self._enter(Phase.NO_BEARER, NEVER)

    def connected(self, now: int, *, session_present: bool) -> bool:
        """CONNACK. True when that makes the device online."""
        if self.phase is not Phase.CONNECTING:
            return False
        self._backoff.accepted()
        anew = self._shared.hardship.fires(SUBSCRIBE_ANEW)
        kept = session_present or self._shared.config.subscribe_once
        if kept and self._subscribed and not anew:
            if not session_present:
                self._shared.note(NoteKind.UNSUBSCRIBED, self.number)
            self._go_online(now)
            return True
        self._subscribed = False
        self._enter(Phase.SUBSCRIBING, now + self._shared.config.subscribe_timeout_ns)
        self._shared.out.append(Subscribe(self._filters_of_device()))
        return False

    def subscribed(self, codes: tuple[int, ...], now: int) -> bool:
        """SUBACK. True when that makes the device online."""
        if self.phase is not Phase.SUBSCRIBING:
            return False
        if len(codes) != len(self._filters_of_device()):
            self._refused(0, now)
            return False
        for code in codes:
            if code >= SUBACK_REFUSED_MIN:
                self._refused(code, now)
                return False
        self._subscribed = True
        self._go_online(now)
        return True

    def connect_failed(self, now: int) -> None:
        """No connection came of the connect."""
        if self.phase is Phase.CONNECTING:
            self._unanswered()
            self._retreat(now)

    def lost(self, now: int) -> bool:
        """The connection is gone; True when the device was online until now."""
        if self.phase not in (Phase.SUBSCRIBING, Phase.ONLINE, Phase.CONNECTING):
            return False
        if self.phase is Phase.CONNECTING:
            self._unanswered()
        was_online = self._shared.online
        if was_online:
            self._backoff.session_ended(now - self._online_since)
        self._retreat(now)
        return was_online

    def give_up(self, reason: str, now: int) -> bool:
        """Close a connection that is of no use; as `lost`."""
        self._shared.out.append(Disconnect(reason))
        return self.lost(now)

    def due(self, now: int) -> None:
        """The phase's timer ended."""
        if now < self.at:
            return
        if self.phase is Phase.BACKING_OFF:
            self._connect(now)
        elif self.phase is Phase.CONNECTING:
            self._shared.note(NoteKind.CONNECT_TIMEOUT)
            self.give_up("connect timeout", now)
        elif self.phase is Phase.SUBSCRIBING:
            self._shared.note(NoteKind.SUBSCRIBE_TIMEOUT)
            self.give_up("subscribe timeout", now)

    # -- inside ---------------------------------------------------------------------------------------

    def _enter(self, phase: Phase, at: int) -> None:
        self.phase = phase
        self.at = at
        self._shared.online = phase is Phase.ONLINE

    def _connect(self, now: int) -> None:
        self.number += 1
        self._enter(Phase.CONNECTING, now + self._shared.config.connect_timeout_ns)
        will = Link(boot_id=self._shared.boot_id, session=self.number, online=False)
        self._shared.out.append(Connect(will))

    def _unanswered(self) -> None:
        """A connect ended without an answer: whose session the broker holds now is not known."""
        self._subscribed = self._subscribed and self._shared.config.subscribe_once

    def _go_online(self, now: int) -> None:
        self._online_since = now
        self._enter(Phase.ONLINE, NEVER)
        self._shared.note(NoteKind.ONLINE, self.number)

    def _refused(self, code: int, now: int) -> None:
        self._shared.note(NoteKind.SUBSCRIBE_REFUSED, code)
        self.give_up("subscription refused", now)

    def _retreat(self, now: int) -> None:
        if self._bearer_up:
            delay_ns = self._backoff.next(self._shared.retries)
            self._rushed = not self._rushed and self._shared.hardship.fires(RETRY_AT_ONCE)
            self._wait(now, 0 if self._rushed else delay_ns)
        else:
            self._enter(Phase.NO_BEARER, NEVER)

    def _wait(self, now: int, delay_ns: int) -> None:
        if delay_ns == NEVER:
            self._enter(Phase.GAVE_UP, NEVER)
            self._shared.note(NoteKind.BACK_OFF, -1, self._backoff.losses)
            return
        self._enter(Phase.BACKING_OFF, now + delay_ns)
        self._shared.note(NoteKind.BACK_OFF, delay_ns // MS, self._backoff.losses)

    def _filters_of_device(self) -> tuple[str, ...]:
        if not self._filters:
            config, device = self._shared.config, self._shared.identity.device
            names = Topics(config.root)
            self._filters = (
                names.kill,
                *((names.timestamp,) if self._shared.roles else ()),
                names.flags(config.segment),
                *(names.device(device, kind) for kind in (topics.WANT, topics.CTL, topics.DAT)),
            )
        return self._filters

    def validate(self) -> None:
        """Check that the phase has the timer it needs.

        Raises:
            AssertionError: a wait has no timer, or a rest has one.
        """
        waits = self.phase not in (Phase.NO_BEARER, Phase.ONLINE, Phase.GAVE_UP)
        assert waits == (self.at != NEVER), f"{self.phase.value} with a timer at {self.at}"
        assert self._shared.online == (self.phase is Phase.ONLINE), "online and phase disagree"
        assert self._bearer_up or self.phase is not Phase.BACKING_OFF, "backing off with no bearer"
