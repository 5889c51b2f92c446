"""The second half of the play: updates, with everything that can go wrong on the way.

Decides the tricks of each update and what must come of it. Leaves out serving (desk.py).
"""

from __future__ import annotations

from typing import Final

from devicesdk.bundle.trust import Signer
from devicesdk.wire import codec, topics
from devicesdk.wire.codec import Frame
from devicesdk.wire.errors import Nack, Wait
from devicesdk.wire.messages import Control, ControlVerb, Link, UpdatePolicy, UpdateState
from devicesdk.wire.timebase import MS, SECOND
from gateway.conform import chapters
from gateway.conform.desk import Shelf, Trick
from gateway.conform.parcels import Parcel, make_parcel
from gateway.conform.stage import Stage
from gateway.conform.watch import Heard

TRIAL_MS: Final = 4_000
TRIAL_SLACK_NS: Final = 800 * MS
"""By so much the report of a beginning may come later than that of its end: processes wait for processors."""
UPDATE_PATIENCE_FACTOR: Final = 3
ENDED: Final = tuple(state for state in UpdateState if state.terminal)
TRICKS: Final = (
    Trick.FAIR,
    Trick.LOSSY,
    Trick.TWICE,
    Trick.STRAY,
    Trick.SILENT,
    Trick.BENT,
    Trick.SHUFFLED,
    Trick.SILENT,
)
OTHER_WAYS: Final = "the first update did not reach its trial"


