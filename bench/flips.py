"""Flags and kills over a real broker: from the operator's command to the last of 5,000 connected devices.

Each device is the real agent on its own MQTT connection; the gateway is the real runtime with SQLite, in
the same process; the broker is mosquitto. Beside it, in the same run: a bare broadcast of as many bytes
over the same connections' twin fleet, which does nothing but receive.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.live.drivers import load_average, raise_descriptor_limit
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.notes import NoteKind
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial
from devicesdk.wire.timebase import HOUR, SECOND
from devicesim.live.drive import ready
from devicesim.live.stage import LiveStage, Setting, open_stage
from devicesim.scenario import load
from devicesim.stock import stock_for
from devicesim.world.assemble import assemble
from devicesim.world.watch import Watcher
from devicesim.world.world import World, quiet_collector
from gateway.core import stimuli as hear

DEVICES = 5_000
FLIPS = 100
ROOT = Path(__file__).parents[1]
PATIENCE_S = 30.0
LAST_ANSWER_S = (AgentConfig().answer_after_ns + AgentConfig().answer_spread_ns) / SECOND
SCENARIO = f"""
scenario: flips
clock: {{mode: real, duration: 24h}}
telemetry: {{window: 12h, frames: 1}}
fleet: [{{group: kiosk, count: {DEVICES}, profile: rpi4-kiosk, link: cable}}]
bundles: [{{id: gauge, version: 1.0.0, path: models/gauge/1.0.0}}]
"""
Measured = tuple[list[float], float]
"""Seconds of each until the last device, and CPU seconds of the process for all, answers included."""
DEFINITION = '{{"state":"ENABLED","variants":{{"on":true,"off":false}},"defaultVariant":"{}"}}'


class Crowd(Watcher):
    """Counts who obeyed what, and wakes whoever waits for the last one."""

    def __init__(self) -> None:
        self.online = 0
        self.waiting: tuple[NoteKind, int] = (NoteKind.ONLINE, 0)
        self.newest = 0
        self.left = 0
        self.all_there = asyncio.Event()

    def expect(self, kind: NoteKind) -> None:
        """From now on, count those who obey something newer than what was obeyed before."""
        self.waiting, self.left = (kind, self.newest), DEVICES
        self.all_there.clear()

    def noted(self, host: Any, effect: Any, now: int) -> None:
        """One device says something."""
        del host, now
        if effect.kind == NoteKind.ONLINE:
            self.online += 1
        elif effect.kind == self.waiting[0] and effect.a > self.waiting[1]:
            self.newest = effect.a
            self.left -= 1
            if not self.left:
                self.all_there.set()


class Listener:
    """A bare subscriber."""

    def __init__(self, bare: Bare) -> None:
        self.bare = bare

    def on_connected(self, granted: object) -> None:  # noqa: ARG002
        """Subscribe."""
        self.bare.ports[self].subscribe(("bench/flag",))

    def on_suback(self, codes: object) -> None:  # noqa: ARG002
        """Ready."""
        self.bare.subscribed += 1

    def on_message(self, message: object) -> None:  # noqa: ARG002
        """The flag is here."""
        self.bare.left -= 1
        if not self.bare.left:
            self.bare.all_there.set()

    def on_connect_failed(self, reason: str) -> None:
        """Not in this bench."""
        raise AssertionError(reason)

    def on_disconnected(self, reason: str) -> None:
        """Not in this bench."""
        raise AssertionError(reason)

    def on_puback(self, token: int, code: int) -> None:
        """The broker took a flag."""


class Bare:
    """The twin fleet, which only receives."""

    def __init__(self, stage: LiveStage) -> None:
        self.left, self.subscribed = 0, 0
        self.all_there = asyncio.Event()
        self.ports: dict[Listener, LeanPort] = {}
        self.at = stage.running.endpoint
        self.speaker = LeanPort(self.at, self._add("speaker"))

    def _add(self, name: str) -> Listener:
        listener = Listener(self)
        port = self.ports[listener] = LeanPort(self.at, listener)
        port.connect(Dial(client_id=f"bare-{name}", keepalive_s=600))
        return listener

    async def connect(self) -> None:
        """Connect all of them."""
        for start in range(1, DEVICES, 250):
            for i in range(start, min(DEVICES, start + 250)):
                self._add(str(i))
            await asyncio.sleep(0.05)
        await until(lambda: self.subscribed == DEVICES)
        self.speaker = next(iter(self.ports.values()))

    def close(self) -> None:
        """Hang up."""
        for port in self.ports.values():
            port.abort()

    async def broadcast(self, payload: bytes) -> float:
        """Seconds until the last receiver has it."""
        self.left = DEVICES
        self.all_there.clear()
        begun = time.perf_counter()
        self.speaker.publish("bench/flag", payload, qos=1, token=1)
        await asyncio.wait_for(self.all_there.wait(), PATIENCE_S)
        return time.perf_counter() - begun


async def until(holds: Any, patience_s: float = 180.0) -> None:
    async with asyncio.timeout(patience_s):
        while not holds():  # noqa: ASYNC110 - counts of many watchers, in a bench
            await asyncio.sleep(0.02)


def percentile(took: list[float], share: float) -> float:
    return sorted(took)[min(len(took) - 1, int(share * len(took)))] * 1000


async def flips(world: World, stage: LiveStage, crowd: Crowd, kind: NoteKind) -> Measured:
    """Command each flip when the one before has been obeyed and the answers are in."""
    runtime, took, before = stage.live_gateway.runtime, [], time.process_time()
    crowd.newest = 0
    for i in range(FLIPS):
        if kind == NoteKind.KILL_OBEYED:
            stimulus: Any = hear.Kill("gauge", alive=bool(i % 2))
        else:
            stimulus = hear.SetFlag(
                "kiosk", "new-dial", DEFINITION.format("on" if i % 2 else "off")
            )
        crowd.expect(kind)
        begun = time.perf_counter()
        await runtime.submit(stimulus)
        await asyncio.wait_for(crowd.all_there.wait(), PATIENCE_S)
        took.append(time.perf_counter() - begun)
        await settled(stage)
        show(f"{kind.value} {i + 1} of {FLIPS}: {took[-1] * 1000:.0f} ms")
    assert len(world.hosts) == DEVICES == crowd.online
    return took, time.process_time() - before


async def settled(stage: LiveStage) -> None:
    """Let the fleet's answers reach the gateway: each flip is measured on a quiet one."""
    counters = stage.live_gateway.runtime.counters
    await asyncio.sleep(LAST_ANSWER_S)
    before = -1
    while before != sum(counters.messages_in.values()):
        before = sum(counters.messages_in.values())
        await asyncio.sleep(0.1)


