"""Acknowledgements to the broker, in the order in which the messages came.

Decides when the PUBACK of a message that is dealt with may leave: when all that came before it on the same
connection are dealt with, too. Leaves out what dealing with one means (runtime.py: durable).

Rules: "MUST send PUBACK packets in the order in which the corresponding PUBLISH packets were received"
(MQTT 5, 4.6, MQTT-4.6.0-2): mosquitto does not mind, rumqttd hangs up. Packet identifiers mean nothing on
another connection: what is left of an earlier one is forgotten with the first message of the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable


class Acks:
    """Messages of one connection that the broker waits for, oldest first."""

    __slots__ = ("_dealt_with", "_epoch", "_held", "_order")

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._dealt_with: dict[int, bool] = {}
        self._epoch = self._held = 0

    def __len__(self) -> int:
        return len(self._order)

    @property
    def held(self) -> bool:
        """Whether a message that is dealt with waits for one before it."""
        return self._held > 0

    def arrived(self, packet_id: int, epoch: int) -> None:
        """A message came on the connection with this number."""
        if epoch != self._epoch:
            self.clear()
            self._epoch = epoch
        if packet_id not in self._dealt_with:
            self._dealt_with[packet_id] = False
            self._order.append(packet_id)

    def settle(self, packet_ids: Iterable[int], acknowledge: Callable[[int], None]) -> None:
        """These are dealt with: acknowledge all that nothing stands before any more."""
        order, dealt_with = self._order, self._dealt_with
        for packet_id in packet_ids:
            if dealt_with.get(packet_id) is False:
                dealt_with[packet_id] = True
                self._held += 1
        while order and dealt_with[order[0]]:
            packet_id = order.popleft()
            del dealt_with[packet_id]
            self._held -= 1
            acknowledge(packet_id)

    def clear(self) -> None:
        """The connection is gone; the broker delivers them again."""
        self._order.clear()
        self._dealt_with.clear()
        self._held = 0
