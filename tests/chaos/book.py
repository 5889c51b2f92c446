"""The operator who never rests, and the book of what the gateway's door acknowledged.

Decides what is asked for while processes die, and what must be there afterwards. Each mutation is asked
for until it is acknowledged, in one order, so at any moment at most one is in doubt.

Rules: an entry is made *after* the door's answer came; what is compared was read after the gateway was
back; numbers only grow, so "at least what was acknowledged" is the whole demand.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from gateway.runtime import verbs
from tests.chaos.plant import Plant

FLAG = "round"
LAMP = "lamp"
SEGMENT = "all"
GUESTS = 20
"""Names that are enrolled again and again, with a rising number as label."""
REST_S = 0.15


def definition(number: int) -> dict[str, Any]:
    """A flag whose only value is `number`."""
    return {"state": "ENABLED", "variants": {"n": number}, "defaultVariant": "n"}


class Book:
    """What the door acknowledged."""

    def __init__(self) -> None:
        self.guests: dict[str, int] = {}
        self.flag = 0
        self.kills = 0
        """Changes of the kill list."""
        self.lamp_alive = True
        self.rollouts: list[str] = []
        self.acknowledged = 0

    def copy(self) -> Book:
        """As it is now."""
        other = Book()
        other.__dict__.update(self.__dict__)
        other.guests, other.rollouts = dict(self.guests), list(self.rollouts)
        return other


class Operator:
    """Asks, without a pause, for things that must not be forgotten."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self.book = Book()
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        self._wish_to_end = asyncio.Event()

    def begin(self) -> None:
        """Start to ask."""
        self._wish_to_end.clear()
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def end(self) -> None:
        """Finish what is being asked for, and rest.

        Raises:
            AssertionError: something was not done in time.
        """
        self._wish_to_end.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def give_up(self) -> None:
        """Leave everything as it is: the round has failed already."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, AssertionError):
                await self._task
            self._task = None

    async def roll_out(self, name: str, bundle: str, waves: tuple[float, ...]) -> None:
        """Create a rollout."""
        await self._plant.roll_out(name, bundle, waves)
        self.book.rollouts.append(name)
        self.book.acknowledged += 1

    async def _work(self) -> None:
        while not self._wish_to_end.is_set():
            self._number += 1
            await (self._enroll, self._flag, self._kill)[self._number % 3]()
            self.book.acknowledged += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wish_to_end.wait(), REST_S)

    async def _enroll(self) -> None:
        name, number = f"guest-{self._number % GUESTS}", self._number
        labels = {"n": str(number)}
        await self._plant.insist(verbs.EnrollDevice(device=name, labels=labels))
        self.book.guests[name] = number

    async def _flag(self) -> None:
        number = self._number
        await self._plant.insist(
            verbs.SetFlag(segment=SEGMENT, flag=FLAG, definition=definition(number))
        )
        self.book.flag = number

    async def _kill(self) -> None:
        alive = not self.book.lamp_alive
        await self._plant.insist(verbs.Kill(feature=LAMP, alive=alive))
        self.book.lamp_alive = alive
        self.book.kills += 1


async def nothing_forgotten(plant: Plant, then: Book) -> None:
    """Demand that the gateway still knows what it had acknowledged."""
    fleet = await plant.fleet()
    found = fleet["kill_version"]
    assert found >= then.kills, (
        f"the door had acknowledged {then.kills} changes of the kill list, the gateway knows {found}"
    )
    known = {view["id"] for view in await plant.insist(verbs.ListRollouts())}
    gone = [name for name in then.rollouts if name not in known]
    assert not gone, f"the door had acknowledged the rollouts {gone}, the gateway knows {known}"
    for name, number in then.guests.items():
        labels = (await plant.twin(name))["labels"]
        assert int(labels.get("n", 0)) >= number, (
            f"the door had acknowledged label n={number} of {name}, the gateway knows {labels}"
        )
