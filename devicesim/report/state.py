"""The state of a stopped world, as an engineer wants it in a debugger.

Decides what is shown of the fleet, the broker, the gateway and one device, in which order. Reads and never
changes anything; of a device's agent it shows what the agent itself says (`snapshot`, `dues`), beside what
the world knows better (its path, its body, its flash).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from devicesdk.agent.snapshot import decode_state
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import to_seconds
from devicesim.report.causes import instant
from devicesim.report.figures import count, duration, plural

if TYPE_CHECKING:
    from devicesim.world.causes.inquiry import InForce
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.drill import Drill
    from devicesim.world.world import World

QUEUES_SHOWN: Final = 5
ROLLOUTS_SHOWN: Final = 5
PARTS_SHOWN: Final = 6
_NAME: Final = 10


def state_lines(drill: Drill, in_force: list[InForce], device: str) -> list[str]:
    """Describe a world that stands still.

    Args:
        drill: of the world.
        in_force: the faults that last.
        device: id of the device of interest; empty: none.

    Raises:
        KeyError: there is no such device.
    """
    world = drill.world
    faults = [f"{one.key} since {instant(one.since_ns)} ({one.devices})" for one in in_force]
    found = [
        f"{'stopped':{_NAME}} at {instant(world.now)}, after {count(world.kernel.events)} events",
        f"{'faults':{_NAME}} {'; '.join(faults) or 'none in force'}",
        *_fleet(drill),
        *_broker(world),
        *_gateway(drill),
    ]
    return found + (_device(world, world.host(device)) if device else [])


def _row(name: str, text: str) -> str:
    return f"{name:{_NAME}} {text}"


def _fleet(drill: Drill) -> list[str]:
    world, sessions = drill.world, drill.meter.sessions
    hosts = world.hosts
    off = sum(not host.on for host in hosts)
    dark = sum(host.path.black for host in hosts)
    running = Counter(
        world.bundles[host.manifest].name if host.manifest in world.bundles else "nothing"
        for host in hosts
        if host.on
    )
    groups = [f"{name} {part.online}/{part.count}" for name, part in sessions.groups.items()]
    return [
        _row("fleet", f"{count(sessions.online_count)} of {count(len(hosts))} online, {off} without power, "
             f"{dark} with a dead path, {drill.meter.updates.downloading} fetching"),
        _row("", f"online by group: {', '.join(groups[:PARTS_SHOWN])}"),
        _row("", "running: " + ", ".join(f"{name} x {n}" for name, n in running.most_common(PARTS_SHOWN))),
    ]  # fmt: skip


def _broker(world: World) -> list[str]:
    broker = world.broker
    held = ", ".join(f"{leg} {n}" for leg, n in broker.core.held_copies().items())
    found = [
        _row(
            "broker",
            f"{'up' if broker.up else 'DOWN'}, restarted {broker.restarts} times; copies held: {held}; longest "
            f"queue ever {broker.core.queue_peak}",
        )
    ]
    longest = getattr(broker.core, "longest_queues", None)
    for client, length, kind in longest(QUEUES_SHOWN) if longest is not None else ():
        found.append(
            _row("", f"{client} has {plural(length, 'copy', 'copies')} waiting, first a {kind}")
        )
    return found


def _gateway(drill: Drill) -> list[str]:
    world = drill.world
    gateway = world.gateway
    state = ("up" if gateway.up else "DOWN") + (
        ", connected" if gateway.connected else ", NOT connected"
    )
    core = getattr(gateway, "core", None)
    due = core.deadline() if core is not None and gateway.up else None
    timer = f"; next timer {instant(due[0])} ({due[1]})" if due is not None else ""
    waiting = f"{gateway.on_the_wire()} messages in its inbox"
    found = [_row("gateway", f"{state}, {waiting}, crashed {gateway.crashes} times{timer}")]
    for name, row in list(drill.meter.updates.rollouts.items())[:ROLLOUTS_SHOWN]:
        wave = row.waves[-1] if row.waves else None
        at = "" if wave is None else (
            f", wave {len(row.waves)} of {len(row.plan.waves)}: {wave.offered}/{wave.size} offered, "
            f"{wave.committed} committed, {wave.failed} failed, {wave.rolled_back} rolled back"
        )  # fmt: skip
        found.append(
            _row(
                "",
                f"rollout {name} {row.phase.name.lower()}{at}{f': {row.why}' if row.why else ''}",
            )
        )
    return found


def _device(world: World, host: DeviceHost) -> list[str]:
    path, body = host.path, host.parts.body.read()
    power = "on" if host.on else "OFF"
    way = "dead" if path.black else "clear"
    connection = path.connection
    link = "no connection" if connection is None else (
        f"connection: its end {'open' if connection.device_open else 'closed'}, the broker's "
        f"{'open' if connection.broker_open else 'closed'}, {sum(connection.on_the_wire())} on the wire, "
        f"{connection.unacked} unacknowledged"
    )  # fmt: skip
    name = world.bundles[host.manifest].name if host.manifest in world.bundles else "nothing"
    found = [
        _row("device", f"{host.device} ({host.parts.group}): {power}, boot {host.boot_id}, "
             f"{'online' if host.online else 'offline'}, runs {name} {host.variant} from slot {host.slot or 'none'}"),
        _row("", f"path {way}{'' if path.carrier else ', no carrier'}; {link}"),
        _row("", f"body: chip {body.chip_c:.1f} C, charge {100 * body.soc:.0f} %"
             f"{', throttled' if body.throttled else ''}{', charging' if body.charging else ''}"),
    ]  # fmt: skip
    return found + (_agent(world, host) if host.agent is not None else [])


def _agent(world: World, host: DeviceHost) -> list[str]:
    """What the agent says of itself."""
    agent = host.agent
    assert agent is not None
    state = decode_state(agent.snapshot())
    slots = []
    for name, slot in (("a", state.a), ("b", state.b)):
        bundle = world.bundles.get(slot.manifest)
        what = bundle.name if bundle is not None else "empty" if not slot.manifest else "unknown"
        marks = [word for word, on in (("verified", slot.verified), ("proven", slot.proven)) if on]
        slots.append(f"{name}: {what} {slot.variant}{' ' if marks else ''}{', '.join(marks)}")
    status = state.status
    trial = "" if state.trial is None else f", on trial in {state.trial.slot}"
    timers = [
        f"{why} in {duration(to_seconds(max(0, at - world.now)))}" for at, why in agent.dues()
    ]
    return [
        _row("agent", f"{'online' if agent.online else 'not online'}; update "
             f"{UpdateState(status.state).name.lower()} of generation {status.generation}; {agent.garbage} garbage, "
             f"{agent.ignored} ignored"),
        _row("", f"slots: {'; '.join(slots)}; committed {state.committed or 'none'}{trial}; {len(state.bad)} in "
             "quarantine"),
        _row("", f"kill list {state.kill_version}, flags {state.flags_rev}; {len(state.events)} events kept"),
        _row("", f"timers: {', '.join(timers) or 'none: it waits for something from outside'}"),
    ]  # fmt: skip
