"""Runs a world against the wall clock, from its first instant to its last.

Decides the order: the gateway is up and knows the fleet before the first device boots; time waits for a
machine that is late (clock.py); at the end time stops, everybody who watches judges, and then the sockets
are closed. Leaves out what is opened (stage.py) and what the scenario does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from devicesim.live.stage import LiveStage
from devicesim.world.world import World, one_core, quiet_collector

READY_TIMEOUT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.05


async def drive(
    world: World,
    stage: LiveStage,
    until: int | None = None,
    pulse: Callable[[int], None] | None = None,
) -> str:
    """Run to `until` (or the scenario's end) and return the digest of the trace.

    Args:
        world: assembled on `stage`, its drill attached.
        stage: open.
        until: scenario instant to stop at, ns.
        pulse: called with the scenario instant now and then.

    Raises:
        TimeoutError: the gateway was not ready within `READY_TIMEOUT_S`.
    """
    gateway, pacer = stage.live_gateway, stage.pacer
    end = world.open(until, pulse)
    async with ready(stage) as calls:
        pacer.until, pacer.pulse = end, world.breathe
        pacer.start()
        # A walk over 5,000 devices holds every socket up for a second.
        assert stage.clock is not None
        with quiet_collector(), one_core(), stage.clock.held(world.kernel):
            while world.now < end:
                _raise_of(calls)
                await asyncio.sleep(LOOK_EVERY_S)
                pacer.catch_up()
        pacer.stop()
        await gateway.look()
        return world.close(end)


@asynccontextmanager
async def ready(stage: LiveStage) -> AsyncIterator[asyncio.Task[None]]:
    """The gateway is connected and has answered every call of the operator's so far; calls go on
    being made until the end. Gives the task that makes them.

    Raises:
        TimeoutError: it was not ready within `READY_TIMEOUT_S`.
    """
    gateway = stage.live_gateway
    calls = asyncio.get_running_loop().create_task(gateway.serve_calls())
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not (gateway.idle and gateway.connected):
                _raise_of(calls)
                await asyncio.sleep(LOOK_EVERY_S)
        yield calls
    finally:
        calls.cancel()
        await asyncio.gather(calls, return_exceptions=True)


def _raise_of(task: asyncio.Task[None]) -> None:
    """A task that ended had no business to."""
    if task.done():
        task.result()
