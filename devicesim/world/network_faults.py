"""What the faults of `devicesim.scenario.network_faults` do to paths, and how they are undone.

Decides who is hit how. Leaves out what a path makes of it (path.py, gates.py, connection.py).

Rules: each fault is a stack on each path, so that it is over for a device when the last one over it is;
`heal` ends them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesim.world import gates
from devicesim.world.fault_kit import Begin, Undo

if TYPE_CHECKING:
    from devicesim.scenario import network_faults as verbs
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.gates import Gates
    from devicesim.world.world import World


def hold(world: World, action: verbs.Hold, hosts: list[DeviceHost], now: int) -> Undo:
    """What is published stays on the path."""
    del action

    def change(host: DeviceHost, at: int, step: int) -> None:
        host.path.overlay.hold += step
        host.path.refresh(at)

    for host in hosts:
        change(host, now, 1)
    return world.heals.register(hosts, lambda host, at: change(host, at, -1))


def captive_portal(
    world: World, action: verbs.CaptivePortal, hosts: list[DeviceHost], now: int
) -> Undo:
    """Nobody but the portal answers."""
    black = int(action.existing == "silent")

    def change(host: DeviceHost, at: int, step: int) -> None:
        def lay(on: Gates) -> None:
            on.portals += step

        gates.change(host.path, at, lay)
        if black:
            host.path.overlay.black += step
            host.path.refresh(at)

    for host in hosts:
        change(host, now, 1)
    return world.heals.register(hosts, lambda host, at: change(host, at, -1))


def nat_timeout(world: World, action: verbs.NatTimeout, hosts: list[DeviceHost], now: int) -> Undo:
    """Connections are forgotten; of several timeouts the shortest counts."""
    idle_ns = action.idle_ns

    def lift(host: DeviceHost, at: int) -> None:
        left = list(host.path.overlay.nats)
        left.remove(idle_ns)
        host.path.nat(at, tuple(left))

    for host in hosts:
        host.path.nat(now, (*host.path.overlay.nats, idle_ns))
    return world.heals.register(hosts, lift)


def dns_gone(world: World, action: verbs.DnsGone, hosts: list[DeviceHost], now: int) -> Undo:
    """No name; who has asked in vain remembers that for a while."""

    def change(host: DeviceHost, at: int, step: int) -> None:
        def lay(on: Gates) -> None:
            on.nameless += step

        gates.change(host.path, at, lay)

    def lift(host: DeviceHost, at: int) -> None:
        over = host.path.gates
        waits = 0
        if action.ttl_ns and over is not None and over.nameless_seen:
            luck = world.entropy.stream("dns.ttl", f"{action.key}/{host.device}")
            waits = int(luck.uniform() * action.ttl_ns)
        if waits:
            world.kernel.at(at + waits, lambda then, _: change(host, then, -1), None)
        else:
            change(host, at, -1)

    for host in hosts:
        change(host, now, 1)
    return world.heals.register(hosts, lift)


BEGIN: Final[dict[str, Begin]] = {
    "hold": hold,
    "captive_portal": captive_portal,
    "nat.timeout": nat_timeout,
    "dns.gone": dns_gone,
}
"""Verb to what begins it."""
