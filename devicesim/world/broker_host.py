"""The broker's place in the world: its clock, its being up or down, its accept rate.

Decides when the broker's deadlines ring and what an outage of it does to everybody. Leaves out MQTT
(world/broker) and the paths to it (path.py).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from devicesdk.wire.timebase import NEVER
from devicesim.world.broker.broker import Broker
from devicesim.world.broker.packets import Connack, Connect, Message, Outlet
from devicesim.world.kernel import Kernel


class ConnectRequest(msgspec.Struct, frozen=True):
    """What a client says when it connects."""

    connect: Connect
    keepalive_ns: int


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

    def publish(self, now: int, client_id: str, message: Message) -> None:
        """Let the broker see a PUBLISH, and the gateway, which stands beside it, what came of it."""
        self.publishing = True
        self.core.publish(now, client_id, message)
        self.publishing = False
        if self.neighbour is not None:
            self.neighbour(now)

    def stop(self, now: int, *, lose_sessions: bool) -> None:
        """Kill the broker; `start` brings it back."""
        self.up = False
        self.restarts += 1
        self.core.restart(now, lose_sessions=lose_sessions)
        self.rearm()

    def start(self) -> None:
        """Listen again."""
        self.up = True

    def rearm(self) -> None:
        """Ask the broker for its next deadline."""
        due = self.core.deadline()
        self._alarm.arm(NEVER if due is None else due[0])

    def _tick(self, now: int) -> None:
        self.core.tick(now)
        self.rearm()
