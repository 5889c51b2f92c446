"""What the timeline does to the world, and how it is undone.

Decides the effect of each verb of `devicesim.scenario.faults` on paths, bodies, gauges, broker and
gateway. Leaves out the language (selectors, triggers, durations) and when a fault is due
(timeline.py).

Rules: each verb has one function that begins it and returns what undoes it (or None when it is over at
once). Overlapping faults count: the path is clear only when every partition over it has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from devicesdk.wire.timebase import SECOND
from devicesim.entropy import Stream
from devicesim.models import crossing
from devicesim.models.datastream import Condition
from devicesim.scenario import faults as verbs
from devicesim.world import network_faults, service_faults
from devicesim.world.device_host import DeviceHost
from devicesim.world.fault_kit import Begin, Undo
from devicesim.world.fault_kit import each as _each
from devicesim.world.flash import Worn
from gateway.core.stimuli import RegisterRole

if TYPE_CHECKING:
    from devicesim.entropy import Stream
    from devicesim.world.world import World

_RAMP_STEPS: Final = 8
DIP_EFFECTS: Final = 8
"""A dip of the supply is felt at one of so many effects, the next ones that the device performs."""


# -- links ----------------------------------------------------------------------------------------


def partition(world: World, action: verbs.Partition, hosts: list[DeviceHost], now: int) -> Undo:
    """Cut paths."""
    field = {"blackhole": "black", "reset": "reset", "detach": "detached"}[action.how]

    def change(host: DeviceHost, at: int, step: int) -> None:
        overlay = host.path.overlay
        setattr(overlay, field, max(0, getattr(overlay, field) + step))
        host.path.refresh(at)

    for host in hosts:
        change(host, now, 1)
    return world.heals.register(hosts, lambda host, at: change(host, at, -1))


def heal(world: World, action: verbs.Heal, hosts: list[DeviceHost], now: int) -> None:
    """End every link fault of the target, at once or each device at its own moment."""
    luck = world.entropy.stream("heal.order", action.key)
    last = now
    for host in hosts:
        at = now + (int(luck.uniform() * action.order.over_ns) if action.order.over_ns else 0)
        last = max(last, at)
        world.kernel.at(at, world.heals.end_for, host)
    world.kernel.at(last, world.heal_is_over, action)


def _overlay(field: str, amount: Callable[[Any], float]) -> Begin:
    def begin(world: World, action: Any, hosts: list[DeviceHost], now: int) -> Undo:
        del now
        value = amount(action)

        def add(host: DeviceHost, step: float) -> None:
            overlay = host.path.overlay
            setattr(overlay, field, max(type(value)(0), getattr(overlay, field) + step))

        for host in hosts:
            add(host, value)
        return world.heals.register(hosts, lambda host, _: add(host, -value))

    return begin


def latency(world: World, action: verbs.Latency, hosts: list[DeviceHost], now: int) -> Undo:
    """Slower paths."""
    for host in hosts:
        host.path.overlay.jitter_ns = action.jitter_ns
    return _overlay("extra_rtt_ns", lambda a: a.add_ns)(world, action, hosts, now) or _nothing


def _nothing(now: int) -> None:
    """Nothing to undo."""


# -- broker and gateway ---------------------------------------------------------------------------


def broker_restart(
    world: World, action: verbs.BrokerRestart, hosts: list[DeviceHost], now: int
) -> Undo | None:
    """Kill the broker; it comes back at the end."""
    del hosts
    world.broker.stop(now, lose_sessions=action.lose_sessions)
    if action.for_ns is None:
        world.broker.start()
        return None
    return lambda _: world.broker.start()


def broker_slow_accept(
    world: World, action: verbs.BrokerSlowAccept, hosts: list[DeviceHost], now: int
) -> Undo:
    """Accept more slowly."""
    del hosts, now
    core, usual = world.broker.core, world.broker.core.limits.accept_rate_per_s

    def slowest(laid: list[float]) -> None:
        core.set_accept_rate(min(laid) if laid else usual)

    return world.layers.lay("accept rate", action.rate_per_s, slowest)


def gateway_crash(
    world: World, action: verbs.GatewayCrash, hosts: list[DeviceHost], now: int
) -> Undo:
    """Kill the gateway, now or at an effect; it starts again at the end."""
    del hosts
    world.gateway.keep_down(now)
    world.gateway.crash(now, action.effect)
    return world.gateway.let_up


def gateway_slow_store(
    world: World, action: verbs.GatewaySlowStore, hosts: list[DeviceHost], now: int
) -> Undo:
    """Slow commits."""
    del hosts, now
    gateway = world.gateway

    def slowest(laid: list[int]) -> None:
        gateway.commit_ns = max(laid, default=0)

    return world.layers.lay("commit", action.commit_ns, slowest)


def keys_rotate(world: World, action: verbs.KeysRotate, hosts: list[DeviceHost], now: int) -> None:
    """New keys, and a root that says so; without roles there is nobody to sign one."""
    del hosts
    roles = world.roles
    if roles is None:
        world.skip(action.key, "the scenario says `trust: keys`", now)
        return
    signed = [roles.rotate(action.roles, now)]
    if "targets" in action.roles:
        signed.append(roles.targets(None, now))
    _register(now, (world, signed))


def keys_tidy(world: World, action: verbs.KeysTidy, hosts: list[DeviceHost], now: int) -> None:
    """Old roots are gone; the gateway starts again in good order with what is left."""
    del hosts
    if world.roles is None:
        world.skip(action.key, "the scenario says `trust: keys`", now)
        return
    world.gateway.keep_down(now)
    world.gateway.stop(now)
    world.gateway.lose_roots(action.keep)
    world.gateway.let_up(now)


def _register(now: int, argument: tuple[World, list[bytes]]) -> None:
    """The owner's side: what a gateway that is down did not hear is said again."""
    world, signed = argument
    if not world.gateway.up:
        world.kernel.at(now + SECOND, _register, argument)
        return
    for metadata in signed:
        world.gateway.stimulate(RegisterRole(metadata), now)


