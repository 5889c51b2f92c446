"""The broker's place in the world: its clock, its being up or down, its accept rate.

Decides when the broker's deadlines ring and what an outage of it does to everybody. Leaves out MQTT
(world/broker) and the paths to it (path.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from devicesdk.wire.timebase import DAY, NEVER
from devicesim.world.broker.broker import Broker
from devicesim.world.broker.packets import Connack, Connect, Message, Outlet, ReasonCode
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import DOWN, DropCause

INTRUDER_EXPIRY_NS: Final = DAY
"""As long as an intruder lets the session live: it must not end with its own connection."""


class ConnectRequest(msgspec.Struct, frozen=True):
    """What a client says when it connects."""

    connect: Connect
    keepalive_ns: int


class Intruder:
    """A second client under the id of another: it reads what is sent, and acknowledges nothing.

    Args:
        broker: where it connects.
        client_id: whose session it takes.
    """

    __slots__ = ("_broker", "_client_id", "connected")

    def __init__(self, broker: BrokerHost, client_id: str) -> None:
        self._broker, self._client_id = broker, client_id
        self.connected = False

    def come(self, now: int) -> Callable[[int], None]:
        """Connect, if the broker listens; returns what ends it."""
        if self._broker.up:
            request = Connect(client_id=self._client_id, session_expiry_ns=INTRUDER_EXPIRY_NS)
            self.connected = True
            self.connected = self._broker.connect(now, request, self).accepted
        return self.leave

    def leave(self, now: int) -> None:
        """Go, without a will; whoever took over before has ended the connection already."""
        if self.connected:
            self.connected = False
            self._broker.core.disconnect(now, self._client_id, send_will=False)
            self._broker.rearm()

    def accepted(self, now: int, connack: Connack) -> None:
        """Outlet: CONNACK."""

    def deliver(self, now: int, packet_id: int, message: Message, dup: bool) -> None:  # noqa: ARG002, FBT001
        """Outlet: a copy goes to the wrong one; what wants an acknowledgement is sent again later."""
        ledger = self._broker.core.ledger
        ledger.opened(DOWN, message.kind)
        ledger.dropped(DOWN, message.kind, DropCause.TAKEN_OVER)

    def closed(self, now: int, reason: ReasonCode) -> None:
        """Outlet: the owner is back, or the broker gone."""
        del now, reason
        self.connected = False


class BrokerHost:
    """Runs the broker.

    Args:
        kernel: virtual time.
        core: the broker itself.
        refuses_when_busy: answer a connection past the accept rate with "server busy" instead of
            not at all.
    """

    __slots__ = (
        "_alarm",
        "core",
        "neighbour",
        "publishing",
        "refuses_when_busy",
        "restarts",
        "up",
        "when_up",
    )

    def __init__(self, kernel: Kernel, core: Broker, *, refuses_when_busy: bool) -> None:
        self.core = core
        self.refuses_when_busy = refuses_when_busy
        self.up = True
        self.restarts = 0
        self.publishing = False
        self.neighbour: Callable[[int], None] | None = None
        """Called after each publish of a device: the gateway looks into its inbox."""
        self._alarm = kernel.alarm(self._tick)

    def connect(self, now: int, connect: Connect, outlet: Outlet) -> Connack:
        """Let the broker see a CONNECT; it takes over an older connection."""
        connack = self.core.connect(now, connect, outlet)
        self.rearm()
        return connack

    def publish(self, now: int, client_id: str, message: Message) -> ReasonCode:
        """Let the broker see a PUBLISH, and the gateway, which stands beside it, what came of it."""
        self.publishing = True
        reason = self.core.publish(now, client_id, message)
        self.publishing = False
        if self.neighbour is not None:
            self.neighbour(now)
        return reason

    def stop(self, now: int, *, lose_sessions: bool) -> None:
        """Kill the broker; `start` brings it back."""
        self.up = False
        self.restarts += 1
        self.core.restart(now, lose_sessions=lose_sessions)
        self.rearm()

    def start(self) -> None:
        """Listen again."""
        self.up = True

    def intrude(self, now: int, client_id: str) -> Callable[[int], None]:
        """A second client connects under this id and is given its session; returns what ends it."""
        return Intruder(self, client_id).come(now)

    def rearm(self) -> None:
        """Ask the broker for its next deadline."""
        due = self.core.deadline()
        self._alarm.arm(NEVER if due is None else due[0])

    def _tick(self, now: int) -> None:
        self.core.tick(now)
        self.rearm()