class Updates:
    """The updates of one device.

    Args:
        stage: where they are played.
        patience_s: for each single wait.
        image: an ONNX file that the device accepts; None: a pattern.
        kit: digest (hex) of the validation kit that belongs to it.
        variant: name of the variant.
    """

    def __init__(
        self,
        stage: Stage,
        patience_s: float,
        *,
        image: bytes | None = None,
        kit: str = "",
        variant: str = "conform",
    ) -> None:
        self._stage, self._patience_s = stage, patience_s
        self._image, self._kit, self._variant = image, kit, variant
        self._number = self._asked = 0

    # -- updates ---------------------------------------------------------------------------

    async def held_then_mischievous(self) -> None:
        """Update 1: held at first, then with every trick of the desk, to the commit."""
        stage = self._stage
        parcel = self.parcel()
        held = await self.want(parcel, hold=True)
        waits = await stage.until(
            lambda: stage.watch.in_state(held, UpdateState.WAITING) is not None, self._patience_s
        )
        await stage.report(self._patience_s)
        asked = stage.desk.requests
        story = f"under hold it asked {asked} times and " + ("waits" if waits else "does not wait")
        stage.ledger.settle("W5", story, ok=waits and not asked)
        manifest, hashes, image = stage.desk.offer(parcel, stage.clock.now())
        manifest.tricks.extend((Trick.WAIT, Trick.UNSURE))
        hashes.tricks.append(Trick.BENT)
        image.tricks.extend(TRICKS)
        generation = await self.want(parcel, offered=True)
        end = await self.end(generation)
        self._judge_tricks(generation, image)
        await self._judge_commit(parcel, generation, end)
        await self._same_again(parcel, generation)

    def _judge_tricks(self, generation: int, image: Shelf) -> None:
        ledger = self._stage.ledger
        there = (UpdateState.DOWNLOADED, UpdateState.VERIFIED, UpdateState.TRIAL)
        if self._stage.watch.in_state(generation, *there) is None:
            return
        if Trick.TWICE not in image.tricks and Trick.SHUFFLED not in image.tricks:
            ledger.kept("G12")
        if image.strays:
            story = f"chunks {sorted(image.strays)} came under wrong names and were never asked for"
            ledger.broken("G13", story)

    async def _judge_commit(self, parcel: Parcel, generation: int, end: Heard | None) -> None:
        stage, ledger = self._stage, self._stage.ledger
        trial = stage.watch.in_state(generation, UpdateState.TRIAL)
        if end is None or end.have.state is not UpdateState.COMMITTED:
            said = "nothing final" if end is None else f"{end.have.state.name} {end.have.reason}"
            why = f"{OTHER_WAYS}: {said}; an image that the device accepts comes with --image"
            ledger.skipped(why, "T1", "T2", "T3", "R7", "R8", "W7", "W8", "K4", "G16")
            return
        if trial is not None:
            ok = trial.have.trial and trial.have.running == parcel.digest
            story = f"in TRIAL it reports trial {trial.have.trial}, {trial.have.running.hex()[:16]}"
            ledger.settle("T1", story, codec.encode(trial.have), ok=ok)
            took = end.at - trial.at
            story = f"committed {took / SECOND:.2f} s after TRIAL, expected {TRIAL_MS / 1000:g} s"
            ledger.settle("T2", story, ok=took >= TRIAL_MS * MS - TRIAL_SLACK_NS)
        else:
            ledger.broken("T1", "it committed and never reported TRIAL")
        ok = not end.have.trial and end.have.running == parcel.digest
        story = f"in COMMITTED it reports trial {end.have.trial}, {end.have.running.hex()[:16]}"
        ledger.settle("T3", story, codec.encode(end.have), ok=ok)
        await self._judge_events(parcel, generation)

    async def _judge_events(self, parcel: Parcel, generation: int) -> None:
        stage = self._stage
        await stage.until(
            lambda: any(e.state.terminal for e in stage.watch.told(generation)), self._patience_s
        )
        told = stage.watch.told(generation)
        ended = [e for e in told if e.state.terminal]
        ok = len(ended) == 1 and ended[0].digest == parcel.digest
        story = f"the events of generation {generation} were {[e.state.name for e in told]}"
        stage.ledger.settle("R7", story, ok=ok)
        wanted = [UpdateState.DOWNLOADING, UpdateState.VERIFIED, UpdateState.TRIAL]
        stage.ledger.settle("R8", story, ok=[e.state for e in told if e.state in wanted] == wanted)

    async def _same_again(self, parcel: Parcel, generation: int) -> None:
        """Old generations, and a new one for what runs already."""
        stage, ledger = self._stage, self._stage.ledger
        have = stage.watch.have
        if have is None or have.running != parcel.digest or have.trial:
            return
        other = self.parcel()
        for number in (generation, generation - 1):
            stale, asked = self._seal(other, number), stage.desk.requests
            stage.say(topics.WANT, stale)
            if await stage.report(self._patience_s):
                ok = stage.watch.generation == generation and stage.desk.requests == asked
                ledger.settle("W2", f"generation {number} was taken in again", stale, ok=ok)
        newer = await self.want(parcel)
        end = await self.end(newer)
        ok = end is not None and end.have.state is UpdateState.COMMITTED
        ok = ok and stage.desk.requests == self._asked
        ledger.settle("W7", "it asked for chunks, or is not COMMITTED", ok=ok)

    async def cut_overtaken_killed(self, feature: str) -> None:
        """Update 2 loses its connection and is overtaken by update 3, which meets a kill."""
        stage = self._stage
        first = self.parcel()
        *_, image = stage.desk.offer(first, stage.clock.now())
        await self.want(first, offered=True)
        fair = await stage.until(lambda: len(image.sent) >= 8, self._patience_s)
        if not fair:
            stage.ledger.skipped("update 2 did not begin its download", "W8", "K4", "G16")
            return
        if stage.relayed:
            await self._cut(image)
        await self._overtaken(image, feature)

    async def _cut(self, image: Shelf) -> None:
        """Reset the connection in the middle of a transfer and see it come back."""
        stage, watch, ledger = self._stage, self._stage.watch, self._stage.ledger
        before = watch.link
        stage.muted = True
        await stage.quiet(0.25)
        here, connects = len(image.sent), stage.packets.connects
        stage.relay.cut()
        stage.desk.disconnected()
        cut_at = stage.clock.now()
        gone = await stage.until(lambda: not watch.online, self._patience_s)
        ledger.settle("S2", "no will came after the connection was cut", ok=gone)
        dialled = await stage.until(lambda: stage.packets.connects > connects, 2 * self._patience_s)
        waited = stage.clock.now() - cut_at
        stage.muted = False
        back = dialled and await stage.until(lambda: watch.online, 2 * self._patience_s)
        grew = back and _session(watch.link) > _session(before)
        ledger.settle("S6", "no `link` of a later session came after the cut", ok=grew)
        if dialled:
            story = f"it connected again {waited / SECOND:.2f} s after the cut"
            ledger.settle("S7", story, ok=waited >= SECOND // 2)
        resumed = back and await stage.until(
            lambda: len(image.sent) >= min(here + 4, image.blob.chunks), self._patience_s
        )
        story = f"the transfer stood at chunk {here} of {image.blob.chunks} and did not go on"
        ledger.settle("G16", story, ok=resumed)

    async def _overtaken(self, image: Shelf, feature: str) -> None:
        stage, ledger = self._stage, self._stage.ledger
        # One right after the other: a device may report a kill two seconds later, when update 2 is done.
        kill = chapters.say_kill_list(stage, feature)
        third, under_way = self.parcel(), not image.complete
        generation = await self.want(third)
        await chapters.kill_is_reported(stage, kill, self._patience_s)

        def stands() -> bool:
            have = stage.watch.have
            waits = have is not None and have.generation == generation and have.reason == "killed"
            return waits or stage.watch.in_state(generation, UpdateState.TRIAL, *ENDED) is not None

        stood = await stage.until(stands, UPDATE_PATIENCE_FACTOR * self._patience_s)
        ran = stage.watch.in_state(generation, UpdateState.TRIAL) is not None
        if stood:
            story = "a trial began although inference was killed"
            ledger.settle("K4", story, ok=not ran)
            if under_way:
                ledger.kept("W8")
            else:
                ledger.skipped("update 2 had all its chunks when update 3 came", "W8")
        await chapters.revive(stage, self._patience_s)
        end = await self.end(generation)
        ok = end is not None and end.have.state is UpdateState.COMMITTED
        said = "nothing final" if end is None else f"{end.have.state.name} {end.have.reason}"
        story = f"update 3 was not COMMITTED when it was taken off the kill list: {said}"
        ledger.settle("T3", story, ok=ok)

    # -- refusals --------------------------------------------------------------------------

    async def refusals(self) -> None:
        """Updates that must not be installed."""
        stage = self._stage
        if stage.repository is None:
            forged = self.parcel(signer=stage.keys.director)
            await self._refused("I1", forged, UpdateState.REJECTED, blobs=1)
        foreign = self.parcel(hardware=("no-such-hardware",))
        await self._refused("I2", foreign, UpdateState.REJECTED, blobs=1)
        gone = self.parcel()
        manifest, _, _ = stage.desk.offer(gone, stage.clock.now())
        manifest.tricks.append(Trick.GONE)
        await self._refused("G8", gone, UpdateState.FAILED, blobs=0, offered=True)
        bad = self.parcel()
        *_, image = stage.desk.offer(bad, stage.clock.now())
        image.wrong_always = frozenset({0})
        await self._refused("G17", bad, UpdateState.FAILED, blobs=3, offered=True)

    async def _refused(
        self, rule: str, parcel: Parcel, state: UpdateState, *, blobs: int, offered: bool = False
    ) -> None:
        stage = self._stage
        running = b"" if stage.watch.have is None else stage.watch.have.running
        generation = await self.want(parcel, offered=offered)
        end = await self.end(generation)
        asked = stage.desk.requests
        await stage.report(self._patience_s)
        after = b"" if stage.watch.have is None else stage.watch.have.running
        touched = sum(1 for shelf in stage.desk.shelves.values() if shelf.sent)
        said = "nothing final" if end is None else f"{end.have.state.name} {end.have.reason}"
        ok = end is not None and end.have.state is state and after == running
        ok = ok and touched <= blobs and stage.desk.requests == asked
        story = f"expected {state.name}, found {said}; {touched} blobs were fetched"
        stage.ledger.settle(rule, story, parcel.manifest.data, ok=ok)
        stage.desk.nothing(stage.clock.now())

    async def strays(self) -> None:
        """Frames and verbs that belong to nothing."""
        stage = self._stage
        asked = stage.desk.requests
        for number in range(3):
            frame = Frame(number, 1, bytes([number]) * 8, number, 1)
            stage.say(topics.DAT, codec.encode_frame(frame, b"chunk"), qos=0)
            wait = Control(verb=ControlVerb.WAIT, transfer=number, retry_after_ms=1, why=Wait.BUSY)
            stage.say(topics.CTL, codec.encode(wait))
            nack = Control(verb=ControlVerb.NACK, transfer=number, code=Nack.INTERNAL_ERROR)
            stage.say(topics.CTL, codec.encode(nack))
        await stage.report(self._patience_s)
        await stage.quiet(chapters.SETTLE_S)
        story = "a stray frame or verb made it ask for chunks"
        stage.ledger.settle("X3", story, ok=stage.desk.requests == asked)

    # -- inside ----------------------------------------------------------------------------

    def parcel(self, *, signer: Signer | None = None, hardware: tuple[str, ...] = ("*",)) -> Parcel:
        """A bundle that this device has never met, also not in an earlier run."""
        self._number = max(self._number, self._stage.watch.generation) + 1
        return make_parcel(
            self._number,
            signer or self._stage.keys.targets,
            image=self._image,
            kit=self._kit,
            hardware=hardware,
            variant=self._variant,
        )

    def _seal(self, parcel: Parcel, generation: int, *, hold: bool = False) -> bytes:
        return self._stage.want(
            generation=generation,
            deployment=f"conform-{self._number}",
            manifest=parcel.digest,
            manifest_bytes=len(parcel.manifest.data),
            hold=hold,
            policy=UpdatePolicy(trial_ms=TRIAL_MS),
        )

    async def want(
        self, parcel: Parcel, *, hold: bool = False, offered: bool = False, unlisted: bool = False
    ) -> int:
        """Publish a want, serve what it needs, and wait until its generation is reported."""
        stage = self._stage
        if not offered:
            stage.desk.offer(parcel, stage.clock.now())
        if stage.repository is not None and not unlisted:
            stage.repository.release(parcel)
            stage.trusts(stage.repository)
        self._asked = stage.desk.requests
        generation = stage.next_generation()
        envelope = self._seal(parcel, generation, hold=hold)
        stage.say(topics.WANT, envelope, retain=True)
        taken = await stage.until(lambda: stage.watch.generation >= generation, self._patience_s)
        story = f"generation {generation} was wanted, {stage.watch.generation} is reported"
        stage.ledger.settle("W1", story, envelope, ok=taken)
        stage.ledger.settle("W6", "a want with a field of a later version was not taken", ok=taken)
        return generation

    async def end(self, generation: int) -> Heard | None:
        """The report in which a want has ended; None if none came."""
        stage = self._stage
        await stage.until(
            lambda: stage.watch.in_state(generation, *ENDED) is not None,
            UPDATE_PATIENCE_FACTOR * self._patience_s,
        )
        return stage.watch.in_state(generation, *ENDED)


def _session(link: Link | None) -> tuple[int, int]:
    return (0, -1) if link is None else (link.boot_id, link.session)