# -- power and storage ----------------------------------------------------------------------------


def power_cut(world: World, action: object, hosts: list[DeviceHost], now: int) -> Undo:
    """All power away."""
    del world, action
    for host in hosts:
        host.wanted_on = False
        host.power_off(now)

    def back(host: DeviceHost, at: int) -> None:
        host.wanted_on = True
        host.power_on(at)

    return _each(hosts, back)


def device_reboot(world: World, action: object, hosts: list[DeviceHost], now: int) -> None:
    """Orderly restart."""
    del world, action
    for host in hosts:
        host.reboot(now, tear=False)


def brown_out(world: World, action: verbs.BrownOut, hosts: list[DeviceHost], now: int) -> Undo:
    """Dips at random moments, each felt at one of the next things that the device does."""
    lasts = [True]

    def dip(at: int, argument: tuple[DeviceHost, Stream]) -> None:
        host, luck = argument
        if not lasts:
            return
        if host.on and host.fuse <= 0:
            host.fuse = 1 + luck.integer(DIP_EFFECTS)
        world.kernel.at(at + 1 + int(luck.exponential(action.every_ns)), dip, argument)

    for host in hosts:
        host.revives += 1
        luck = world.entropy.stream("brown_out", f"{action.key}/{host.device}")
        world.kernel.at(now + int(luck.exponential(action.every_ns)), dip, (host, luck))

    def steady(host: DeviceHost, _: int) -> None:
        host.revives -= 1
        if not host.revives:
            host.fuse = -1

    def undo(at: int) -> None:
        lasts.clear()
        _each(hosts, steady)(at)

    return undo


def boot_loop(world: World, action: verbs.BootLoop, hosts: list[DeviceHost], now: int) -> Undo:
    """Boot, crash, boot."""
    digests = {bundle.name: digest for digest, bundle in world.bundles.items()}
    manifest = None if action.bundle is None else digests[action.bundle]
    return world.crashes.loop(action, manifest, hosts, now)


