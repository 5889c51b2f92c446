"""Which packet ids are in use, and how many publishes may be unanswered: books, without any IO.

Decides the packet id of every SUBSCRIBE and QoS 1 PUBLISH of one connection, whether a publish may
leave now, and which waiting one follows a PUBACK. Leaves out bytes, sockets and time.

Rules: never more in flight than the broker's receive maximum; what waits leaves in the order in
which it came; what waits is bounded, and the newest is refused. An id is free again when its answer
came. Books live as long as their connection: what it did not settle, the machine says again.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from devicesdk.aio.port import QUEUE_MESSAGES_MAX, PortFullError

PACKET_ID_MAX: Final = 65_535
IN_FLIGHT_MAX: Final = 32_768
"""Half of the ids, whatever the broker allows: so a free one is found at the first look."""
SUBSCRIBES_MAX: Final = 100
"""Unanswered SUBSCRIBEs; a machine that asks more is astray."""


class Window:
    """The outgoing side of one connection.

    Args:
        receive_maximum: unanswered QoS 1 publishes that the broker takes, 1 to 65,535.
        queue_messages_max: how many more may wait here.
    """

    __slots__ = ("_asked", "_held", "_last_id", "_limit", "_queue_max", "_tokens", "held_bytes")

    def __init__(self, receive_maximum: int, queue_messages_max: int = QUEUE_MESSAGES_MAX) -> None:
        self._limit = min(receive_maximum, IN_FLIGHT_MAX)
        self._queue_max = queue_messages_max
        self._tokens: dict[int, int] = {}
        self._asked: dict[int, int] | None = None
        # Made when first needed: an empty deque is 600 bytes, and most devices never fill a window.
        self._held: deque[tuple[int, int, bytes]] | None = None
        self._last_id = 0
        self.held_bytes = 0
        """Size of what waits."""

    @property
    def in_flight(self) -> int:
        """Publishes sent and not answered."""
        return len(self._tokens)

    @property
    def held(self) -> int:
        """Publishes that wait."""
        return len(self._held) if self._held else 0

    def allot(self) -> int:
        """The next packet id; it is taken only once handed to `admit` or `ask`.

        Ids of what waits need no look: they are the youngest, fewer than the ids between one turn
        of the counter and the next.

        Raises:
            PortFullError: the queue is full.
        """
        if self._held and len(self._held) >= self._queue_max:
            raise PortFullError(
                f"expected at most {self._queue_max} publishes to wait for acknowledgements, "
                "found one more: wait for on_puback"
            )
        packet_id = self._last_id % PACKET_ID_MAX + 1
        while packet_id in self._tokens or (self._asked and packet_id in self._asked):
            packet_id = packet_id % PACKET_ID_MAX + 1
        return packet_id

    def admit(self, packet_id: int, token: int, packet: bytes) -> bool:
        """Take up a publish: True to send it now, False when it was put aside until `release`."""
        self._last_id = packet_id
        if len(self._tokens) < self._limit and not self._held:
            self._tokens[packet_id] = token
            return True
        if self._held is None:
            self._held = deque()
        self._held.append((packet_id, token, packet))
        self.held_bytes += len(packet)
        return False

    def settle(self, packet_id: int) -> int | None:
        """The token of the publish that a PUBACK names; None for one that is not in flight."""
        return self._tokens.pop(packet_id, None)

    def release(self) -> bytes | None:
        """The next waiting publish, to be sent now; None when none may leave."""
        if not self._held or len(self._tokens) >= self._limit:
            return None
        packet_id, token, packet = self._held.popleft()
        self._tokens[packet_id] = token
        self.held_bytes -= len(packet)
        if not self._held:
            self._held = None
        return packet

    def ask(self, filters: int) -> int:
        """Take up a SUBSCRIBE of so many filters, and give its packet id.

        Raises:
            PortFullError: `SUBSCRIBES_MAX` are unanswered, or the queue of publishes is full.
        """
        if self._asked is None:
            self._asked = {}
        if len(self._asked) >= SUBSCRIBES_MAX:
            raise PortFullError(
                f"expected at most {SUBSCRIBES_MAX} unanswered subscribes, found one more: "
                "wait for on_suback"
            )
        packet_id = self._last_id = self.allot()
        self._asked[packet_id] = filters
        return packet_id

    def answer(self, packet_id: int) -> int | None:
        """How many filters the SUBSCRIBE that a SUBACK names had; None for one never sent."""
        filters = self._asked.pop(packet_id, None) if self._asked else None
        if not self._asked:
            self._asked = None
        return filters
