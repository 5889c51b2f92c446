"""Processes of the real thing, to be measured: real agents, or the real gateway.

    python -m bench.live.agents idle|dark|take|serve|both PORT COUNT
    python -m bench.live.agents take PORT COUNT PART PARTS

`take` and `serve` assemble the same world from the same seed, so they agree on keys, names and bundles:
one never starts its gateway, the other never powers its devices on; `both` does both in one process.
Several `take` share the devices among them: each has every PARTS-th of them on.
They speak the words of `c/load.c` (see drivers.py). Every device is the real agent with a connection, a
will and a session of its own, and hashes every chunk itself (a simulated fleet compares with the bytes
that another device has hashed).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from bench.live.bundle import CHUNKS, LARGE, VARIANT, VERSION, write_large
from bench.live.drivers import ROOT, raise_descriptor_limit
from bench.live.lean_load import resident_kb, word
from devicesdk.agent.notes import NoteKind
from devicesdk.bundle.chunks import RealDigests
from devicesdk.bundle.trust import Signer
from devicesdk.wire.messages import UpdatePolicy
from devicesdk.wire.timebase import HOUR
from devicesdk.wire.topics import DAT
from devicesim.live.drive import ready
from devicesim.live.stage import LiveStage, Setting, open_stage
from devicesim.scenario import load
from devicesim.stock import stock_for
from devicesim.world.assemble import assemble
from devicesim.world.device_host import DeviceHost
from devicesim.world.ledger import DOWN
from devicesim.world.watch import Watcher
from devicesim.world.world import World, quiet_collector
from gateway.core import stimuli as hear
from gateway.core.control.trust import RoleSigners
from gateway.core.gateway import Gateway, GatewayConfig
from gateway.core.transfers.limits import TransferLimits
from gateway.runtime.runtime import Runtime

PATIENCE_S = 45.0
LOOK_S = 0.002
AT_ONCE = 600
"""Booted and not yet online: an agent waits up to a second before its first connect."""
SCENARIO = """
scenario: crew
clock: {{mode: real, duration: 24h}}
telemetry: {{window: 12h, frames: 1}}
fleet: [{{group: kiosk, count: {count}, profile: rpi4-kiosk, link: cable}}]
bundles:
  - {{id: gauge, version: 1.0.0, path: models/gauge/1.0.0}}
  - {{id: gauge, version: {version}, path: {large}}}
"""
UNTHROTTLED = TransferLimits(
    bytes_per_s_max=2**40, burst_bytes_max=2**40,
    deployment_bytes_per_s_max=2**40, deployment_burst_bytes_max=2**40,
)  # fmt: skip
"""A budget is there to be reached; what is measured here is what lies beyond it."""


class Crowd(Watcher):
    """Counts what the agents say, and when the first and the last of them said it."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.begun = self.ended = 0.0
        """The first request for anything, the last chunk of the large image."""
        self.images = self.dropped = 0

    def noted(self, host: Any, effect: Any, now: int) -> None:
        """One device says something."""
        del host, now
        kind = effect.kind
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == NoteKind.FETCH_BEGUN and not self.begun:
            self.begun = time.monotonic()
        elif kind == NoteKind.FETCH_DONE:
            self.dropped += effect.b
            if effect.a == CHUNKS:
                self.images += 1
                self.ended = time.monotonic()

    def said(self, kind: NoteKind) -> int:
        """How often."""
        return self.counts.get(kind, 0)


async def until(holds: Callable[[], bool]) -> None:
    """Look until it holds: what agents say is not an event."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def crew(
    port: int, count: int, *, gateway: bool, devices: range
) -> AsyncIterator[tuple[World, LiveStage]]:
    """The world on a live stage, with or without its gateway; all devices are off."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_large(folder / "large")
        text = SCENARIO.format(count=count, version=VERSION, large=folder / "large")
        scenario = load(text, (), None)
        stock = stock_for(scenario, ROOT / "scenarios" / "crew.yaml")
        setting = Setting(folder=folder, broker=f"mqtt://127.0.0.1:{port}", direct=True)
        async with open_stage(setting) as stage:
            world = assemble(scenario, stock, stage=stage, make_gateway=_unthrottled)
            if not gateway:
                world.gateway.crash(0)
            for place, host in enumerate(world.hosts):
                host.wanted_on = place in devices
                host.shop.digests = RealDigests()
            world.open(24 * HOUR, None)
            with quiet_collector():
                yield world, stage
            stage.pacer.stop()


