"""Everything that the device says, and the rules that hold whatever is done to it.

Decides what of the device's messages is worth remembering, and judges what can be judged from a
message and those before it. Leaves out chunk requests (desk.py) and what was provoked (chapters.py).
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.wire import codec, topics
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.messages import Event, Have, Link, Telemetry, UpdateState, WireMessage
from gateway.conform.ledger import Ledger

KEPT_MAX: Final = 4_096
"""Messages of a kind that are remembered; the oldest go."""
FREE_STATES: Final = frozenset({UpdateState.WAITING, UpdateState.IDLE})
"""States that may come between any two others."""
_KINDS: Final[dict[str, type[WireMessage]]] = {
    topics.HAVE: Have,
    topics.LINK: Link,
    topics.EV: Event,
    topics.TEL: Telemetry,
}


class Heard(msgspec.Struct, frozen=True):
    """A `have` and when it came."""

    at: int
    have: Have


class Watch:
    """What the device said so far.

    Args:
        ledger: where verdicts go.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.haves: list[Heard] = []
        self.links: list[Link] = []
        self.events: list[Event] = []
        self.windows = 0
        self._last: dict[str, bytes] = {}
        self._furthest: dict[int, UpdateState] = {}
        self._event_bytes: dict[tuple[int, int], bytes] = {}

    @property
    def have(self) -> Have | None:
        """The newest report."""
        return self.haves[-1].have if self.haves else None

    @property
    def link(self) -> Link | None:
        """The newest presence that counts: newer by (boot, session), offline is final."""
        newest: Link | None = None
        for link in self.links:
            if newest is None or _rank(link) > _rank(newest):
                newest = link
        return newest

    @property
    def online(self) -> bool:
        """Whether the device says that it is there."""
        return self.link is not None and self.link.online

    @property
    def generation(self) -> int:
        """The newest generation that the device reported."""
        return 0 if self.have is None else self.have.generation

    def in_state(self, generation: int, *states: UpdateState) -> Heard | None:
        """The first report of one of these states in a generation."""
        for heard in self.haves:
            if heard.have.generation == generation and heard.have.state in states:
                return heard
        return None

    def told(self, generation: int) -> list[Event]:
        """The update events of a generation, in order."""
        return [e for e in self.events if e.kind == "update" and e.generation == generation]

    def take(self, kind: str, payload: bytes, now: int) -> None:
        """The device published this."""
        if kind not in _KINDS or (kind != topics.EV and self._last.get(kind) == payload):
            return
        self._last[kind] = payload
        try:
            message = codec.decode(_KINDS[kind], payload)
        except ProtocolError as error:
            self._ledger.broken("R1", f"on {kind}: {error}", payload)
            return
        self._ledger.kept("R1")
        match message:
            case Have():
                self._have(message, payload, now)
            case Link():
                self._link(message)
            case Event():
                self._event(message, payload)
            case _:
                self.windows += 1

    def _have(self, have: Have, payload: bytes, now: int) -> None:
        old = self.have
        if old is not None:
            grew = (have.boot_id, have.seq) > (old.boot_id, old.seq)
            story = (
                f"a `have` of boot {have.boot_id} with seq {have.seq} came after one of boot "
                f"{old.boot_id} with seq {old.seq}"
            )
            self._ledger.settle("R2", story, payload, ok=grew)
        self._order(have, payload)
        self.haves.append(Heard(now, have))
        del self.haves[:-KEPT_MAX]

    def _order(self, have: Have, payload: bytes) -> None:
        if have.state in FREE_STATES:
            return
        before = self._furthest.get(have.generation, UpdateState.IDLE)
        story = f"in generation {have.generation} the state was {before.name} and then {have.state.name}"
        # What has ended stays as it ended.
        ended = before.terminal and have.state is not before
        self._ledger.settle("R5", story, payload, ok=have.state >= before and not ended)
        self._furthest[have.generation] = max(before, have.state)
        while len(self._furthest) > KEPT_MAX:
            del self._furthest[next(iter(self._furthest))]

    def _link(self, link: Link) -> None:
        self.links.append(link)
        del self.links[:-KEPT_MAX]
        if link.online:
            self._ledger.kept("S8")

    def _event(self, event: Event, payload: bytes) -> None:
        name = (event.boot_id, event.seq)
        if name in self._event_bytes:
            story = f"two different events are (boot {name[0]}, seq {name[1]})"
            self._ledger.settle("R6", story, payload, ok=self._event_bytes[name] == payload)
            return
        newest = max(self._event_bytes, default=(0, 0))
        story = f"event (boot {name[0]}, seq {name[1]}) came first after (boot, seq) {newest}"
        self._ledger.settle("R6", story, payload, ok=name > newest)
        self._event_bytes[name] = payload
        if len(self._event_bytes) > KEPT_MAX:
            del self._event_bytes[next(iter(self._event_bytes))]
        self.events.append(event)
        del self.events[:-KEPT_MAX]


def _rank(link: Link) -> tuple[int, int, bool]:
    return link.boot_id, link.session, not link.online
