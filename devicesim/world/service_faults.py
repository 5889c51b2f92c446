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
from devicesim.world.gateway_host import CLIENT_ID

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
        if action.clocks == "right":
            return Certificate(since_ms, until_ms, right)
        if world.scenario.agent.tls_time == "proved":
            return Certificate(since_ms, until_ms, partial(_proved_ms, host))
        return Certificate(since_ms, until_ms, host.parts.clock.wall_ms)

    shown = [(host, shown_to(host)) for host in hosts]
    for host, certificate in shown:
        gates.change(host.path, now, partial(_show, certificate))

    def undo(at: int) -> None:
        for host, certificate in shown:
            gates.change(host.path, at, partial(_renew, certificate))

    return undo


def _proved_ms(host: DeviceHost, now: int) -> int:
    """What a device's clock says, or what was proved to it, the later one; survives a lost clock."""
    wall = host.parts.clock.wall_ms(now)
    return wall if host.agent is None else max(wall, host.agent.proved_ms(now))


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


# -- what the broker does with messages and sessions -----------------------------------------------


def overflow(world: World, action: verbs.BrokerOverflow, hosts: list[DeviceHost], now: int) -> Undo:
    """Shorter queues; of several bounds the lowest counts."""
    del hosts, now
    core = world.broker.core
    usual = core.limits.queue_messages_max

    def changed(laid: list[int]) -> None:
        core.set_queue_max(min([*laid, usual]))

    return world.layers.lay(action.verb, action.queue_max_messages, changed)


def drop_acked(
    world: World, action: verbs.BrokerDropAcked, hosts: list[DeviceHost], now: int
) -> Undo:
    """Acknowledged and lost."""
    del hosts, now
    draw = _draws(world, action, action.share)

    def eats(client: str) -> bool:
        whose = "gateway" if client == CLIENT_ID else "devices"
        return action.of in (whose, "all") and draw(client)

    def changed(laid: list[Callable[[str], bool]]) -> None:
        world.broker.core.eat(partial(_any, laid) if laid else None)

    return world.layers.lay(action.verb, eats, changed)


def take_over(
    world: World, action: verbs.BrokerTakeOver, hosts: list[DeviceHost], now: int
) -> Undo | None:
    """Somebody else under the same id, once or again and again."""
    leave: dict[int, Undo] = {}
    going_on = [True]

    def come(at: int, _: object = None) -> None:
        if not going_on:
            return
        for host in hosts:
            leave[host.index] = world.broker.intrude(at, host.device)
        if action.every_ns:
            world.kernel.at(at + action.every_ns, come)

    come(now)
    if action.for_ns is None and not action.every_ns:
        return None

    def undo(at: int) -> None:
        going_on.clear()
        for go in leave.values():
            go(at)

    return undo


# -- the gateway ----------------------------------------------------------------------------------


def source_gone(world: World, action: verbs.SourceGone, hosts: list[DeviceHost], now: int) -> Undo:
    """Requests for chunks are not answered."""
    del hosts, now

    def changed(laid: list[Callable[[str], bool]]) -> None:
        world.gateway.silence(partial(_any, laid) if laid else None)

    return world.layers.lay(action.verb, _draws(world, action, action.share), changed)


def full_store(
    world: World, action: verbs.GatewayFullStore, hosts: list[DeviceHost], now: int
) -> Undo:
    """No commit succeeds."""
    del hosts
    world.gateway.fill_store(now, full=True)

    def changed(laid: list[None]) -> None:
        if not laid:
            world.gateway.fill_store(world.now, full=False)

    return world.layers.lay(action.verb, None, changed)


def restart(
    world: World, action: verbs.GatewayRestart, hosts: list[DeviceHost], now: int
) -> Undo | None:
    """Down in good order, and up again."""
    del hosts
    world.gateway.keep_down(now)
    world.gateway.stop(now)
    if action.for_ns is None:
        world.gateway.let_up(now)
        return None
    return world.gateway.let_up


def deploy_older(
    world: World, action: verbs.GatewayDeployOlder, hosts: list[DeviceHost], now: int
) -> Undo:
    """Down in good order; the older one refuses the rows; until the newer one is back."""
    del action, hosts
    world.gateway.keep_down(now)
    world.gateway.stop(now)
    world.gateway.refuse_rows(now)
    return world.gateway.let_up


def _draws(world: World, action: Action, share: float) -> Callable[[str], bool]:
    """Toss a coin of one's own for each client, opened when it is first tossed."""
    lucks: dict[str, Stream] = {}

    def draw(client: str) -> bool:
        if share >= 1.0:
            return True
        luck = lucks.get(client)
        if luck is None:
            luck = lucks[client] = _luck(world, action, client)
        return luck.chance(share)

    return draw


def _any(laid: list[Callable[[str], bool]], device: str) -> bool:
    """Whether one of them is true; each draws, whatever the others say."""
    found = [is_so(device) for is_so in laid]
    return any(found)


BEGIN: Final[dict[str, Begin]] = {
    "broker.certificate_expires": certificate_expires,
    "broker.refuse": refuse,
    "broker.flow_control": flow_control,
    "broker.overflow": overflow,
    "broker.drop_acked": drop_acked,
    "broker.take_over": take_over,
    "source.gone": source_gone,
    "gateway.full_store": full_store,
    "gateway.restart": restart,
    "gateway.deploy_older": deploy_older,
}
"""Verb to what begins it."""
