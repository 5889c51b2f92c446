"""kill -9 of everything, in the middle of rollouts.

The short form runs with the other tests: two plants at once, one whose broker keeps its state on disk
and one whose broker forgets everything, each victim twice. The campaign (``make chaos``) does it twenty
times each, with larger plants, and prints a line a round.

Luck is seeded (`CHAOS_SEED` in the environment): who is killed, when and for how long. What the processes
do in the meantime is not, so a seed makes a failure likely to come again, not certain.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random  # noqa: TID251 - luck of a test, seeded
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.plant import Plant
from tests.chaos.rounds import BROKER, DEVICE, GATEWAY, Campaign, Result

pytestmark = pytest.mark.mosquitto
SEED = int(os.environ.get("CHAOS_SEED", "20"))
BYTES_PER_S = 250_000
KILLS = 20
OUTAGE_S = 5.0
"""Now and then a victim stays dead for long, so that requests pile up at the broker."""
OUTAGE_EVERY = 5
TRIES_MAX = 3
"""A kill that came after everybody had committed is tried again in another round."""


class Kind(NamedTuple):
    """How a broker keeps its state."""

    name: str
    persistence: bool
    autosave_changes: int | None

    @property
    def durable(self) -> bool:
        """Whether every turn of the broker's loop is saved."""
        return self.persistence and self.autosave_changes == 1


KEEPS = Kind("keeps", persistence=True, autosave_changes=1)
SHIPPED = Kind("shipped", persistence=True, autosave_changes=None)
"""What we ship: a kill -9 takes the changes of up to eleven seconds back, with sessions that are still there."""
FORGETS = Kind("forgets", persistence=False, autosave_changes=1)


async def campaign(
    folder: Path,
    kind: Kind,
    victims: list[str],
    devices: int,
    measured: int,
    say: Callable[[str], None],
) -> list[Result]:
    """Play a round for each victim on a plant of its own; say a line for each."""
    plant, results = Plant(folder, BYTES_PER_S), []
    async with contextlib.AsyncExitStack() as ending:
        ending.push_async_callback(plant.close)
        await plant.open(
            devices, persistence=kind.persistence, autosave_changes=kind.autosave_changes
        )
        rounds = Campaign(plant, random.Random(f"{SEED}/{kind.name}"), durable=kind.durable)
        ending.push_async_callback(rounds.close)
        for _ in range(measured):
            await rounds.round(None)
        for number, victim in enumerate(victims):
            long = number % OUTAGE_EVERY == OUTAGE_EVERY - 1
            for _ in range(TRIES_MAX):
                result = await rounds.round(victim, OUTAGE_S if long else None)
                results.append(result)
                say(f"{kind.name} {number + 1}/{len(victims)}: {result}")
                if result.struck:
                    break
    return results


def enough(results: list[Result], victim: str, kills: int) -> None:
    """Demand that the campaign did what it is for: so many kills, spread over the middle."""
    struck = [result for result in results if result.victim == victim and result.struck]
    assert len(struck) >= kills, (
        f"expected {kills} kills of the {victim} in the middle of a rollout, found {len(struck)} of "
        f"{len(results)}: the others came after everybody had committed"
    )


def in_downloads(results: list[Result], kills: int) -> None:
    """Demand that so many kills of a device came in the middle of its download, and cost something: the count sees it."""
    left = [result.left for result in results if result.left is not None]
    halfway = [one for one in left if one.halfway]
    assert len(halfway) >= kills, f"expected {kills} kills in a download, found {halfway} of {left}"
    assert any(one.forgotten_bytes for one in left), f"no kill cost anything: {left}"


async def test_two_kills_of_everything(tmp_path):
    keeps = [DEVICE, BROKER, GATEWAY, BROKER]
    forgets = [BROKER, GATEWAY, BROKER, DEVICE]
    async with asyncio.TaskGroup() as both:
        first = both.create_task(campaign(tmp_path / "k", KEEPS, keeps, 3, 0, print))
        second = both.create_task(campaign(tmp_path / "f", FORGETS, forgets, 3, 0, print))
    results = first.result() + second.result()
    for victim, kills in ((BROKER, 4), (GATEWAY, 2), (DEVICE, 2)):
        enough(results, victim, kills)


@pytest.mark.slow
async def test_twenty_kills_of_everything(tmp_path, capsys):
    def say(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    # A gateway that starts anew has forgotten its back-off, which grows with every broken connection.
    turns = [BROKER, GATEWAY, BROKER, DEVICE]
    half = turns * (KILLS // 2)
    async with asyncio.TaskGroup() as both:
        first = both.create_task(campaign(tmp_path / "k", KEEPS, half, 7, 2, say))
        second = both.create_task(campaign(tmp_path / "f", FORGETS, half, 7, 2, say))
    keeps, forgets = first.result(), second.result()
    shipped = await campaign(tmp_path / "s", SHIPPED, turns * (KILLS // 4), 7, 2, say)
    enough(keeps, BROKER, KILLS)
    enough(forgets, BROKER, KILLS)
    enough(keeps + forgets + shipped, GATEWAY, KILLS)
    enough(keeps + forgets + shipped, DEVICE, KILLS)
    assert any(0 < result.done_percent < 100 for result in keeps + forgets), "no kill in a download"
    in_downloads(keeps + forgets + shipped, KILLS // 4)