def _unthrottled(director: Signer, flags: Signer, roles: RoleSigners | None) -> Gateway:
    return Gateway(GatewayConfig(transfers=UNTHROTTLED), director, flags, roles)


async def power_on(world: World, stage: LiveStage) -> Crowd:
    """Boot and connect all devices, `AT_ONCE` of them at a time."""
    crowd, hosts = Crowd(), on(world)
    world.watch.add(crowd)
    stage.pacer.start()
    for i, host in enumerate(hosts):
        if i >= crowd.said(NoteKind.ONLINE) + AT_ONCE:
            await until(lambda i=i: i < crowd.said(NoteKind.ONLINE) + AT_ONCE)
        stage.pacer.tell(host.power_on)
    await until(lambda: crowd.said(NoteKind.ONLINE) == len(hosts))
    return crowd


def on(world: World) -> list[DeviceHost]:
    """The devices of this process."""
    return [host for host in world.hosts if host.wanted_on]


async def take(port: int, count: int, part: int = 0, parts: int = 1) -> None:
    """Devices that wait for an update; see `taken`."""
    async with crew(port, count, gateway=False, devices=range(part, count, parts)) as (
        world,
        stage,
    ):
        crowd = await power_on(world, stage)
        print("ready", 0, 0, flush=True)
        await taken(world, crowd)


async def taken(world: World, crowd: Crowd) -> None:
    """Say `done BEGUN ENDED FRAMES AGAIN CPU` after the last chunk, and end when all have committed."""
    hosts, before = on(world), time.process_time()
    count = len(hosts)
    await until(lambda: crowd.images == count)
    frames = world.ledger.leg(DOWN).delivered[DAT]
    spent = time.process_time() - before
    print("done", crowd.begun, crowd.ended, frames, crowd.dropped, spent, flush=True)
    await until(lambda: all(host.variant == VARIANT for host in hosts))
    print("runs", count, flush=True)
    await word()


async def serve(port: int, count: int) -> None:
    """The gateway; on a word it rolls the large bundle out, on another it says what it sent."""
    async with crew(port, count, gateway=True, devices=range(0)) as (_, stage), ready(stage):
        print("ready", 0, 0, flush=True)
        await word()
        await roll_out(stage.live_gateway.runtime)
        await word()
        counters = stage.live_gateway.runtime.counters
        print("sent", counters.messages_out[DAT], counters.rounds_dropped, flush=True)
        await word()


async def roll_out(runtime: Runtime) -> None:
    """To everybody, at once."""
    policy = UpdatePolicy(trial_ms=1_000)
    plan = hear.RolloutPlan(id="large", bundle=LARGE, waves=(1.0,), jitter_ms=0, policy=policy)
    await runtime.submit(hear.CreateRollout(plan))


async def both(port: int, count: int) -> None:
    """The gateway and its devices in one process; on a word the rollout begins."""
    async with (
        crew(port, count, gateway=True, devices=range(count)) as (world, stage),
        ready(stage),
    ):
        crowd = await power_on(world, stage)
        print("ready", 0, 0, flush=True)
        await word()
        await roll_out(stage.live_gateway.runtime)
        await taken(world, crowd)


async def idle(port: int, count: int) -> None:
    """Devices that boot, connect and wait: `ready SECONDS KB`."""
    before = resident_kb()
    async with crew(port, count, gateway=False, devices=range(count)) as (world, stage):
        begun = time.monotonic()
        await power_on(world, stage)
        print("ready", time.monotonic() - begun, resident_kb() - before, flush=True)
        await word()


async def dark(port: int, count: int) -> None:
    """The same without a carrier, so without a socket: `ready SECONDS KB`."""
    before = resident_kb()
    async with crew(port, count, gateway=False, devices=range(count)) as (world, stage):
        begun = time.monotonic()
        for host in world.hosts:
            host.path.overlay.detached += 1
            host.path.refresh(0)
            stage.pacer.tell(host.power_on)
        print("ready", time.monotonic() - begun, resident_kb() - before, flush=True)
        await word()


def main() -> None:
    """Read the command line as `c/load.c` does."""
    raise_descriptor_limit()
    mode, *words = sys.argv[1:]
    modes = {"idle": idle, "dark": dark, "take": take, "serve": serve, "both": both}
    uvloop.run(modes[mode](*map(int, words)))


if __name__ == "__main__":
    main()
