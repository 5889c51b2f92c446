"""The durable outbox: what was decided is published until the broker has taken it.

Decides the order of publishing and when a row may go. Leaves out what is in a payload. A row is a
topic's newest retained payload: a newer decision for the same topic replaces an older one, because
retained means state.

Rules: the row is made durable in the batch that publishes it; only the acknowledgement of the newest
publish of a topic deletes its row; after a reconnect everything that is left is published again,
kill list first, then the roles' timestamp, flags, wants; at most `in_flight_max` publishes are unacknowledged (the
broker has a receive maximum), but kill list and flags do not wait for others.
"""

from __future__ import annotations

from typing import Any, Final

from devicesdk.wire import topics
from gateway.core import rows
from gateway.core.effects import Persist, Publish
from gateway.core.internal import CONTROL_TOKENS, TOKEN_STRIDE
from gateway.core.rows import OutboxRow

_RANKS: Final = {topics.KILL: 0, topics.TIMESTAMP: 1, topics.FLAGS: 2}
_LAST: Final = 3

Batch = list[Any]
"""Effects and internal messages of one `handle`, in order."""


class Outbox:
    """The outbox of the control machine.

    Args:
        in_flight_max: how many publishes may be unacknowledged before wants wait.
    """

    __slots__ = (
        "_next_token",
        "_rows",
        "_token_of",
        "_topic_of",
        "_up",
        "_waiting",
        "in_flight_max",
    )

    def __init__(self, in_flight_max: int) -> None:
        self.in_flight_max = in_flight_max
        self._rows: dict[str, OutboxRow] = {}
        self._waiting: dict[str, None] = {}
        self._token_of: dict[str, int] = {}
        self._topic_of: dict[int, str] = {}
        self._next_token = CONTROL_TOKENS
        self._up = False

    @property
    def rows_count(self) -> int:
        """How many retained payloads the broker has not taken yet."""
        return len(self._rows)

    def holds(self, topic: str) -> bool:
        """Whether the broker has not taken what `topic` shall hold."""
        return topic in self._rows

    @property
    def in_flight(self) -> int:
        """How many publishes are unacknowledged."""
        return len(self._topic_of)

    def restore(self, topic: str, row: OutboxRow) -> None:
        """Take back a row that was durable; it waits for `up`."""
        self._rows[topic] = row

    def put(self, topic: str, kind: str, payload: bytes, out: Batch) -> None:
        """Decide that `topic` shall hold `payload`: durable now, published now or when there is room."""
        row = OutboxRow(kind, payload)
        self._rows[topic] = row
        out.append(Persist(rows.OUTBOX, topic, row))
        urgent = kind in _RANKS
        if self._up and (urgent or len(self._topic_of) < self.in_flight_max):
            self._waiting.pop(topic, None)
            self._publish(topic, row, out)
        else:
            # An acknowledgement of an older payload must not delete this row.
            self._token_of.pop(topic, None)
            self._waiting[topic] = None

    def ask(self, topic: str, kind: str, payload: bytes, expiry_ns: int, out: Batch) -> None:
        """Publish a verb that is not retained and may be lost; it only counts as in flight."""
        if self._up:
            token = self._take_token("")
            out.append(Publish(topic, kind, payload, token, retain=False, expiry_ns=expiry_ns))

    def up(self, out: Batch) -> None:
        """The broker is there: earlier acknowledgements are lost, publish all rows again."""
        self._up = True
        self._token_of.clear()
        self._topic_of.clear()
        order = sorted(self._rows, key=lambda topic: (self._rank(topic), topic))
        self._waiting = dict.fromkeys(order)
        self._pump(out)

    def down(self) -> None:
        """The broker is gone: nothing is published until `up`."""
        self._up = False

    def acked(self, token: int, out: Batch) -> None:
        """The broker took a publish; an unknown token is of an earlier connection and is ignored."""
        topic = self._topic_of.pop(token, None)
        if topic is None:
            return
        if topic and self._token_of.get(topic) == token:
            del self._token_of[topic]
            del self._rows[topic]
            out.append(Persist(rows.OUTBOX, topic, None))
        if self._waiting:
            self._pump(out)

    def validate(self) -> None:
        """Check that each row is either in flight or waiting (or all wait for the broker).

        Raises:
            AssertionError: a row would never be published, or is booked twice.
        """
        for topic, token in self._token_of.items():
            assert self._topic_of.get(token) == topic, f"{topic}: token {token} is not in flight"
            assert topic not in self._waiting, f"{topic} is in flight and waits"
        for topic in self._waiting:
            assert topic in self._rows, f"{topic} waits without a row"
        if self._up:
            for topic in self._rows:
                booked = topic in self._token_of or topic in self._waiting
                assert booked, f"{topic} has a row that nothing will publish"

    def _rank(self, topic: str) -> int:
        return _RANKS.get(self._rows[topic].kind, _LAST)

    def _pump(self, out: Batch) -> None:
        waiting = self._waiting
        while waiting:
            topic = next(iter(waiting))
            if len(self._topic_of) >= self.in_flight_max and self._rank(topic) == _LAST:
                return
            del waiting[topic]
            self._publish(topic, self._rows[topic], out)

    def _publish(self, topic: str, row: OutboxRow, out: Batch) -> None:
        self._token_of[topic] = token = self._take_token(topic)
        out.append(Publish(topic, row.kind, row.payload, token, retain=True))

    def _take_token(self, topic: str) -> int:
        token = self._next_token
        self._next_token = token + TOKEN_STRIDE
        self._topic_of[token] = topic
        return token