def show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)


async def run() -> None:
    scenario = load(SCENARIO, (), None)
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(folder=Path(folder), broker="mosquitto", direct=True)
        async with open_stage(setting) as stage:
            stock = stock_for(scenario, ROOT / "scenarios" / "flips.yaml")
            world, crowd = assemble(scenario, stock, stage=stage), Crowd()
            world.watch.add(crowd)
            world.open(24 * HOUR, None)
            async with ready(stage):
                begun = time.perf_counter()
                for start in range(0, DEVICES, 100):
                    for host in world.hosts[start : start + 100]:
                        stage.pacer.tell(host.power_on)
                    await asyncio.sleep(0.02)
                stage.pacer.start()
                await until(lambda: crowd.online == DEVICES)
                print(f"{DEVICES:,} agents online after {time.perf_counter() - begun:.1f} s")
                await settled(stage)
                with quiet_collector():
                    flags = await flips(world, stage, crowd, NoteKind.FLAGS_TAKEN)
                    kills = await flips(world, stage, crowd, NoteKind.KILL_OBEYED)
                bare = Bare(stage)
                await bare.connect()
                before = time.process_time()
                took = [await bare.broadcast(bytes(300)) for _ in range(FLIPS)]
                floor = took, time.process_time() - before
                bare.close()
                stage.pacer.stop()
    table(flags, kills, floor)


def table(flags: Measured, kills: Measured, floor: Measured) -> None:
    print(
        f"\ncommand to the last of {DEVICES:,} devices, {FLIPS} times     p50 ms   p99 ms   x bare"
        f"   CPU us a device   (load {load_average()})"
    )
    base = percentile(floor[0], 0.5)
    rows = (("bare broadcast, lean receivers", floor), ("flag", flags), ("kill", kills))
    for name, (took, cpu_s) in rows:
        p50, p99, each = percentile(took, 0.5), percentile(took, 0.99), cpu_s / FLIPS / DEVICES
        print(f"  {name:<46} {p50:9.0f} {p99:8.0f} {p50 / base:8.1f} {each * 1e6:17.0f}")


def report() -> None:
    """Print the table."""
    raise_descriptor_limit()
    uvloop.run(run())


if __name__ == "__main__":
    report()
