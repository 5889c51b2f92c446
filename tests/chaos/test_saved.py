"""kill -9 of a broker that is busy saving: nothing is lost whose acknowledgement was proven.

The broker carries megabytes of retained messages, so that each of its saves takes long and a kill lands in one
as likely as not. A publisher that believes every PUBACK loses something then, in most campaigns; one that dials
with `proven_acks` must not, ever. The short form runs with the other tests, the long one in `make chaos`.
"""

from __future__ import annotations

import asyncio
import os
import random  # noqa: TID251 - luck of a test, seeded
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.adapters.brokers.running import RunningBroker
from tests.chaos.witness import Found, Guest, Witness

pytestmark = pytest.mark.mosquitto
SEED = int(os.environ.get("CHAOS_SEED", "20"))
BALLAST_MESSAGES = 100
BALLAST_BYTES = 100_000
WRITES_S = (0.1, 0.6)


async def ballast(broker: RunningBroker) -> None:
    """Make every save a long one."""
    guest = Guest(broker.endpoint, "ballast", clean=True)
    await guest.join()
    for number in range(BALLAST_MESSAGES):
        guest.port.publish(
            f"ballast/{number}", bytes(BALLAST_BYTES), qos=1, retain=True, token=number + 1
        )
    while len(guest.acked) < BALLAST_MESSAGES:
        guest.news.clear()
        await guest.news.wait()
    guest.leave()


async def kills(folder: Path, count: int, say: Callable[[str], None]) -> list[Found]:
    """Kill it so many times at random moments while both publishers write."""
    luck, results = random.Random(f"{SEED}/saved"), []
    broker = await start_mosquitto(folder / "broker", autosave_changes=1)
    try:
        await ballast(broker)
        witness = Witness(broker.endpoint)
        for number in range(count):
            await witness.begin()
            await asyncio.sleep(luck.uniform(*WRITES_S))
            broker.kill()
            await broker.restart()
            await witness.end()
            results.append(await witness.found())
            say(f"saved {number + 1}/{count}: {results[-1]}")
    finally:
        broker.kill()
    return results


def judge(results: list[Found]) -> str:
    """Demand that nothing proven was lost, and nothing said again; returns a line about it."""
    lost = [(number, found.lost) for number, found in enumerate(results, 1) if found.lost]
    assert not lost, f"proven, and never came (kill, messages): {lost}"
    missing = [(number, found.missing) for number, found in enumerate(results, 1) if found.missing]
    assert not missing, f"said again, and never came (kill, messages): {missing}"
    acked = sum(found.acked for found in results)
    idle = [number for number, found in enumerate(results, 1) if not found.acked]
    assert len(idle) <= len(results) // 2, f"nothing was acknowledged before the kills {idle}"
    believed = sum(found.believed for found in results)
    taken_back = sum(found.taken_back for found in results)
    assert taken_back, (
        f"the control lost nothing of {believed} either: these kills never hit a save, and prove nothing"
    )
    return (
        f"{len(results)} kills: of {acked} proven acknowledgements 0 lost; "
        f"of {believed} believed ones {taken_back} taken back"
    )


async def test_eight_kills_take_back_nothing_that_was_proven(tmp_path):
    print(judge(await kills(tmp_path, 8, print)))


@pytest.mark.slow
async def test_two_hundred_kills_take_back_nothing_that_was_proven(tmp_path, capsys):
    told = judge(await kills(tmp_path, 200, lambda line: None))
    with capsys.disabled():
        print(f"saved: {told}", flush=True)
