"""Checks of messages and sessions: nothing vanishes, nobody is there twice, nobody is deceived for long.

Decides how the books are held against the real queues, and what a device may believe of its
connection. Leaves out what messages say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from devicesdk.wire.timebase import format_duration, to_seconds
from devicesim.world.checks.check import Check, SweepingCheck
from devicesim.world.connection import NOTHING_ON_THE_WIRE
from devicesim.world.gateway_host import RECEIVE_MAXIMUM
from devicesim.world.ledger import DOWN, LEGS, UP, Leg

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.connection import Connection
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

VALIDATED_DEVICES_MAX: Final = 64
"""Agents whose own invariants are looked at in one sweep; all of them at the end."""


class _Validates(Protocol):
    def validate(self) -> None: ...


def copies_found(world: World) -> dict[Leg, int]:
    """Count every copy of a message in the real queues, leg by leg."""
    up = down = 0
    for host in world.hosts:
        found = host.path.on_the_wire()
        if found is not NOTHING_ON_THE_WIRE:
            up += found[0]
            down += found[1]
    down += world.gateway.on_the_wire()
    return {UP: up, DOWN: down, **world.broker.core.held_copies()}


def copies_unaccounted(world: World) -> int:
    """Count copies for which books and queues disagree, over all legs."""
    found, ledger = copies_found(world), world.ledger
    return sum(abs(ledger.held(leg) - found[leg]) for leg in LEGS)


class Conservation(SweepingCheck):
    """Every copy is delivered, waiting, or dropped with a cause."""

    name: ClassVar[str] = "conservation"
    suspect: ClassVar[str] = "broker"

    def sweep(self, now: int) -> None:
        """Hold the books against the queues."""
        self.judged += 1
        story = self.world.ledger.conserved(copies_found(self.world))
        if story is not None:
            self.fail(now, story)


class OneSession(SweepingCheck):
    """The broker serves one live connection for each client id, and it is the device's newest."""

    name: ClassVar[str] = "one_session"

    def connected(self, host: DeviceHost, now: int) -> None:
        """A connection that got its CONNACK has ended every older one."""
        self.judged += 1
        ghost = host.path.ghost
        if ghost is not None and ghost.broker_open:
            self.fail(
                now, "expected the take-over to end the older connection, found both live", host
            )

    def sweep(self, now: int) -> None:
        """The broker's outlet of a device is the connection that the device is on."""
        outlet = self.world.broker.core.outlet
        for host in self.world.hosts:
            connection = host.path.connection
            if connection is not None and connection.broker_open:
                self.judged += 1
                if outlet(host.device) is not connection:
                    self.fail(
                        now,
                        "expected the broker to serve the device's open connection, found another "
                        "or none",
                        host,
                    )


class DeadLinkNoticed(SweepingCheck):
    """No device believes that it is connected past 1.5 keep-alives and the grace.

    A path that went black is known to the nanosecond, so each notice is judged as it comes; those
    that never come are found by the sweep. A connection whose other end is gone on a clear path is
    found when two sweeps see it.
    """

    name: ClassVar[str] = "dead_link_noticed"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._half_open: dict[int, Connection] = {}

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """A device learns that its connection is gone: not too late?"""
        del reason
        if host.path.black:
            self._judge(host, now)

    def sweep(self, now: int) -> None:
        """Find those who have not learnt it at all."""
        half_open: dict[int, Connection] = {}
        for host in self.world.hosts:
            if not host.online:
                continue
            if host.path.black:
                self._judge(host, now)
                continue
            connection = host.path.connection
            if connection is not None and not connection.broker_open:
                half_open[host.index] = connection
                if self._half_open.get(host.index) is connection:
                    self.fail(
                        now, "expected a reset to be noticed on a clear path, found no notice", host
                    )
        self._half_open = half_open

    @property
    def looked_every_ns(self) -> int:
        """Nothing to find between two sweeps: a notice is given that time."""
        return 0

    def _judge(self, host: DeviceHost, now: int) -> None:
        self.judged += 1
        config = host.parts.config
        allowed = config.keepalive_ns * 3 // 2 + config.keepalive_grace_ns
        allowed += self.world.stage.tolerance_ns
        deaf = now - host.path.black_since
        if deaf > allowed:
            self.fail(
                now,
                f"expected a dead path to be noticed within {format_duration(allowed)}, found the "
                f"device still connected {to_seconds(deaf):.1f} s after it went black",
                host,
            )


class SilentWhenOff(Check):
    """A device that is off emits nothing."""

    name: ClassVar[str] = "silent_when_off"

    def published(self, host: DeviceHost, effect: ask.Publish, now: int) -> None:
        """Power is needed to speak."""
        self.judged += 1
        if not host.on:
            self.fail(
                now, f"expected silence of a device without power, found a {effect.kind}", host
            )

    def attempted(self, host: DeviceHost, now: int) -> None:
        """Power is needed to connect."""
        self.judged += 1
        if not host.on:
            self.fail(now, "expected silence of a device without power, found a CONNECT", host)

    def connected(self, host: DeviceHost, now: int) -> None:
        """A device without power cannot be connected."""
        if not host.on:
            self.fail(
                now, "expected no connection of a device without power, found a CONNACK", host
            )

    def inferred(self, host: DeviceHost, frames: int, now: int) -> None:
        """Power is needed to compute."""
        if not host.on:
            self.fail(now, f"expected a device without power to rest, found {frames} frames", host)


class BoundedQueues(SweepingCheck):
    """Queues of broker and gateway, copies in flight, and outboxes of devices stay within their limits."""

    name: ClassVar[str] = "bounded_queues"
    suspect: ClassVar[str] = "broker"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._start = 0

    def sweep(self, now: int) -> None:
        """Look at the peaks, and at what agents and gateway say of their own books."""
        self.judged += 1
        world = self.world
        allowed = world.broker.core.limits.queue_messages_max
        peak = world.broker.core.queue_peak
        if peak > allowed:
            self.fail(now, f"expected at most {allowed} copies queued in a session, found {peak}")
        flying, window = world.broker.core.most_in_flight(), world.broker.core.limits.inflight_max
        if flying > window:
            self.fail(
                now, f"expected at most {window} copies in flight to one client, found {flying}"
            )
        if world.gateway.inbox_peak > RECEIVE_MAXIMUM:
            self.fail(
                now,
                f"expected at most {RECEIVE_MAXIMUM} messages in the gateway's inbox, found "
                f"{world.gateway.inbox_peak}",
            )
        self._validate(now, VALIDATED_DEVICES_MAX)

    def ended(self, now: int) -> None:
        """Look at every agent."""
        self.sweep(now)
        self._validate(now, len(self.world.hosts))

    def _validate(self, now: int, devices_max: int) -> None:
        hosts = self.world.hosts
        count = min(devices_max, len(hosts))
        for place in range(self._start, self._start + count):
            host = hosts[place % len(hosts)]
            agent = host.agent
            if agent is not None:
                self._own_books(agent, now, host)
        self._start = (self._start + count) % len(hosts) if hosts else 0
        if self.world.gateway.up:
            self._own_books(self.world.gateway.core, now, None)

    def _own_books(self, machine: _Validates, now: int, host: DeviceHost | None) -> None:
        try:
            machine.validate()
        except AssertionError as error:
            self.fail(now, f"expected its books to be in order, found: {error}", host)
