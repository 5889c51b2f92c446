"""Processes that `bench.flips` measures: the gateway, crews of real agents, and bare receivers.

    python -m bench.live.flip_load command PORT COUNT
    python -m bench.live.flip_load obey PORT COUNT PART PARTS
    python -m bench.live.flip_load bare PORT COUNT PART PARTS
    python -m bench.live.flip_load speak PORT COUNT

They speak the words of drivers.py. Times T are seconds of CLOCK_MONOTONIC, which all processes of a
machine share; KIND is the place in `KINDS`; N is how many devices or receivers of this process did it.

command  on a word gives the next command: `told T` just before it is submitted, `quiet MISSING` when the
         fleet's answers are in, or when no more come. The first word gives none: `quiet MISSING` when the fleet has booted.
obey     every PARTS-th of COUNT agents: `last T KIND VERSION N` when all of them have obeyed a command.
bare     as many receivers that only acknowledge: `last T 0 NUMBER N` when all of them have a message.
speak    on a word publishes to them: `told T`.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from devicesdk.wire.topics import HAVE
from devicesim.live.drive import ready
from devicesim.live.stage import LiveStage
from devicesim.world.watch import Watcher
from gateway.core import notes
from gateway.core import stimuli as hear

FLAG: Final = "golden-probe"
"""Every device has this feature, so every device asks the evaluator for it."""
FLAG_BYTES: Final = 210
"""About the envelope of the snapshot with that one flag."""
TOPIC: Final = "bench/flag"
SILENCE_S: Final = 3.0
"""What has not come after so much silence was dropped by the broker."""
LAST_ANSWER_S: Final = (AgentConfig().answer_after_ns + AgentConfig().answer_spread_ns) / SECOND
KINDS: Final = (NoteKind.FLAGS_TAKEN, NoteKind.KILL_OBEYED)
KIND_NAMES: Final = ("flag", "kill")
DEFINITION: Final = (
    '{{"state":"ENABLED","variants":{{"on":true,"off":false}},"defaultVariant":"{}"}}'
)


class Obedience(Watcher):
    """Who of this process obeyed which command; says when all did.

    A device that obeys one twice ends the process: whoever counts would be wrong.

    Args:
        count: devices of this process.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._obeyed: dict[tuple[int, int], set[int]] = {}

    def noted(self, host: Any, effect: Any, now: int) -> None:
        """One device says something."""
        del now
        if effect.kind not in KINDS:
            return
        command = KINDS.index(effect.kind), effect.a
        who = self._obeyed.setdefault(command, set())
        if host.index in who:
            print("twice", host.index, *command, flush=True)
        who.add(host.index)
        if len(who) == self._count:
            print("last", time.monotonic(), *command, self._count, flush=True)


def stimulus_of(place: int) -> hear.SetFlag | hear.Kill:
    """Flag and kill in turn, each first off and then on."""
    turn, kind = divmod(place, len(KINDS))
    if KINDS[kind] == NoteKind.KILL_OBEYED:
        return hear.Kill("gauge", alive=bool(turn % 2))
    return hear.SetFlag("kiosk", FLAG, DEFINITION.format("on" if turn % 2 else "off"))


async def command(port: int, count: int) -> None:
    """The gateway, and the operator."""
    async with crew(port, count, gateway=True, devices=range(0)) as (_, stage), ready(stage):
        print("ready", 0, 0, flush=True)
        place, answers = 0, 0
        while await word():
            if answers:
                missing = await _tell(stage, stimulus_of(place), answers + count)
                place += 1
            else:
                missing = await _answered(stage, count)
            answers = _reports(stage)
            print("quiet", missing, flush=True)


async def _tell(stage: LiveStage, stimulus: hear.SetFlag | hear.Kill, answers: int) -> int:
    print("told", time.monotonic(), flush=True)
    said = await stage.live_gateway.runtime.submit(stimulus)
    assert {note.kind for note in said} & {notes.FLAG_SET, notes.KILL_SET}, f"refused: {said}"
    await asyncio.sleep(LAST_ANSWER_S)
    return await _answered(stage, answers)


async def _answered(stage: LiveStage, answers: int) -> int:
    """Wait for so many reports since the start, or until nothing came for `SILENCE_S`; how many are missing."""
    counters, heard, heard_at = stage.live_gateway.runtime.counters, -1, time.monotonic()
    while _reports(stage) < answers and time.monotonic() < heard_at + SILENCE_S:
        if sum(counters.messages_in.values()) != heard:
            heard, heard_at = sum(counters.messages_in.values()), time.monotonic()
        await asyncio.sleep(0.1)
    return max(0, answers - _reports(stage))


def _reports(stage: LiveStage) -> int:
    return stage.live_gateway.runtime.counters.messages_in.get(HAVE, 0)


async def obey(port: int, count: int, part: int, parts: int) -> None:
    """Real agents."""
    async with crew(port, count, gateway=False, devices=range(part, count, parts)) as (
        world,
        stage,
    ):
        mine = len(on(world))
        world.watch.add(Obedience(mine))
        await power_on(world, stage)
        print("ready", 0, 0, flush=True)
        await word()


async def bare(port: int, count: int, part: int, parts: int) -> None:
    """Lean receivers."""
    mine = len(range(part, count, parts))
    receivers = Crew(port, 1, mine)
    await receivers.open(mine, TOPIC)
    counting = asyncio.create_task(_count(receivers))
    await word()
    counting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await counting


async def _count(receivers: Crew) -> None:
    number = 0
    while True:
        await receivers.until("received", receivers.expected)
        number += 1
        print("last", receivers.last_at, 0, number, receivers.received, flush=True)
        receivers.received = 0


async def speak(port: int, count: int) -> None:
    """Publish to the receivers."""
    del count
    speaker = Crew(port)
    await speaker.open(1)
    while await word():
        print("told", time.monotonic(), flush=True)
        speaker.members[0].mqtt.publish(TOPIC, bytes(FLAG_BYTES), qos=1)


def main() -> None:
    """Read the command line."""
    raise_descriptor_limit()
    mode, *words = sys.argv[1:]
    modes: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
        "command": command, "obey": obey, "bare": bare, "speak": speak,
    }  # fmt: skip
    uvloop.run(modes[mode](*map(int, words)))


if __name__ == "__main__":
    main()
