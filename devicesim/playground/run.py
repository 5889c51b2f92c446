"""A playground from its beginning to Ctrl-C.

Decides the order: folder, gateway and broker, the fleet; and the other way round at the end. Leaves out each of them.

Rules: devices boot when the gateway knows them; a machine that is late, or slept, holds their time up and is not caught up
with; whatever ends by itself ends all of it, with what it said last.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from devicesdk.bundle.trust import (
    ROLE_DIRECTOR,
    ROLE_FLAGS,
    ROLE_TARGETS,
)
from devicesim.models.clock import DeviceClock
from devicesim.playground import begin
from devicesim.playground.arrivals import Arrivals
from devicesim.playground.flashes import Flashes
from devicesim.playground.folder import FLEET, Folder
from devicesim.playground.process import GatewayProcess
from devicesim.playground.stage import JoiningStage, join
from devicesim.rehearse import open_scenario
from devicesim.scenario.schema import Scenario
from devicesim.stock import stock_for
from devicesim.world.assemble import Keys, assemble
from devicesim.world.device_host import DeviceHost
from devicesim.world.timeline import Timeline
from devicesim.world.watch import Watcher
from devicesim.world.world import World, one_core
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.keys import read_signer
from gateway.service import BLOBS_FOLDER

LOOK_S: Final = 0.05
SAVE_LOOKS: Final = 20
EXIT_AT_ONCE: Final = 130
TOGETHER_S: Final = 1.0
"""Signals that come within this time of the first are the same wish."""


class Teller(Protocol):
    """Told what happens, for people."""

    def began(self, gateway: GatewayProcess, devices: int, kept: int) -> None:
        """Everything runs; `kept` devices are what they were."""
        ...

    def online(self, count: int) -> None:
        """So many devices are connected."""
        ...

    def faulted(self, key: str, *, begins: bool, devices: int) -> None:
        """Something of the fleet's own plan happens."""
        ...

    def ending(self) -> None:
        """Somebody wants it to end."""
        ...


async def play(
    path: Path,
    teller: Teller,
    *,
    port: int,
    speed: float | None,
    broker: str,
    wall_ms: Callable[[], int],
) -> None:
    """Run a playground until SIGINT or SIGTERM.

    Args:
        path: its folder.
        teller: told what happens.
        port: of API and console; 0 for a free one.
        speed: how much faster than the wall devices live; None: as the fleet's file says.
        broker: as `gateway serve` takes it.
        wall_ms: UTC in milliseconds.

    Raises:
        PlaygroundError: it could not begin, or the gateway ended by itself.
        ValueError: another one runs in this folder.
    """
    folder = Folder(path)
    overrides = () if speed is None else (f"clock.speed={speed}",)
    scenario = open_scenario(FLEET, overrides)
    gateway = GatewayProcess(folder)
    stop = _stop_on_signals(teller, gateway)
    with folder.held():
        await asyncio.to_thread(folder.prepare)
        try:
            await gateway.start(scenario, port, broker)
            if not stop.is_set():
                await _live(folder, gateway, scenario, teller, stop, wall_ms)
        finally:
            await gateway.stop()


def _stop_on_signals(teller: Teller, gateway: GatewayProcess) -> asyncio.Event:
    """The first signal asks for an end, the next wants it at once; two that come together are one: `make` and
    `timeout` both hand on what their group has got already."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    patient_until = 0.0

    def asked() -> None:
        nonlocal patient_until
        if not stop.is_set():
            patient_until = loop.time() + TOGETHER_S
            stop.set()
            teller.ending()
        elif loop.time() >= patient_until:
            gateway.kill()
            os._exit(EXIT_AT_ONCE)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    return stop


async def _live(
    folder: Folder,
    gateway: GatewayProcess,
    scenario: Scenario,
    teller: Teller,
    stop: asyncio.Event,
    wall_ms: Callable[[], int],
) -> None:
    """The fleet's life."""
    blobs, flashes = FileBlobs(folder.gateway / BLOBS_FOLDER), Flashes(folder.devices)
    failed: list[Exception] = []
    asyncio.get_running_loop().set_exception_handler(_keeper(failed))
    async with join(gateway.broker_url, blobs, scenario.clock.speed) as stage:
        world = _world(folder, scenario, stage)
        Arrivals(world.hosts[0].shop.models, world.pool, blobs)
        kept = flashes.restore(world.hosts)
        for host in world.hosts:
            host.parts.clock = DeviceClock(0.0, wall_ms(), 0)
        world.watch.add(flashes)
        world.watch.add(_Tale(world, teller))
        Timeline(world, lambda _: 0.0).arm()
        await asyncio.to_thread(begin.register, folder.gateway, world)
        world.open(None, None)
        stage.pacer.pulse = world.breathe
        with one_core(), stage.clock.held(world.kernel):
            stage.pacer.start()
            teller.began(gateway, len(world.hosts), kept)
            try:
                await _watch(stage, gateway, flashes, stop, failed)
            finally:
                stage.pacer.stop()
                for host in world.hosts:
                    host.parts.flash.sync_all()
                    flashes.stored(host, None, world.now)
                flashes.save()
    blobs.close()


async def _watch(
    stage: JoiningStage,
    gateway: GatewayProcess,
    flashes: Flashes,
    stop: asyncio.Event,
    failed: list[Exception],
) -> None:
    """Look on until somebody wants it to end.

    Raises:
        Exception: what went wrong in a device's life.
        PlaygroundError: the gateway has ended by itself.
    """
    looks = 0
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)
        stage.pacer.catch_up()
        if failed:
            raise failed[0]
        looks += 1
        if looks % SAVE_LOOKS == 0:
            gateway.check()
            flashes.save()


def _world(folder: Folder, scenario: Scenario, stage: JoiningStage) -> World:
    signers = (read_signer(folder.keys, role) for role in (ROLE_TARGETS, ROLE_DIRECTOR, ROLE_FLAGS))
    return assemble(scenario, stock_for(scenario, FLEET), stage=stage, keys=Keys(*signers))


def _keeper(failed: list[Exception]) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Keeps what nobody caught, for whoever looks on; of sockets that break there are others who know."""

    def keep(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            failed.append(error)
        else:
            loop.default_exception_handler(context)

    return keep


class _Tale(Watcher):
    """Passes on what people want to hear of."""

    def __init__(self, world: World, teller: Teller) -> None:
        self._world, self._teller = world, teller

    def connected(self, host: DeviceHost, now: int) -> None:
        """A device is there."""
        del host, now
        self._teller.online(sum(one.online for one in self._world.hosts))

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """The plan goes on."""
        del now
        self._teller.faulted(verb, begins=phase == "begin", devices=devices)
