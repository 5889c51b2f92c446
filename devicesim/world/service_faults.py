"""What the faults of `devicesim.scenario.service_faults` do, and how they are undone.

Decides who is hit how. Leaves out what broker, gateway and paths make of it.

Rules: overlapping faults count, whatever the order in which they end; a draw belongs to the fault and the
device it is for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import MS
from devicesim.world import gates
from devicesim.world.fault_kit import Begin, Undo, each
from devicesim.world.gates import Certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicesim.entropy import Stream
    from devicesim.scenario import service_faults as verbs
    from devicesim.scenario.action import Action
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.gates import Gates
    from devicesim.world.world import World

# -- the broker's door ----------------------------------------------------------------------------


def certificate_expires(
    world: World, action: verbs.BrokerCertificateExpires, hosts: list[DeviceHost], now: int
) -> Undo:
    """Handshakes fail; until the broker has a new certificate."""
    start_ms = world.scenario.clock.start_unix_ns // MS
    until_ms = start_ms + (now + action.lasts_ns) // MS - 1
    since_ms = start_ms + (now - action.age_ns) // MS

    def right(at: int) -> int:
        return start_ms + at // MS

    def shown_to(host: DeviceHost) -> Certificate:
        clock = host.parts.clock.wall_ms if action.clocks == "own" else right
        return Certificate(since_ms, until_ms, clock)

    shown = [(host, shown_to(host)) for host in hosts]
    for host, certificate in shown:
        gates.change(host.path, now, partial(_show, certificate))

    def undo(at: int) -> None:
        for host, certificate in shown:
            gates.change(host.path, at, partial(_renew, certificate))

    return undo


def _show(certificate: Certificate, on: Gates) -> None:
    on.certificates.append(certificate)


def _renew(certificate: Certificate, on: Gates) -> None:
    on.certificates.remove(certificate)


def refuse(world: World, action: verbs.BrokerRefuse, hosts: list[DeviceHost], now: int) -> Undo:
    """Some are not in the book."""
    if action.share < 1.0:
        hosts = [host for host in hosts if _luck(world, action, host.device).chance(action.share)]

    def change(host: DeviceHost, at: int, step: int) -> None:
        def lay(on: Gates) -> None:
            on.refusals += step

        gates.change(host.path, at, lay)

    for host in hosts:
        change(host, now, 1)
    return each(hosts, lambda host, at: change(host, at, -1))


def flow_control(
    world: World, action: verbs.BrokerFlowControl, hosts: list[DeviceHost], now: int
) -> Undo:
    """Some attempts are turned away; of several flow controls the strictest counts."""
    share = action.share

    def lay(luck: Stream, on: Gates) -> None:
        on.flows.append(share)
        on.let_in = on.let_in or luck

    for host in hosts:
        gates.change(host.path, now, partial(lay, _luck(world, action, host.device)))

    def lift(host: DeviceHost, at: int) -> None:
        gates.change(host.path, at, lambda on: on.flows.remove(share))

    return each(hosts, lift)


def _luck(world: World, action: Action, device: str) -> Stream:
    return world.entropy.stream(action.verb, f"{action.key}/{device}")


# -- the gateway ----------------------------------------------------------------------------------


def source_gone(world: World, action: verbs.SourceGone, hosts: list[DeviceHost], now: int) -> Undo:
    """Requests for chunks are not answered."""
    del hosts, now
    lucks: dict[str, Stream] = {}

    def is_silent(device: str) -> bool:
        if action.share >= 1.0:
            return True
        luck = lucks.get(device)
        if luck is None:
            luck = lucks[device] = _luck(world, action, device)
        return luck.chance(action.share)

    def changed(laid: list[Callable[[str], bool]]) -> None:
        world.gateway.silence(partial(_any, laid) if laid else None)

    return world.layers.lay(action.verb, is_silent, changed)


def _any(laid: list[Callable[[str], bool]], device: str) -> bool:
    """Whether one of them is true; each draws, whatever the others say."""
    found = [is_so(device) for is_so in laid]
    return any(found)


BEGIN: Final[dict[str, Begin]] = {
    "broker.certificate_expires": certificate_expires,
    "broker.refuse": refuse,
    "broker.flow_control": flow_control,
    "source.gone": source_gone,
}
"""Verb to what begins it."""
