"""One round: a rollout, a kill in the middle of it, and everything that must hold afterwards.

Decides when the kill comes (between the first chunk and the last commit, drawn) and how long the victim
stays dead. Leaves out what must hold (checks.py, book.py, witness.py).
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - luck of a test, seeded
from typing import Final

from tests.chaos import checks
from tests.chaos.book import Operator, nothing_forgotten
from tests.chaos.bundles import Published, release
from tests.chaos.plant import PATIENCE_S, Device, Plant
from tests.chaos.remains import Remains, remains
from tests.chaos.witness import Found, Witness

BROKER, GATEWAY, DEVICE = "broker", "gateway", "device"
PADDING_BYTES: Final = 200_000
WAVES: Final = ((1.0,), (0.5, 1.0))
DEAD_S: Final = (0.1, 1.2)
MIDDLE_SHARE: Final = 0.8
"""Kills are drawn from this share of the time that an undisturbed rollout takes."""
FIRST_GUESS_S: Final = 2.0


class Told:
    """The story of a round: what happened when."""

    def __init__(self, title: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._began, self._lines = self._loop.time(), [title]

    @property
    def elapsed_s(self) -> float:
        """Since the round began."""
        return self._loop.time() - self._began

    def note(self, line: str) -> None:
        """Something happened."""
        self._lines.append(f"  {self.elapsed_s:7.3f} s  {line}")

    def __str__(self) -> str:
        return "\n".join(self._lines)


class Result:
    """What a round found."""

    def __init__(self, victim: str) -> None:
        self.victim = victim
        self.struck = False
        """Whether the kill came before everybody had committed."""
        self.done_percent = 0
        """How much of all downloads was done when the kill came."""
        self.again_bytes_max = 0
        """Handed to one device twice; of a device that was killed what it had received and not saved."""
        self.left: Remains | None = None
        """What a device that was killed left."""
        self.witness: Found | None = None
        self.took_s = 0.0

    def __str__(self) -> str:
        when = f"at {self.done_percent:3} %" if self.struck else "too late"
        found = self.witness
        witness = (
            f", witness {found.acked} acked {len(found.lost)} lost, without proof "
            f"{found.believed} acked {found.taken_back} lost"
            if found
            else ""
        )
        left = f", {len(self.left.saved)} of {self.left.chunks} chunks saved" if self.left else ""
        return f"{self.victim:8} {when}, {self.again_bytes_max:6} B again{left}{witness}, {self.took_s:.1f} s"


class Campaign:
    """Rounds on one plant, one after the other.

    Args:
        plant: open.
        luck: seeded.
        durable: whether the broker saves in every turn, so that a witness may be asked.
    """

    def __init__(self, plant: Plant, luck: random.Random, *, durable: bool) -> None:
        self.plant, self._luck, self._durable = plant, luck, durable
        self.operator = Operator(plant)
        self._witness = Witness(plant.broker.endpoint)
        self._marks = checks.Marks()
        self._number = 0
        self._middle_s = dict.fromkeys(WAVES, FIRST_GUESS_S)

    async def close(self) -> None:
        """Leave everything as it is: no task outlives the plant."""
        await self.operator.give_up()
        await self._witness.end()

    async def round(self, victim: str | None, dead_s: float | None = None) -> Result:
        """Play one round; without a victim it only measures how long the middle is.

        Args:
            victim: who is killed.
            dead_s: for how long it stays dead; None draws it.

        Raises:
            AssertionError: something does not hold; with the story and the end of every log.
        """
        self._number += 1
        result = Result(victim or "nobody")
        told = Told(f"round {self._number}, victim {result.victim}:")
        try:
            async with asyncio.timeout(4 * PATIENCE_S):
                await self._play(victim, dead_s, result, told)
        except Exception as error:
            await self.operator.give_up()
            raise AssertionError(
                f"{error!s} ({type(error).__name__})\n{told}\n{self.plant.tails()}"
            ) from error
        result.took_s = told.elapsed_s
        return result

    async def _play(
        self, victim: str | None, dead_s: float | None, result: Result, told: Told
    ) -> None:
        plant = self.plant
        wanted = release(self._number, plant.signer, PADDING_BYTES)
        await plant.publish(wanted)
        waves = self._luck.choice(WAVES)
        witnessed = victim == BROKER and self._durable
        if witnessed:
            await self._witness.begin()
        self.operator.begin()
        first = asyncio.Event()
        plant.heard = lambda device, blob, size: blob == wanted.image[:8] and first.set()
        await self.operator.roll_out(f"r{self._number}", wanted.name, waves)
        told.note(f"{wanted.name} rolled out in waves {waves}")
        await asyncio.wait_for(first.wait(), PATIENCE_S)
        told.note("the first chunk arrived")
        bereft, left = set[str](), dict[str, Remains]()
        if victim is not None:
            middle_s = MIDDLE_SHARE * self._middle_s[waves]
            if victim == DEVICE:  # aimed at its download; an install has been hit often enough
                middle_s = min(middle_s, wanted.image_bytes / plant.bytes_per_s)
            await asyncio.sleep(self._luck.uniform(0, middle_s))
            drawn_s = self._luck.uniform(*DEAD_S)
            await self._strike(victim, dead_s or drawn_s, wanted, result, bereft, left, told)
        began_s = told.elapsed_s
        await self._completed(wanted, told)
        if victim is None:
            self._middle_s[waves] = told.elapsed_s - began_s
        await self.operator.end()
        if witnessed:
            await self._ask_witness(result, told)
        await self._judge(wanted, bereft, left, result, told)

    async def _completed(self, wanted: Published, told: Told) -> None:
        name = f"r{self._number}"

        async def look() -> bool:
            view = await self.plant.rollout(name)
            assert view["state"] in ("waiting", "running", "completed"), f"{name} ended as {view}"
            return view["state"] == "completed"

        try:
            await self.plant.until(f"{name} of {wanted.name} to complete", look)
        except AssertionError as error:
            raise AssertionError(f"{error}: {await self.plant.rollout(name)}") from None
        told.note("the rollout completed")

    async def _judge(
        self,
        wanted: Published,
        bereft: set[str],
        left: dict[str, Remains],
        result: Result,
        told: Told,
    ) -> None:
        plant = self.plant
        await checks.all_agree(plant, wanted, self.operator.book)
        told.note("twins and devices agree")
        await nothing_forgotten(plant, self.operator.book)
        again = {d.name: d.relay.fetched_again_bytes(wanted.image) for d in plant.devices}
        told.note(f"handed over again, bytes: {again}")
        again |= {name: one.forgotten_bytes for name, one in left.items()}
        result.again_bytes_max = max(again.values())
        checks.little_fetched_again(plant, wanted, bereft, left)
        for device in plant.devices:
            checks.whole(device, wanted)
            self._marks.look(device, device.process.starts)
        await checks.all_answer(plant, wanted)
        told.note("every device answers and runs")

    async def _ask_witness(self, result: Result, told: Told) -> None:
        await self._witness.end()
        result.witness = found = await self._witness.found()
        told.note(f"the witness found {found}")
        assert found.acked, "the witness wrote nothing"
        assert not found.lost, (
            f"the broker keeps its state on disk and had acknowledged {found.lost}, with a ping answered after "
            f"that; they never came (of {found.acked})"
        )
        assert not found.missing, f"said again after the kill, and never came: {found.missing}"

    # -- the kills ------------------------------------------------------------------------------

    async def _strike(
        self,
        victim: str,
        dead_s: float,
        wanted: Published,
        result: Result,
        bereft: set[str],
        left: dict[str, Remains],
        told: Told,
    ) -> None:
        plant = self.plant
        target = self._luck.choice(plant.devices)
        view = await plant.rollout(f"r{self._number}")
        result.struck = view["state"] == "running"
        done = sum(device.relay.fetched_bytes(wanted.image) for device in plant.devices)
        result.done_percent = 100 * done // (wanted.image_bytes * len(plant.devices))
        told.note(f"kill -9 of the {victim} at {result.done_percent} % of all downloads: {view}")
        if victim == DEVICE:
            fetching = [device for device in plant.devices if self._fetches(device, wanted)]
            target = self._luck.choice(fetching) if fetching else target
            result.left = await self._kill_device(target, dead_s, wanted, told)
            left[target.name] = result.left
            return
        bereft |= {device.name for device in plant.devices}
        if victim == BROKER:
            plant.broker.kill()
            await asyncio.sleep(dead_s)
            await plant.broker.restart()
        else:
            plant.gateway.kill()
            then = self.operator.book.copy()
            await asyncio.sleep(dead_s)
            plant.gateway.start()
            await nothing_forgotten(plant, then)
            told.note(f"the gateway forgot nothing of {then.acknowledged} answers of its door")
        told.note(f"the {victim} is back after {dead_s:.2f} s")

    @staticmethod
    def _fetches(device: Device, wanted: Published) -> bool:
        return 0 < device.relay.fetched_bytes(wanted.image) < wanted.image_bytes

    async def _kill_device(
        self, device: Device, dead_s: float, wanted: Published, told: Told
    ) -> Remains:
        before = device.shown()
        device.process.kill()
        told.note(f"it is {device.name}, in state {before['update']['state']}")
        await asyncio.sleep(dead_s)
        after = device.shown()
        for what in ("kill_version", "flags_rev"):
            assert after[what] >= before[what], f"{device.name}: {what} went back: {before} {after}"
        left = remains(device, wanted)
        told.note(f"it left {len(left.saved)} chunks, and forgot {left.forgotten_bytes} bytes")
        device.process.start()
        told.note(f"{device.name} is back after {dead_s:.2f} s")
        return left
