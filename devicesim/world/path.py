"""A device's way to the broker: its link, what faults lay over it, and the connection on it.

Decides when what is sent arrives, what a cut does to what is on the wire, and who notices when. Leaves
out what a link's quality is (models/link.py), what the broker does with a message, and what the agent
decides (it sees only the calls on its `Station`).

Theory of operation. Two ends of a connection are open or closed independently, as with TCP. While the
path is *clear*, a cut at one end is soon seen at the other. While it is *black* (packets vanish) or
has *no carrier*, nothing is seen: each end finds out by silence, 1.5 keep-alives after the last ping.
Pings themselves are never events: their instants follow from the connection's age. What was on the
wire when it went black stays in TCP's send buffers and goes out again if the path heals in time.

Acknowledgements of a lone publish are settled late: the instant at which the PUBACK arrives is known
when the publish arrives, and the agent is told before whatever happens to it next. While that instant is
certain to come, the station is told so (`acked_by`), and needs no timer for it; `on_doubt` takes it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from devicesdk.wire.timebase import MS, NEVER, SECOND
from devicesim.entropy import Stream
from devicesim.models.availability import Availability
from devicesim.models.link import Link
from devicesim.world.broker.packets import Message, ReasonCode
from devicesim.world.broker_host import BrokerHost, ConnectRequest
from devicesim.world.connection import (
    NOTHING_ON_THE_WIRE,
    OPEN,
    RETRANSMIT_NS_MIN,
    Connection,
)
from devicesim.world.gates import Gates
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import DropCause, Ledger

NO_CARRIER_NOTICE_NS: Final = 50 * MS


class Station(Protocol):
    """The device end: what the path tells its owner."""

    acked_by: int
    """Set by the path: when everything in flight will have been acknowledged; NEVER: nobody knows."""

    def on_connected(self, now: int, session_present: bool) -> None: ...  # noqa: D102, FBT001
    def on_connect_failed(self, now: int, reason: str) -> None: ...  # noqa: D102
    def on_disconnected(self, now: int, reason: str) -> None: ...  # noqa: D102
    def on_suback(self, now: int, codes: tuple[int, ...]) -> None: ...  # noqa: D102
    def on_acked(self, now: int, token: int) -> None: ...  # noqa: D102
    def on_unheard(self, now: int, token: int) -> None: ...  # noqa: D102
    def on_doubt(self, now: int) -> None: ...  # noqa: D102
    def on_message(self, now: int, message: Message) -> None: ...  # noqa: D102
    def on_messages(self, now: int, messages: Iterable[Message]) -> None: ...  # noqa: D102
    def on_bearer(self, now: int, up: bool) -> None: ...  # noqa: D102, FBT001


class Overlay:
    """What faults lay over one path; each is a stack of active faults, undone by token."""

    __slots__ = (
        "black", "detached", "extra_rtt_ns", "hold", "jitter_ns", "loss", "nat_ns", "nats", "rate_bit_s",
        "reset",
    )  # fmt: skip

    def __init__(self) -> None:
        self.black = 0
        self.detached = 0
        self.reset = 0
        self.extra_rtt_ns = 0
        self.jitter_ns = 0
        self.rate_bit_s = 0.0
        self.loss = 0.0
        self.hold = 0
        self.nat_ns = 0
        """Silence after which a mapping is forgotten, the shortest of `nats`; 0: never."""
        self.nats: tuple[int, ...] = ()


class Path:
    """One device's attachment to the network.

    Args:
        kernel: virtual time.
        ledger: the message books (legs ``up`` and ``down``).
        broker: where connections go.
        link: quality and availability.
        luck: the device's stream for what faults add.
        station: the device end.
    """

    __slots__ = (
        "_alarm_broker",
        "_alarm_carrier",
        "_alarm_device",
        "_alarm_nat",
        "_cap_free",
        "_ghost",
        "_kernel",
        "_ledger",
        "_link",
        "_luck",
        "black",
        "black_since",
        "broker",
        "carrier",
        "cleared_at",
        "connection",
        "copies_lost", "gates",
        "overlay",
        "said_at",
        "station",
        "stuffed",
        "unmapped",
    )  # fmt: skip

    def __init__(
        self,
        kernel: Kernel,
        ledger: Ledger,
        broker: BrokerHost,
        link: Link,
        luck: Stream,
        station: Station,
    ) -> None:
        self._kernel, self._ledger, self.broker = kernel, ledger, broker
        self._link, self._luck, self.station = link, luck, station
        self.overlay = Overlay()
        self._cap_free = [0, 0]
        self.connection: Connection | None = None
        self._ghost: Connection | None = None  # one that only the broker still believes in
        self.copies_lost = 0
        """Copies of messages that were on the wire when a connection ended."""
        self.black = False
        self.black_since = self.cleared_at = 0
        """When the path last went black, and when it was last clear again."""
        self.stuffed = False
        """Whether what is published stays on the path: it is black, or a fault holds it."""
        self.unmapped = False
        """Whether a NAT has forgotten the present connection."""
        self.said_at = 0
        """When something was last under way; kept only while a NAT forgets."""
        self.gates: Gates | None = None
        """What stands before new connections; None: nothing."""
        self.carrier = link.is_up(0)
        self._alarm_carrier = kernel.alarm(self._carrier_changes)
        self._alarm_carrier.arm(link.next_change(0)[0])
        self._alarm_device = kernel.alarm(self._device_notices)
        self._alarm_broker = kernel.alarm(self._broker_notices)
        self._alarm_nat = kernel.alarm(self._nat_looks)

    # -- what faults do -------------------------------------------------------------------------

    def refresh(self, now: int) -> None:
        """Apply the overlay and the link's availability after either has changed."""
        overlay = self.overlay
        carrier = not overlay.detached and self._link.is_up(now)
        black = bool(overlay.black) or not carrier or self.unmapped
        was, self.stuffed = self.stuffed, black or bool(overlay.hold)
        if black != self.black:
            self.black = black
            if black:
                self.black_since = now
                self._goes_black(now)
            else:
                self.cleared_at = now
                self._clears(now)
        elif was and not self.stuffed:
            self.cleared_at = now
            self._lets_go(now)
        if overlay.reset:
            self._is_reset(now)
        if carrier != self.carrier:
            self.carrier = carrier
            self.station.on_bearer(now, carrier)

    def steady(self, now: int, availability: Availability) -> None:
        """Let the link come and go as this says from now on, whatever it would have done by itself."""
        self._link.availability = availability
        self.refresh(now)
        self._alarm_carrier.arm(self._link.next_change(now)[0])

    def _carrier_changes(self, now: int) -> None:
        self.refresh(now)
        self._alarm_carrier.arm(self._link.next_change(now)[0])

    def _goes_black(self, now: int) -> None:
        connection = self.connection
        if connection is None:
            return
        connection.stall(now)
        silence = connection.silence_ends_at(now)
        if connection.device_open:
            self._alarm_device.arm(silence)
        if connection.broker_open:
            self._haunt(connection, silence)

    def _haunt(self, connection: Connection, silence: int) -> None:
        self._ghost = connection
        self._alarm_broker.arm(silence)

    def _clears(self, now: int) -> None:
        self._alarm_device.arm(NEVER)
        connection = self.connection
        if connection is None or not connection.device_open:
            return  # the broker's end still waits for a keep-alive that will not come
        if connection.broker_open:
            self._alarm_broker.arm(NEVER)
            connection.resume(now)
        elif connection.state == OPEN:
            self._kernel.at(now + self.rtt_ns(now), connection.reset_seen, "reset")

    def _lets_go(self, now: int) -> None:
        """What was held on a path that is clear goes on."""
        if self.connection is not None:
            self.connection.release(now)

    # -- what a NAT forgets ---------------------------------------------------------------------

    def nat(self, now: int, timeouts: tuple[int, ...]) -> None:
        """Forget the connection after the shortest of these silences, counted anew from now."""
        self.overlay.nats = timeouts
        idle_ns = self.overlay.nat_ns = min(timeouts, default=0)
        self.said_at = now
        self._alarm_nat.arm(now + idle_ns if idle_ns else NEVER)

    def _map_anew(self, now: int) -> None:
        """A new connection has a new mapping."""
        if self.unmapped:
            self.unmapped = False
            self.refresh(now)

    def _nat_looks(self, now: int) -> None:
        connection, idle_ns = self.connection, self.overlay.nat_ns
        if connection is None or connection.state != OPEN or self.black or not idle_ns:
            return  # the next message looks again
        if connection.keepalive_ns <= idle_ns:
            return  # pings come in time
        gone = max(self.said_at, connection.pinged_at(now)) + idle_ns
        if now < gone:
            self._alarm_nat.arm(gone)
        else:
            self.unmapped = True
            self.refresh(now)

    def _is_reset(self, now: int) -> None:
        connection = self.connection
        if connection is not None and (connection.device_open or connection.broker_open):
            connection.drop_broker_end(now, ReasonCode.UNSPECIFIED_ERROR)
            connection.drop_device_end(now, DropCause.CONNECTION_LOST)
            self.station.on_disconnected(now, "reset")

    def _device_notices(self, now: int) -> None:
        connection = self.connection
        if connection is not None and connection.device_open:
            connection.drop_device_end(now, DropCause.BLACK_HOLE)
            self.station.on_disconnected(now, "keep-alive")

    def _broker_notices(self, now: int) -> None:
        ghost, self._ghost = self._ghost, None
        if ghost is not None and ghost.broker_open:
            ghost.drop_broker_end(now, ReasonCode.KEEP_ALIVE_TIMEOUT)

    # -- what the station asks ------------------------------------------------------------------

    def open(self, now: int, request: ConnectRequest) -> None:
        """Try to connect; the station hears `on_connected`, `on_connect_failed`, or nothing at all."""
        old = self.connection
        if old is not None and old.device_open:
            self.close(now, DropCause.CONNECTION_LOST)
        self._map_anew(now)
        self._link.reset()
        connection = self.connection = Connection(self, request, self._kernel, self._ledger)
        overlay = self.overlay
        if not self.carrier:
            self._kernel.at(now + NO_CARRIER_NOTICE_NS, connection.failed, "no carrier")
        elif overlay.reset:
            self._kernel.at(now + self.rtt_ns(now), connection.failed, "reset")
        elif not self.black:
            if self.gates is not None:
                self._try(now, self.gates, connection)
            else:
                self._kernel.at(now + self.handshake_ns(now), connection.knock)

    def _try(self, now: int, gates: Gates, connection: Connection) -> None:
        stopped = gates.stops(self, now)
        if stopped is not None:
            self._kernel.at(now + stopped[0], connection.failed, stopped[1])
        elif not gates.portals:
            self._kernel.at(now + self.handshake_ns(now), connection.knock)

    def close(self, now: int, cause: DropCause, *, polite: bool = False) -> None:
        """Close the device's end; the broker's end hears of it if anything can still get through."""
        connection = self.connection
        if connection is None or not connection.device_open:
            return
        audible = not self.black and cause is not DropCause.POWER_OFF
        connection.drop_device_end(now, cause)
        self._alarm_device.arm(NEVER)
        if connection.broker_open:
            if audible:
                connection.drop_broker_end(now, ReasonCode.UNSPECIFIED_ERROR, polite=polite)
            else:
                self._haunt(connection, connection.silence_ends_at(now))

    @property
    def is_open(self) -> bool:
        """Whether the device has a connection that it believes in."""
        connection = self.connection
        return connection is not None and connection.device_open and connection.state == OPEN

    @property
    def ghost(self) -> Connection | None:
        """The connection, other than the present one, that the broker may still believe in."""
        return self._ghost if self._ghost is not self.connection else None

    def on_the_wire(self) -> tuple[int, int]:
        """Messages (up, down) under way on the connection and on one that only the broker believes in."""
        connection, ghost = self.connection, self._ghost
        found = NOTHING_ON_THE_WIRE if connection is None else connection.on_the_wire()
        if ghost is None or ghost is connection:
            return found
        up, down = ghost.on_the_wire()
        return found[0] + up, found[1] + down

    # -- how long things take -------------------------------------------------------------------

    def rtt_ns(self, now: int) -> int:
        """Round trip now, faults included."""
        return self._link.rtt_ns(now) + self.overlay.extra_rtt_ns

    def handshake_ns(self, now: int) -> int:
        """From SYN until the CONNECT has reached the broker."""
        return self._link.handshake_ns(now) + 3 * self.overlay.extra_rtt_ns

    def delay_ns(self, nbytes: int, now: int, downlink: bool) -> int:  # noqa: FBT001 - a hot path
        """One way for a message of `nbytes`; books it on the link."""
        delay = self._link.arrival_delay_ns(nbytes, now, downlink)
        overlay = self.overlay
        if overlay.extra_rtt_ns or overlay.rate_bit_s or overlay.loss or overlay.nat_ns:
            delay += self._hardship_ns(nbytes, now, downlink)
        return delay

    def _hardship_ns(self, nbytes: int, now: int, downlink: bool) -> int:  # noqa: FBT001 - a hot path
        overlay = self.overlay
        if overlay.nat_ns:
            self.said_at = now
            if self._alarm_nat.at == NEVER:
                self._alarm_nat.arm(now + overlay.nat_ns)
        extra = overlay.extra_rtt_ns // 2
        if overlay.jitter_ns:
            extra += int(self._luck.uniform() * overlay.jitter_ns)
        if overlay.rate_bit_s:
            # one message after the other: eight chunks under way share the cap
            begin = max(now, self._cap_free[downlink])
            self._cap_free[downlink] = begin + int(8 * nbytes * SECOND / overlay.rate_bit_s)
            extra += self._cap_free[downlink] - now
        if overlay.loss:
            packets = 1 + nbytes // 1460
            timeout = RETRANSMIT_NS_MIN + 2 * overlay.extra_rtt_ns
            while packets and self._luck.chance(1 - (1 - overlay.loss) ** packets):
                extra += timeout
                packets, timeout = 1, min(2 * timeout, 60 * SECOND)
        return extra
