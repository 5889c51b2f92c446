"""Processes that `bench.flips` measures: the gateway, crews of real agents, and bare receivers.

    python -m bench.live.flip_load command PORT COUNT
    python -m bench.live.flip_load obey|hear PORT COUNT PART PARTS
    python -m bench.live.flip_load speak PORT

They speak the words of drivers.py, with times of CLOCK_MONOTONIC. On a word `command` says `told T`,
gives the next command, and says `quiet` when the fleet's answers are in. `obey` says `last T` when all
agents of this process have obeyed a command, `hear` when all its receivers have what `speak` said, which
publishes on a word.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import uvloop

from bench.live.agents import crew, on, power_on
from bench.live.drivers import raise_descriptor_limit
from bench.live.lean_load import Crew, word
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.timebase import SECOND
from devicesim.live.drive import ready
from devicesim.live.stage import LiveStage
from devicesim.world.watch import Watcher
from gateway.core import stimuli as hear

FLAG_BYTES: Final = 300
"""As long as the envelope of the flag snapshot that is flipped."""
TOPIC: Final = "bench/flag"
LAST_ANSWER_S: Final = (AgentConfig().answer_after_ns + AgentConfig().answer_spread_ns) / SECOND
KINDS: Final = (NoteKind.FLAGS_TAKEN, NoteKind.KILL_OBEYED)
DEFINITION: Final = (
    '{{"state":"ENABLED","variants":{{"on":true,"off":false}},"defaultVariant":"{}"}}'
)


class Crowd(Watcher):
    """Counts who obeyed which command, and says when the last of this process did.

    Args:
        count: devices of this process.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._obeyed: dict[tuple[NoteKind, int], int] = {}

    def noted(self, host: Any, effect: Any, now: int) -> None:
        """One device says something."""
        del host, now
        if effect.kind not in KINDS:
            return
        command = effect.kind, effect.a
        obeyed = self._obeyed[command] = self._obeyed.get(command, 0) + 1
        if obeyed == self._count:
            print("last", time.monotonic(), flush=True)
        assert obeyed <= self._count, f"expected each device to obey once, found {command} again"


def stimulus_of(place: int) -> hear.SetFlag | hear.Kill:
    """Flag and kill in turn, on and off in turn."""
    turn, kind = divmod(place, len(KINDS))
    if KINDS[kind] == NoteKind.KILL_OBEYED:
        return hear.Kill("gauge", alive=bool(turn % 2))
    return hear.SetFlag("kiosk", "new-dial", DEFINITION.format("off" if turn % 2 else "on"))


async def command(port: int, count: int) -> None:
    """The gateway, and the operator."""
    async with crew(port, count, gateway=True, devices=range(0)) as (_, stage), ready(stage):
        print("ready", flush=True)
        place = 0
        while True:
            await word()
            print("told", time.monotonic(), flush=True)
            await stage.live_gateway.runtime.submit(stimulus_of(place))
            await settled(stage)
            print("quiet", flush=True)
            place += 1


async def settled(stage: LiveStage) -> None:
    """Let the fleet's answers reach the gateway: each command is measured on a quiet one."""
    counters = stage.live_gateway.runtime.counters
    await asyncio.sleep(LAST_ANSWER_S)
    before = -1
    while before != sum(counters.messages_in.values()):
        before = sum(counters.messages_in.values())
        await asyncio.sleep(0.1)


async def obey(port: int, count: int, part: int, parts: int) -> None:
    """Every `parts`-th of the devices."""
    async with crew(port, count, gateway=False, devices=range(part, count, parts)) as (
        world,
        stage,
    ):
        world.watch.add(Crowd(len(on(world))))
        await power_on(world, stage)
        print("ready", flush=True)
        await word()


async def hear_bare(port: int, count: int, part: int, parts: int) -> None:
    """As many lean receivers, which do nothing."""
    mine = len(range(part, count, parts))
    receivers = Crew(port, 1, mine)
    await receivers.open(mine, TOPIC)
    while True:
        await receivers.until("received", mine)
        print("last", receivers.last_at, flush=True)
        receivers.received = 0


async def speak(port: int) -> None:
    """Publishes."""
    speaker = Crew(port)
    await speaker.open(1)
    while True:
        await word()
        print("told", time.monotonic(), flush=True)
        speaker.members[0].mqtt.publish(TOPIC, bytes(FLAG_BYTES), qos=1)


def main() -> None:
    """Read the command line."""
    raise_descriptor_limit()
    mode, *words = sys.argv[1:]
    modes: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
        "command": command, "obey": obey, "hear": hear_bare, "speak": speak,
    }  # fmt: skip
    uvloop.run(modes[mode](*map(int, words)))


if __name__ == "__main__":
    main()
