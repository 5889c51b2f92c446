"""One connection on a path: its two ends, what is on the wire, and who learns of what when.

Decides how sent messages become arrivals and what a stall, a heal or the end of either side does to
those under way. Leaves out when the path is black or clear (path.py, whose theory of operation covers
this file too).

Rules: every message sent is on exactly one of four queues (flying or held, up or down) until it has
arrived or was dropped with a cause; arrivals in one direction keep their order, as TCP's do.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import MS, NEVER, SECOND
from devicesim.world.broker.packets import Connack, Message, ReasonCode, packet_bytes
from devicesim.world.gates import BUSY, REFUSED
from devicesim.world.ledger import DOWN, UP, DropCause, Ledger

if TYPE_CHECKING:
    from devicesim.world.broker_host import ConnectRequest
    from devicesim.world.kernel import Kernel
    from devicesim.world.path import Path

RETRANSMIT_NS_MIN: Final = 200 * MS
ACK_NS_MAX: Final = 10 * SECOND
"""An acknowledgement that takes longer to come back is no longer taken for granted."""

_NOBODY: Final = ReasonCode.NO_MATCHING_SUBSCRIBERS
NOTHING_ON_THE_WIRE: Final = (0, 0)

OPENING: Final = 0
OPEN: Final = 1
CLOSED: Final = 2


class Connection:
    """One connection, with its two ends and what is on the wire; the broker's `Outlet`."""

    __slots__ = (
        "_down", "_down_due", "_flying_down", "_flying_up", "_generation", "_held_down", "_held_pubacks", "_held_up", "_kernel",
        "_ledger", "_opened_at", "_path", "_request", "_up", "broker_open", "client_id", "device_open",
        "late_acks", "state", "unacked",
    )  # fmt: skip

    def __init__(self, path: Path, request: ConnectRequest, kernel: Kernel, ledger: Ledger) -> None:
        self._path, self._request, self._kernel, self._ledger = path, request, kernel, ledger
        self._up, self._down = ledger.leg(UP), ledger.leg(DOWN)
        self.client_id = request.connect.client_id
        self.state = OPENING
        self.device_open, self.broker_open = True, False
        self._opened_at = kernel.now
        self._generation = 0
        self._flying_up: deque[tuple[Message, int]] = deque()
        self._flying_down: deque[tuple[int, int, Message]] = deque()
        self._held_up: list[tuple[Message, int]] = []
        self._held_down: list[tuple[int, Message]] = []
        self._held_pubacks: list[int] = []
        self._down_due = NEVER
        self.late_acks: deque[tuple[int, int]] = deque()
        self.unacked = 0

    def on_the_wire(self) -> tuple[int, int]:
        """Messages (up, down) sent and neither arrived nor dropped: counted in the real queues."""
        if not (self._flying_up or self._held_up or self._flying_down or self._held_down):
            return NOTHING_ON_THE_WIRE  # nearly always: checks ask everybody
        return (
            len(self._flying_up) + len(self._held_up),
            len(self._flying_down) + len(self._held_down),
        )

    def silence_ends_at(self, now: int) -> int:
        """When an end that hears nothing from `now` on gives up: 1.5 keep-alives after the last ping."""
        return self.pinged_at(now) + self._request.keepalive_ns * 3 // 2

    def pinged_at(self, now: int) -> int:
        """The instant of the last ping (the opening, before the first)."""
        return now - (now - self._opened_at) % self._request.keepalive_ns

    @property
    def keepalive_ns(self) -> int:
        """The longest silence of the device."""
        return self._request.keepalive_ns

    # -- opening --------------------------------------------------------------------------------

    def failed(self, now: int, reason: str) -> None:
        """The attempt came to nothing and the device is told."""
        if self.device_open and self.state == OPENING:
            self.device_open, self.state = False, CLOSED
            self._path.station.on_connect_failed(now, reason)

    def knock(self, now: int, _: object) -> None:
        """The CONNECT has reached the broker's machine."""
        if not self.device_open or self._path.black:
            return
        broker = self._path.broker
        if not broker.up:
            self._kernel.at(now + self._path.rtt_ns(now), self.failed, "refused")
            return
        gates = self._path.gates
        if gates is not None and gates.busy():
            self._kernel.at(now + self._path.rtt_ns(now), self.failed, BUSY)
            return
        served = broker.core.admit(now)
        if served is not None:
            self._kernel.at(served, self._served, broker.core.epoch)
        elif broker.refuses_when_busy:
            self._kernel.at(now + self._path.rtt_ns(now), self.failed, BUSY)

    def _served(self, now: int, epoch: int) -> None:
        broker = self._path.broker
        if not self.device_open or not broker.up or self._path.black or epoch != broker.core.epoch:
            return
        gates = self._path.gates
        if gates is not None and gates.refusals:
            self._kernel.at(now + self._path.rtt_ns(now), self.failed, REFUSED)
            return
        self.broker_open = True
        connack = broker.connect(now, self._request.connect, self)
        if not connack.accepted:
            self.broker_open = False
            self._kernel.at(now + self._path.rtt_ns(now), self.failed, connack.reason.name.lower())

    def accepted(self, now: int, connack: Connack) -> None:
        """Outlet: the CONNACK leaves the broker."""
        delay = self._path.delay_ns(16, now, downlink=True)
        self._kernel.at(now + delay, self._connack_arrives, connack.session_present)

    def _connack_arrives(self, now: int, session_present: bool) -> None:  # noqa: FBT001
        if self.device_open and self.state == OPENING and not self._path.black:
            self.state = OPEN
            self._opened_at = now
            self._path.station.on_connected(now, session_present)

    # -- up -------------------------------------------------------------------------------------

    def publish(self, now: int, message: Message, token: int) -> None:
        """Send a message up; `token` > 0 wants its PUBACK."""
        self._up.opened[message.kind] += 1
        if token:
            self.unacked += 1
        if self._path.stuffed or self._held_up or not self.broker_open:
            self._held_up.append((message, token))
        else:
            self._fly_up(now, message, token)

    def _fly_up(self, now: int, message: Message, token: int) -> None:
        path = self._path
        at = now + path.delay_ns(packet_bytes(message), now, downlink=False)
        self._flying_up.append((message, token))
        self._kernel.at(at, self._up_arrives, self._generation)
        if token and self.unacked == 1:
            path.station.acked_by = at + ACK_NS_MAX

    def _up_arrives(self, now: int, generation: int) -> None:
        if generation != self._generation or not self._flying_up:
            return
        message, token = self._flying_up.popleft()
        self._up.delivered[message.kind] += 1
        reason = self._path.broker.publish(now, self.client_id, message)
        if token:
            way_back = self._path.rtt_ns(now) // 2
            if reason is _NOBODY and not message.retain:
                self._kernel.at(now + way_back, self._unheard, token)
                self._doubt(now)
            elif self.unacked == 1 and way_back <= ACK_NS_MAX:
                self.late_acks.append((now + way_back, token))
            else:
                self._kernel.at(now + way_back, self._ack_arrives, token)
                self._doubt(now)

    def _ack_arrives(self, now: int, token: int) -> None:
        if not self.device_open:
            return
        if self._path.black:  # TCP sends it again once the path is clear
            self.late_acks.append((now, token))
            return
        self.unacked -= 1
        self._path.station.on_acked(now, token)

    def _unheard(self, now: int, token: int) -> None:
        """The broker's answer that it had nobody for a publish; told at once, because the agent acts upon it."""
        if not self.device_open:
            return
        if self._path.black:
            self._kernel.at(now + SECOND, self._unheard, token)
            return
        self.unacked -= 1
        self._path.station.on_unheard(now, token)

    def settle(self, now: int) -> list[int]:
        """Take the tokens whose acknowledgements have arrived by `now`; they are for the station."""
        return [] if self._path.black else self._arrived_acks(now)

    def _arrived_acks(self, now: int) -> list[int]:
        late, tokens = self.late_acks, []
        while late and late[0][0] <= now:
            tokens.append(late.popleft()[1])
            self.unacked -= 1
        return tokens

    def _tell_acks(self, now: int, tokens: list[int]) -> None:
        for token in tokens:
            self._path.station.on_acked(now, token)

    def _doubt(self, now: int) -> None:
        """What is in flight may not be acknowledged in time after all."""
        station = self._path.station
        if self.device_open and station.acked_by != NEVER:
            station.acked_by = NEVER
            station.on_doubt(now)

    def subscribe(self, now: int, filters: tuple[str, ...]) -> None:
        """Send a SUBSCRIBE (QoS 1 for each filter)."""
        delay = self._path.delay_ns(16 + sum(map(len, filters)), now, downlink=False)
        self._kernel.at(now + delay, self._subscribe_arrives, (self._generation, filters))

    def _subscribe_arrives(self, now: int, argument: tuple[int, tuple[str, ...]]) -> None:
        generation, filters = argument
        if generation == self._generation and self.broker_open and not self._path.black:
            # the SUBACK precedes retained messages on the wire (MQTT 5, 3.8.4)
            delay = self._path.delay_ns(8 + len(filters), now, downlink=True)
            found = self._path.broker.core.subscribe(now, self.client_id, [(f, 1) for f in filters])
            codes = tuple(int(code) for code in found)
            self._kernel.at(now + delay, self._suback_arrives, (generation, codes))

    def _suback_arrives(self, now: int, argument: tuple[int, tuple[int, ...]]) -> None:
        if argument[0] == self._generation and self.device_open:
            self._path.station.on_suback(now, argument[1])

    # -- down -----------------------------------------------------------------------------------

    def deliver(self, now: int, packet_id: int, message: Message, dup: bool) -> None:  # noqa: ARG002, FBT001
        """Outlet: the broker sends a copy down."""
        self._down.opened[message.kind] += 1
        if self._path.stuffed or self._held_down or not self.device_open:
            self._held_down.append((packet_id, message))
        else:
            self._fly_down(now, packet_id, message)

    def _fly_down(self, now: int, packet_id: int, message: Message) -> None:
        at = now + self._path.delay_ns(packet_bytes(message), now, downlink=True)
        flying = self._flying_down
        if flying and flying[-1][0] > at:  # faults delay each by its own size: order is kept
            at = flying[-1][0]
        flying.append((at, packet_id, message))
        if self._down_due == NEVER:
            self._down_due = at
            self._kernel.at(at, self._down_arrives, self._generation)

    def _down_arrives(self, now: int, generation: int) -> None:
        if generation != self._generation:
            return
        self._land(now)
        flying = self._flying_down
        if not flying or generation != self._generation:
            self._down_due = NEVER
            return
        due = flying[0][0]
        if flying[0][2].kind == "dat":  # a round acts when its last frame is there
            for at, _, message in flying:
                if message.kind != "dat":
                    break
                due = at
        self._down_due = due
        self._kernel.at(due, self._down_arrives, generation)

    def _land(self, now: int) -> None:
        """Hand over every message that has arrived by `now`."""
        flying = self._flying_down
        while flying and flying[0][0] <= now and self.device_open:
            _, packet_id, message = flying.popleft()
            self._down.delivered[message.kind] += 1
            if packet_id:
                ack_at = now + self._path.rtt_ns(now) // 2
                self._kernel.at(ack_at, self._puback_arrives, packet_id)
            self._path.station.on_message(now, message)

    def _puback_arrives(self, now: int, packet_id: int) -> None:
        if not self.broker_open:
            return
        if self._path.black:
            self._held_pubacks.append(packet_id)
        else:
            self._path.broker.core.puback(now, self.client_id, packet_id)

    # -- stalls and ends ------------------------------------------------------------------------

    def stall(self, now: int) -> None:
        """The path went black: what has arrived counts, the rest waits in the send buffers."""
        self._tell_acks(now, self._arrived_acks(now))
        self._land(now)
        self._generation += 1
        self._held_up[:0] = self._flying_up
        self._held_down[:0] = [(packet_id, message) for _, packet_id, message in self._flying_down]
        self._flying_up.clear()
        self._flying_down.clear()
        self._down_due = NEVER
        self._doubt(now)

    def resume(self, now: int) -> None:
        """The path healed in time: TCP sends again what it held."""
        start = now + max(RETRANSMIT_NS_MIN, 2 * self._path.rtt_ns(now))
        self._kernel.at(start, self._retransmit, self._generation)

    def _retransmit(self, now: int, generation: int) -> None:
        if generation != self._generation or self._path.black or not self.broker_open:
            return
        for packet_id in self._held_pubacks:
            self._path.broker.core.puback(now, self.client_id, packet_id)
        self._held_pubacks = []
        self.release(now)

    def release(self, now: int) -> None:
        """Send what was held, in its order, unless the path holds it still."""
        if self._path.stuffed or not (self.broker_open and self.device_open):
            return
        up, down = self._held_up, self._held_down
        self._held_up, self._held_down = [], []
        for message, token in up:
            self._fly_up(now, message, token)
        for packet_id, message in down:
            self._fly_down(now, packet_id, message)

    def reset_seen(self, now: int, reason: str) -> None:
        """The device learns that the broker's end is gone."""
        if self.device_open and not self._path.black:
            self.drop_device_end(now, DropCause.CONNECTION_LOST)
            self._path.station.on_disconnected(now, reason)

    def closed(self, now: int, reason: ReasonCode) -> None:
        """Outlet: the broker ended the connection (take-over, restart, too large a packet)."""
        self.broker_open = False
        taken = reason is ReasonCode.SESSION_TAKEN_OVER
        cause = DropCause.TAKEN_OVER if taken else DropCause.CONNECTION_LOST
        self._lose_up(cause)
        if self.device_open and not self._path.black:
            self._kernel.at(now + self._path.rtt_ns(now) // 2, self.reset_seen, reason.name.lower())
        elif not self.device_open:
            self._lose_down(cause)

    def drop_broker_end(self, now: int, reason: ReasonCode, *, polite: bool = False) -> None:
        """Close the broker's end from outside: FIN, reset, or keep-alive timeout."""
        if self.broker_open:
            self.broker_open = False
            self._lose_up(DropCause.CONNECTION_LOST)
            if not self.device_open:  # what was sent to a device that had left already
                self._lose_down(DropCause.BLACK_HOLE)
            broker = self._path.broker
            if polite:
                broker.core.disconnect(now, self.client_id, send_will=False)
            else:
                broker.core.connection_lost(now, self.client_id, reason)
            broker.rearm()

    def drop_device_end(self, now: int, cause: DropCause) -> None:
        """Close the device's end: everything that was on the wire goes with it, with a cause."""
        if self.device_open:
            self._tell_acks(now, self.settle(now))
            self._land(now)
            self.device_open, self.state = False, CLOSED
            self._generation += 1
            self._lose_up(cause)
            self._lose_down(cause)
            self.late_acks.clear()
            self._down_due = NEVER

    def _lose_up(self, cause: DropCause) -> None:
        self._path.copies_lost += len(self._flying_up) + len(self._held_up)
        for message, _ in (*self._flying_up, *self._held_up):
            self._ledger.dropped(UP, message.kind, cause)
        self._flying_up.clear()
        self._held_up.clear()

    def _lose_down(self, cause: DropCause) -> None:
        self._path.copies_lost += len(self._flying_down) + len(self._held_down)
        for _, _, message in self._flying_down:
            self._ledger.dropped(DOWN, message.kind, cause)
        for _, message in self._held_down:
            self._ledger.dropped(DOWN, message.kind, cause)
        self._flying_down.clear()
        self._held_down.clear()