def device_repair(
    world: World, action: verbs.DeviceRepair, hosts: list[DeviceHost], now: int
) -> None:
    """Somebody comes to each, at once or at a moment of its own."""
    luck = world.entropy.stream("repair.order", action.key)
    last = now
    for host in hosts:
        at = now + (int(luck.uniform() * action.order.over_ns) if action.order.over_ns else 0)
        last = max(last, at)
        world.kernel.at(at, world.crashes.repair, host)
    world.kernel.at(last, world.heal_is_over, action)


def _body(modifier: Callable[[Any], crossing.Modifier]) -> Begin:
    def begin(world: World, action: Any, hosts: list[DeviceHost], now: int) -> Undo:
        del world
        laid = modifier(action)
        for host in hosts:
            host.parts.body.apply(now, laid)
            host.body_changed(now)

        def lift(host: DeviceHost, at: int) -> None:
            host.parts.body.undo(at, laid)
            host.body_changed(at)

        return _each(hosts, lift)

    return begin


def flash_full(world: World, action: verbs.FlashFull, hosts: list[DeviceHost], now: int) -> Undo:
    """No room."""
    del world, now
    before = [(host, host.parts.flash.capacity_bytes) for host in hosts]
    for host, capacity in before:
        host.parts.flash.capacity_bytes = int(capacity * action.free_share)

    def undo(_: int) -> None:
        for host, capacity in before:
            host.parts.flash.capacity_bytes = capacity

    return undo


def flash_worn(world: World, action: verbs.FlashWorn, hosts: list[DeviceHost], now: int) -> Undo:
    """A medium at its end."""
    del now
    laid = []
    for host in hosts:
        luck = world.entropy.stream("flash.worn", f"{action.key}/{host.device}")
        laid.append((host.parts.flash, Worn(luck, action.share, action.bad_share)))
        host.parts.flash.worn = (*host.parts.flash.worn, laid[-1][1])

    def undo(_: int) -> None:
        for flash, fault in laid:
            flash.worn = tuple(other for other in flash.worn if other is not fault)

    return undo


def tamper_chunks(
    world: World, action: verbs.TamperChunks, hosts: list[DeviceHost], now: int
) -> Undo:
    """Flip a byte of some chunks on their way."""
    del now
    targets = {host.device for host in hosts}
    streams: dict[str, Stream] = {}

    def change(device: str, chunk: bytes) -> bytes:
        if device not in targets:
            return chunk
        luck = streams.get(device)
        if luck is None:  # its own: what others fetch, and when, changes nothing for it
            luck = streams[device] = world.entropy.stream(f"tamper.{action.key}", device)
        if not luck.chance(action.share):
            return chunk
        place = luck.integer(len(chunk))
        return chunk[:place] + bytes([chunk[place] ^ 0xFF]) + chunk[place + 1 :]

    world.gateway.tamper(change)
    return lambda _: world.gateway.tamper(None)


# -- clock, sensing, computing --------------------------------------------------------------------


def clock_lose_rtc(world: World, action: object, hosts: list[DeviceHost], now: int) -> None:
    """1970."""
    del world, action
    for host in hosts:
        host.parts.clock.boot(now, lost_rtc=True)
        if host.on:
            host.reboot(now, tear=False)


