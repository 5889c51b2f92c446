"""What the device has to say and nobody has taken responsibility for yet.

Decides what is sent when, how much at once, and what goes when there is no room. Leaves out what is
said (update.py, work.py, report.py). Two queues, flushed in order, events first:

* *events*: durable in the state file until acknowledged; full: the oldest goes.
* *windows*: encoded telemetry windows in RAM; full: the oldest goes; a gap is visible by its seq.

Rules: at most `publishes_in_flight_max` of them are in flight; a publish is sent again only if its
acknowledgement is missing, after the publish timeout or a reconnect, and never after it came; what
stays unacknowledged twice on one connection means that the connection is dead. An acknowledgement that says
"nobody has subscribed" is none: the gateway is on its way (back), so everything rests; then one message asks whether
somebody is there now, after waits that double, until one is taken. Of the retained kinds
(have, link) only the newest is ever in flight: an old one sent again would turn the state back.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from devicesdk.agent.effects import Publish
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.shared import Shared
from devicesdk.agent.snapshot import State
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Event, UpdateState
from devicesdk.wire.timebase import NEVER

RESENDS_MAX: Final = 1
REST_DOUBLINGS_MAX: Final = 5
"""Rests grow from `nobody_wait_ns` (30 s) to 16 minutes: a fleet without a gateway shall not talk all day."""


class _Sent(msgspec.Struct, gc=False):
    """One publish in flight."""

    kind: str
    payload: bytes
    key: int
    sent_at: int
    resends: int = 0


class Outbox:
    """The outbox of one agent."""

    __slots__ = (
        "_asking",
        "_event_keys",
        "_events",
        "_in_flight",
        "_queued_in_flight",
        "_resting",
        "_rests",
        "_rests_until",
        "_shared",
        "_states",
        "at",
        "event_seq",
        "events_dropped",
        "have_acked",
        "kept",
        "unsent",
        "windows_dropped",
    )

    def __init__(self, shared: Shared, state: State) -> None:
        self._shared = shared
        self._events: dict[int, bytes] = dict(enumerate(state.events))
        self._event_keys = len(state.events)
        self.unsent: deque[int] = deque(self._events)
        """Keys of events not sent since they came or since the connection went."""
        self.kept: deque[bytes] = deque()
        """Windows of which the same is true."""
        self._in_flight: dict[int, _Sent] = {}
        self._queued_in_flight = 0
        self._states: dict[str, int] = {}
        self._resting: dict[int, _Sent] = {}
        """What the broker had nobody for, by token; tokens rise in the order in which it was said."""
        self._rests = 0
        """How many in a row."""
        self._asking = False
        """Whether one message at a time is said, because nobody took the last."""
        self._rests_until = NEVER
        """When that is said again; until then nothing else is said that would be queued."""
        self.at = NEVER
        """When the oldest publish in flight should have been acknowledged, or the rest ends."""
        self.event_seq = 0
        self.events_dropped = 0
        self.windows_dropped = 0
        self.have_acked = True
        """Whether the broker has the newest `have` that was published."""

    @property
    def events(self) -> tuple[bytes, ...]:
        """Encoded events not acknowledged yet, oldest first: what the state file keeps."""
        return tuple(self._events.values())

    @property
    def windows(self) -> int:
        """Windows waiting or in flight."""
        flying = sum(sent.kind == topics.TEL for sent in self._in_flight.values())
        resting = sum(sent.kind == topics.TEL for sent in self._resting.values())
        return len(self.kept) + flying + resting

    @property
    def content(self) -> bool:
        """Whether the acknowledgement of what is in flight changes nothing but the books: it is one
        window, and nothing waits for its place."""
        if len(self._in_flight) != 1 or self.unsent or self.kept or self._resting:
            return False
        (sent,) = self._in_flight.values()
        return sent.kind == topics.TEL

    # -- things to say ----------------------------------------------------------------------------

    def event(
        self,
        kind: str,
        *,
        state: UpdateState = UpdateState.IDLE,
        reason: str = "",
        generation: int = 0,
        deployment: str = "",
        attempt: int = 0,
        digest: bytes = b"",
        value: int = 0,
    ) -> None:
        """Queue an event; whoever calls saves the state, and the batch ends with `flush`."""
        self.event_seq += 1
        event = Event(
            boot_id=self._shared.boot_id,
            seq=self.event_seq,
            kind=kind,
            generation=generation,
            deployment=deployment,
            attempt=attempt,
            state=state,
            reason=reason,
            digest=digest,
            value=value,
        )
        if len(self._events) >= self._shared.config.event_outbox_max:
            self._drop_oldest_event()
        self._event_keys += 1
        self._events[self._event_keys] = codec.encode(event)
        self.unsent.append(self._event_keys)

    def window(self, payload: bytes, now: int) -> None:
        """Publish a telemetry window, or keep it until that is possible."""
        shared = self._shared
        if (
            shared.online
            and not self.kept
            and not self.unsent
            and not (self._resting or self._asking)
            and self._queued_in_flight < shared.config.publishes_in_flight_max
        ):
            self._send(topics.TEL, payload, 0, now)
            return
        if len(self.kept) >= shared.config.telemetry_outbox_windows_max:
            self._drop_oldest_window()
            self.windows_dropped += 1
            shared.note(NoteKind.WINDOW_DROPPED, self.windows_dropped)
        self.kept.append(payload)

    def retained(self, kind: str, payload: bytes, now: int) -> None:
        """Publish retained state (have or link), which replaces what was in flight of its kind."""
        old = self._states.pop(kind, 0)
        self._in_flight.pop(old, None)
        if kind == topics.HAVE:
            self.have_acked = False
        self._states[kind] = self._send(kind, payload, 0, now)

    def flush(self, now: int) -> None:
        """Send what waits, in order, as far as the bound on publishes in flight lets."""
        if self._resting or not self._shared.online:
            return
        most = 1 if self._asking else self._shared.config.publishes_in_flight_max
        room = most - self._queued_in_flight
        while room > 0 and self.unsent:
            key = self.unsent.popleft()
            self._send(topics.EV, self._events[key], key, now)
            room -= 1
        while room > 0 and self.kept:
            self._send(topics.TEL, self.kept.popleft(), 0, now)
            room -= 1

    # -- acknowledgements ---------------------------------------------------------------------------

    def acked(self, token: int, now: int) -> None:
        """The broker has it: forget it. Acks of what was replaced, or of chunk requests, pass by."""
        sent = self._in_flight.pop(token, None)
        if sent is None:
            return
        if not self._in_flight:
            self.at = self._rests_until
        kind = sent.kind
        if kind == topics.TEL:
            self._queued_in_flight -= 1
            self._asking = False
        elif kind == topics.EV:
            self._queued_in_flight -= 1
            self._asking = False
            self._event_acked(sent.key)
        else:
            self._states.pop(kind, None)
            self.have_acked = self.have_acked or kind == topics.HAVE
        if self.kept or self.unsent:
            self.flush(now)

    def unheard(self, token: int, now: int) -> None:
        """The broker had nobody for it: say it again later, and nothing new before. Retained state is there for
        whoever subscribes."""
        sent = self._in_flight.get(token)
        if sent is None or sent.kind in topics.RETAINED_KINDS:
            self.acked(token, now)
            return
        del self._in_flight[token]
        self._queued_in_flight -= 1
        first, self._resting[token] = not self._resting, sent
        if first:
            self._rest(now)
        self.at = min(self.at, self._rests_until) if self._in_flight else self._rests_until

    def _rest(self, now: int) -> None:
        if not self._asking:
            self._rests = 0
        base = self._shared.config.nobody_wait_ns << min(self._rests, REST_DOUBLINGS_MAX)
        # A fleet that came back in one instant shall not ask in one.
        self._rests_until = now + base + self._shared.draw_wait(now, base // 2)
        self._rests += 1
        self._asking = True
        self._shared.note(NoteKind.PUBLISH_UNHEARD, len(self._events) + self.windows)

    def wake(self, now: int) -> None:
        """Somebody spoke, so somebody may listen: ask at once. Whoever is asked first, what rested waits in its
        order."""
        if self._resting:
            self._requeue(self._resting)
            self.at = min((s.sent_at for s in self._in_flight.values()), default=NEVER)
            if self._in_flight:
                self.at += self._shared.config.publish_timeout_ns
            self.flush(now)

    def _requeue(self, sent: dict[int, _Sent]) -> None:
        """Put it to the front again, in the order in which it was said; nothing rests any more."""
        for _, one in sorted(sent.items(), reverse=True):
            if one.kind == topics.TEL:
                self.kept.appendleft(one.payload)
            elif one.kind == topics.EV:
                self.unsent.appendleft(one.key)
        self._resting = {}
        self._rests_until = NEVER

    def offline(self) -> None:
        """The connection is gone: what was in flight or rested waits at the front again, oldest first."""
        self._requeue(self._in_flight | self._resting)
        self.unsent = deque(self._events)
        self._in_flight.clear()
        self._states.clear()
        self._queued_in_flight = 0
        self._rests = 0
        self.at = NEVER

    def due(self, now: int) -> bool:
        """Send again what is overdue; False when the connection must be given up."""
        if now < self.at:
            return True
        timeout = self._shared.config.publish_timeout_ns
        late = [(t, s) for t, s in self._in_flight.items() if s.sent_at + timeout <= now]
        if any(sent.resends >= RESENDS_MAX for _, sent in late):
            self._shared.note(NoteKind.PUBLISH_DEAD)
            return False
        for token, sent in late:
            sent.resends += 1
            sent.sent_at = now
            retain = sent.kind in topics.RETAINED_KINDS
            self._shared.out.append(Publish(sent.kind, sent.payload, token, retain))
        if late:
            self._shared.note(NoteKind.PUBLISH_RESENT, len(late))
        if now >= self._rests_until:
            self._requeue(self._resting)
        self.at = min((s.sent_at for s in self._in_flight.values()), default=NEVER - timeout)
        self.at = min(self.at + timeout, self._rests_until)
        return True

    # -- inside ---------------------------------------------------------------------------------------

    def _send(self, kind: str, payload: bytes, key: int, now: int) -> int:
        shared = self._shared
        token = shared.token()
        self._in_flight[token] = _Sent(kind, payload, key, now)
        retain = kind in topics.RETAINED_KINDS
        if not retain:
            self._queued_in_flight += 1
        at = now + shared.config.publish_timeout_ns
        self.at = min(self.at, at)
        shared.out.append(Publish(kind, payload, token, retain))
        return token

    def _event_acked(self, key: int) -> None:
        self._events.pop(key, None)
        if not self._events:
            # One save for a burst of events; a power cut before it sends some again, with their seq.
            self._shared.save_state()

    def _drop_oldest_event(self) -> None:
        key = next(iter(self._events))
        del self._events[key]
        if key in self.unsent:
            self.unsent.remove(key)
        elif not self._forget_resting(key):
            self._forget_in_flight(key)
        self.events_dropped += 1
        self._shared.note(NoteKind.EVENT_DROPPED, self.events_dropped)

    def _forget_resting(self, key: int) -> bool:
        for token, sent in self._resting.items():
            if sent.kind == topics.EV and sent.key == key:
                self._leave_rest(token)
                return True
        return False

    def _drop_oldest_window(self) -> None:
        resting = sorted(token for token, sent in self._resting.items() if sent.kind == topics.TEL)
        if resting:
            self._leave_rest(resting[0])
        else:
            self.kept.popleft()

    def _leave_rest(self, token: int) -> None:
        del self._resting[token]
        if not self._resting:
            self._rests_until = NEVER
            self.at = self.at if self._in_flight else NEVER

    def _forget_in_flight(self, key: int) -> None:
        flying = self._in_flight.items()
        token = next(t for t, sent in flying if sent.kind == topics.EV and sent.key == key)
        del self._in_flight[token]
        self._queued_in_flight -= 1
        if not self._in_flight:
            self.at = self._rests_until

    def validate(self) -> None:
        """Check bounds and books.

        Raises:
            AssertionError: a queue is over its bound or the counts disagree.
        """
        config = self._shared.config
        flying = [sent for sent in self._in_flight.values() if sent.kind in (topics.EV, topics.TEL)]
        assert len(flying) == self._queued_in_flight, "publishes in flight are miscounted"
        assert len(flying) <= config.publishes_in_flight_max, f"{len(flying)} publishes in flight"
        assert len(self._events) <= config.event_outbox_max, f"{len(self._events)} events"
        bound = config.telemetry_outbox_windows_max + config.publishes_in_flight_max
        assert len(self.kept) <= bound, f"{len(self.kept)} windows"
        waits = bool(self._in_flight or self._resting)
        assert (self.at < NEVER) == waits, "the publish timer is set wrongly"
        assert (self._rests_until < NEVER) == bool(self._resting), (
            "the rest has no end, or no cause"
        )
        assert not self._in_flight or self._shared.online, "publishes in flight while offline"
        known = [key for key in self.unsent if key not in self._events]
        assert not known, f"events {known} wait to be sent and are gone"
