"""What the broker remembers of one client.

Decides the layout: one slotted object per client identifier, connected or not, whose costly parts
(queue, resend list) exist only while something is in them. Leaves out every decision: `lifecycle`
opens and ends sessions, `delivery` moves copies.

Invariants (checked by `Session.validate`): `room` is the window less the copies sent and not
acknowledged, 0 while offline; a copy waits in `queue` or `resend` only while `room` is 0.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import NEVER
from devicesim.world.broker.packets import Message, Outlet, Will

if TYPE_CHECKING:  # routing hands sessions around: a run-time import would be a circle
    from devicesim.world.broker.routing import FilterNode, ShareGroup

PACKET_ID_MAX: Final = 65_535
PACKET_BYTES_UNLIMITED: Final = 268_435_460
"""Largest packet that MQTT can express (3.1.2.11.4)."""


class Session:
    """The session state of MQTT 5 section 4.1, server side, without QoS 2.

    `inflight` keeps the order of first sending; `resend` lists the packet identifiers in it that the
    present connection has not seen yet. `outlet` is None while offline; `outlet_qos0` is also None
    while the send buffer is congested.
    """

    __slots__ = (
        "_alone",
        "client_id",
        "expires_at_ns",
        "expiry_ns",
        "inflight",
        "next_packet_id",
        "outlet",
        "outlet_qos0",
        "packet_bytes_max",
        "queue",
        "resend",
        "room",
        "subscriptions",
        "username",
        "will",
        "will_due_ns",
        "window",
    )

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.username = client_id
        self.outlet: Outlet | None = None
        self.outlet_qos0: Outlet | None = None
        self.inflight: dict[int, Message] = {}
        self.queue: deque[Message] | None = None
        self.resend: deque[int] | None = None
        self.window = 0
        self.room = 0
        self.next_packet_id = 1
        self.packet_bytes_max = PACKET_BYTES_UNLIMITED
        self.subscriptions: list[FilterNode | ShareGroup] = []
        self.expiry_ns = 0
        self.expires_at_ns = NEVER
        self.will: Will | None = None
        self.will_due_ns = NEVER
        self._alone: dict[int, tuple[tuple[Session, int], ...]] | None = None

    def alone(self, qos: int) -> tuple[tuple[Session, int], ...]:
        """Return the member list of a filter that only this session holds, shared by all of them."""
        if self._alone is None:
            self._alone = {}
        members = self._alone.get(qos)
        if members is None:
            members = self._alone[qos] = ((self, qos),)
        return members

    def attach(self, outlet: Outlet, window: int, packet_bytes_max: int | None) -> None:
        """Go online: everything in flight is to be sent again (MQTT-4.4.0-1)."""
        self.outlet = self.outlet_qos0 = outlet
        self.window = self.room = window
        self.packet_bytes_max = packet_bytes_max or PACKET_BYTES_UNLIMITED
        self.resend = deque(self.inflight) if self.inflight else None
        self.will_due_ns = self.expires_at_ns = NEVER

    def detach(self) -> None:
        """Go offline: nothing can be sent, what is in flight stays unacknowledged."""
        self.outlet = self.outlet_qos0 = None
        self.resend = None
        self.window = self.room = 0

    def take_packet_id(self) -> int:
        """Allot the next packet identifier that is not in flight (2.2.1)."""
        packet_id = self.next_packet_id
        while packet_id in self.inflight:
            packet_id = packet_id + 1 if packet_id < PACKET_ID_MAX else 1
        self.next_packet_id = packet_id + 1 if packet_id < PACKET_ID_MAX else 1
        return packet_id

    def held_copies(self) -> int:
        """Count the QoS 1 copies in flight and queued."""
        return len(self.inflight) + (len(self.queue) if self.queue else 0)

    def validate(self) -> None:
        """Re-check the invariants.

        Raises:
            AssertionError: the story of the one that does not hold.
        """
        waiting = len(self.resend or ())
        sent = len(self.inflight) - waiting if self.outlet is not None else 0
        assert self.room == self.window - sent >= 0, (
            f"session {self.client_id}: expected room {self.window} - {sent}, found {self.room}"
        )
        assert self.outlet is None or not self.room or not (waiting or self.queue), (
            f"session {self.client_id}: {self.room} free places in the window while "
            f"{waiting} copies wait to be sent again and {len(self.queue or ())} are queued"
        )
        assert all(packet_id in self.inflight for packet_id in self.resend or ()), (
            f"session {self.client_id}: a packet waits to be sent again that is not in flight"
        )
        assert self.queue is None or self.queue, f"session {self.client_id} keeps an empty queue"
        assert self.outlet_qos0 is None or self.outlet_qos0 is self.outlet
        if self.outlet is not None:
            assert self.expires_at_ns == self.will_due_ns == NEVER, (
                f"session {self.client_id} is connected and yet due to end"
            )