def clock_skew(world: World, action: verbs.ClockSkew, hosts: list[DeviceHost], now: int) -> Undo:
    """Run fast or slow."""
    del world
    for host in hosts:
        clock = host.parts.clock
        clock.skew(now, action.ppm)
        if action.step_ns:
            clock.set_wall(now, clock.wall_ms(now) + action.step_ns // 1_000_000)
    return _each(hosts, lambda host, at: host.parts.clock.skew(at, 0.0))


def data_drift(world: World, action: verbs.DataDrift, hosts: list[DeviceHost], now: int) -> Undo:
    """Bend what sensors see, at once or in steps."""
    condition = Condition(action.what.name)
    tokens: dict[int, int] = {}

    def bend(at: int, share: float) -> None:
        for host in hosts:
            gauge = host.parts.gauge
            if host.index in tokens:
                gauge.undo(tokens.pop(host.index))
            if share:
                tokens[host.index] = gauge.apply(condition, action.what.severity * share, at)

    steps = _RAMP_STEPS if action.ramp_ns else 1
    bend(now, 1 / steps)
    for step in range(1, steps):
        world.kernel.at(now + action.ramp_ns * step // steps, bend, (step + 1) / steps)
    return lambda at: bend(at, 0.0)


def sensor_stuck(world: World, action: object, hosts: list[DeviceHost], now: int) -> Undo:
    """The same picture again and again."""
    del world, action
    tokens = {host.index: host.parts.gauge.apply(Condition.STUCK, 0.0, now) for host in hosts}
    return _each(hosts, lambda host, _: host.parts.gauge.undo(tokens[host.index]))


def kernel_fault(world: World, action: object, hosts: list[DeviceHost], now: int) -> Undo:
    """Int8 sums saturate."""
    del world, action, now

    def add(host: DeviceHost, step: int) -> None:
        host.parts.kernel_faults += step

    for host in hosts:
        add(host, 1)
    return _each(hosts, lambda host, _: add(host, -1))


ENDS_ITSELF: Final = frozenset({"heal", "device.repair"})
"""Verbs that are over at once and say themselves when the last device was reached."""
BEGIN: Final[dict[str, Begin]] = {
    "partition": partition,
    "heal": heal,
    "latency": latency,
    "bandwidth": _overlay("rate_bit_s", lambda a: float(a.rate_bit_s)),
    "loss": _overlay("loss", lambda a: float(a.share)),
    "broker.restart": broker_restart,
    "broker.slow_accept": broker_slow_accept,
    "gateway.crash": gateway_crash,
    "gateway.slow_store": gateway_slow_store,
    "keys.rotate": keys_rotate,
    "keys.tidy": keys_tidy,
    "power.cut": power_cut,
    "device.reboot": device_reboot,
    "brown_out": brown_out,
    "boot.loop": boot_loop,
    "device.repair": device_repair,
    "unplug": _body(lambda _: crossing.plugged(on=False)),
    "plug": _body(lambda _: crossing.plugged(on=True)),
    "battery.age": _body(lambda a: crossing.battery_age(a.health, a.resistance)),
    "flash.full": flash_full,
    "flash.worn": flash_worn,
    "tamper.chunks": tamper_chunks,
    "clock.lose_rtc": clock_lose_rtc,
    "clock.skew": clock_skew,
    "heat.wave": _body(lambda a: crossing.heat_wave(a.by_c)),
    "sun": _body(lambda a: crossing.sun(a.by_w)),
    "data.drift": data_drift,
    "sensor.stuck": sensor_stuck,
    "kernel.fault": kernel_fault,
    **network_faults.BEGIN,
    **service_faults.BEGIN,
}
"""Verb to what begins it; a test holds this against the scenario language's registry."""


class Heals:
    """Who lies under which link fault, so that `heal` can end them all for one device."""

    __slots__ = ("_under", "clear_since_ns")

    def __init__(self) -> None:
        self._under: dict[int, list[Callable[[DeviceHost, int], None]]] = {}
        self.clear_since_ns: int | None = None
        """Since when nobody lies under a link fault any more; None while somebody does, or nobody ever did."""

    def register(self, hosts: list[DeviceHost], lift: Callable[[DeviceHost, int], None]) -> Undo:
        """Note that these devices lie under a fault; returns what ends it for those still under."""
        for host in hosts:
            self._under.setdefault(host.index, []).append(lift)
            self.clear_since_ns = None

        def undo(now: int) -> None:
            for host in hosts:
                if lift in self._under.get(host.index, []):
                    self._under[host.index].remove(lift)
                    lift(host, now)
                    self._over(now, host)

        return undo

    def end_for(self, now: int, host: DeviceHost) -> None:
        """End every link fault of one device."""
        if host.index in self._under:
            for lift in self._under[host.index]:
                lift(host, now)
            self._under[host.index].clear()
            self._over(now, host)

    def _over(self, now: int, host: DeviceHost) -> None:
        if not self._under[host.index]:
            del self._under[host.index]
            if not self._under:
                self.clear_since_ns = now
