"""What takes a device's processor for a while: models, kits, probes, bursts, digests and deltas.

Decides which effects the worker performs, on which parts, and what the agent hears of them. Leaves out
when any of it is asked for (the agent), beats and pictures (burst.py, taken.py), and effects that are
performed at once (host.py).

Rules: one burst is under way at a time, because the agent asks for no second; whoever ends a burst
looks at the sensors, so that what a burst did to the device is told with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from devicesdk.agent import effects as ask
from devicesdk.agent import stimuli as hear
from devicesdk.agent.job import MANIFEST_FILE
from devicesdk.agent.shared import STATE_FILE
from devicesdk.agent.snapshot import Slot, decode_state
from devicesdk.bundle.manifest import decode_manifest
from devicesdk.bundle.trust import payload_named
from devicesdk.host import deltas
from devicesdk.host.burst import Bench, Burst, Rows
from devicesdk.host.kit import Kit
from devicesdk.host.models import KIT_LIMITS
from devicesdk.host.storage import StorageRefused
from devicesdk.host.taken import Reading, Shelf, Taking
from devicesdk.host.worker import Worker
from devicesdk.inference.runner import Judgement
from devicesdk.wire.errors import ProtocolError

_log = logging.getLogger("fleetdrill.device")


class Workshop:
    """Performs what is not done in an instant.

    Args:
        kit: what the host is made of.
        stimulate: takes what the agent shall hear.
        fail: hears what broke the worker.
        loop: on which everything runs but the work itself.
    """

    __slots__ = ("_bench", "_burst", "_kit", "_shelf", "_stimulate", "_worker", "told")

    def __init__(
        self,
        kit: Kit,
        stimulate: Callable[[hear.AnyStimulus], None],
        fail: Callable[[BaseException], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._kit, self._stimulate = kit, stimulate
        self._worker = Worker(fail, loop)
        self._bench = Bench(kit.clock, loop, self._worker, kit.models)
        self._burst: Burst | Taking | Reading | None = None
        self._shelf = Shelf()
        self.told = kit.sensors.conditions()
        """The conditions that the agent heard of last."""

    def performs(self) -> dict[type[Any], Callable[[Any], None]]:
        """What it does for which effect."""
        return {
            ask.HashFile: self.hash_file,
            ask.ApplyDelta: self.apply_delta,
            ask.RunKit: self.run_kit,
            ask.RunProbe: self.run_probe,
            ask.RunModel: self.run_model,
            ask.CutBurst: self.cut_burst,
            ask.TakeFrames: self.take_frames,
            ask.RunTaken: self.run_taken,
            ask.ReadAnswer: self.read_answer,
            ask.DropTaken: self.drop_taken,
        }

    def close(self) -> None:
        """Cut the burst in hand, and end the worker."""
        if self._burst is not None:
            self._burst.cut()
        self._worker.close()

    def hash_file(self, effect: ask.HashFile) -> None:
        """Hash a file; what cannot be read has no digest."""
        storage, file = self._kit.storage, effect.file

        def digest() -> bytes:
            try:
                return storage.digest(file, effect.size_bytes)
            except StorageRefused as error:
                _log.error("storage=%s", error)
                return b""  # equals no digest: what cannot be read is not what was fetched

        self._worker.ask(digest, lambda found: self._stimulate(hear.FileHashed(file, found)))

    def apply_delta(self, effect: ask.ApplyDelta) -> None:
        """Make an image of another one and a delta."""
        self._worker.ask(partial(deltas.apply, self._kit.storage, effect), self._stimulate)

    def run_kit(self, effect: ask.RunKit) -> None:
        """Run the validation kit of what a slot holds."""
        kit_digest = self._kit_named_by(effect.manifest)
        models = self._kit.models
        judge = partial(models.judge, effect.slot, self._holds(effect.slot), kit_digest)
        limit_s = KIT_LIMITS * models.limit_s
        self._worker.ask(judge, partial(self._judged, effect.slot), limit_s, models.stop)

    def _judged(self, slot: str, said: Judgement) -> None:
        _log.info("kit=%s slot=%s p95_us=%d", said.reason or "passed", slot, said.latency_us)
        self._stimulate(
            hear.KitRan(slot, said.passed, said.reason, said.worst_permille, said.latency_us)
        )

    def run_probe(self, effect: ask.RunProbe) -> None:
        """Run the golden probe of what a slot holds."""
        probe = partial(self._kit.models.probe, effect.slot, self._holds(effect.slot))
        self._worker.ask(probe, self._probed)

    def _probed(self, said: hear.ProbeRan) -> None:
        level = logging.INFO if said.passed else logging.WARNING
        _log.log(
            level, "probe=%s slot=%s residual=%d worst=%d like=%s",
            "passed" if said.passed else "failed", said.slot, said.residual_permille,
            said.worst_permille, said.resembles or "-",
        )  # fmt: skip
        self._stimulate(said)

    def _kit_named_by(self, manifest: bytes) -> str:
        """The kit's digest in hex, where the file of this manifest is still here; else empty."""
        envelope = self._kit.remembered(MANIFEST_FILE) or b""
        try:  # the agent trusted the digest before it asked for the kit
            return decode_manifest(payload_named(envelope, manifest)).kit
        except ProtocolError:
            return ""

    def _holds(self, slot: str) -> Slot:
        """What the saved state says is in a slot; it was saved before anything ran from it."""
        state = decode_state(self._kit.storage.read(STATE_FILE) or b"")
        return state.a if slot == "a" else state.b

    def run_model(self, effect: ask.RunModel) -> None:
        """Begin a burst: take a frame and run it, on each beat."""
        shadow = self._holds(effect.shadow) if effect.shadow else None
        self._burst = Burst(self._bench, effect, self._holds(effect.slot), self._ran, shadow)

    def cut_burst(self, effect: ask.CutBurst) -> None:
        """End the burst in hand early; what it has until now counts."""
        burst = self._burst
        if burst is not None and burst.effect.burst == effect.burst:
            burst.cut()
            if isinstance(burst, Taking):
                self._taken(burst)
            else:
                self._ran(burst)

    def take_frames(self, effect: ask.TakeFrames) -> None:
        """Begin to take frames that run later, here or elsewhere."""
        holds = self._holds(effect.slot)
        self._burst = Taking(self._bench, effect, holds, self._shelf, self._taken)

    def _taken(self, taking: Taking) -> None:
        self._burst = None
        self.told = conditions = self._kit.sensors.conditions()
        burst = taking.effect.burst
        self._stimulate(hear.FramesTaken(burst, taking.frames, taking.pixels, conditions))

    def run_taken(self, effect: ask.RunTaken) -> None:
        """Run the frames that were taken."""
        frames = self._shelf.take(effect.burst)
        holds = self._holds(effect.slot)
        self._burst = reading = Reading(self._bench, effect, holds, frames, self._ran)
        self._bench.loop.call_soon(reading.next)

    def read_answer(self, effect: ask.ReadAnswer) -> None:
        """Read what a twin elsewhere made of the frames that were taken."""
        frames, holds = self._shelf.take(effect.burst), self._holds(effect.slot)
        read = partial(self._kit.models.answer, effect.slot, holds, frames, effect.outputs)
        self._worker.ask(read, partial(self._answer_read, effect.burst))

    def _answer_read(self, burst: int, rows: list[list[int]]) -> None:
        conditions = self._kit.sensors.conditions()
        self._stimulate(hear.FramesRan(burst, len(rows), Rows(rows), 0, 0, conditions))

    def drop_taken(self, effect: ask.DropTaken) -> None:
        """Forget the frames that were taken."""
        self._shelf.take(effect.burst)

    def _ran(self, burst: Burst | Reading) -> None:
        self._burst = None
        self.told = conditions = self._kit.sensors.conditions()
        throttled = burst.frames if conditions.throttled else 0
        self._stimulate(
            hear.FramesRan(
                burst.effect.burst,
                burst.frames,
                burst.readings,
                burst.latency_us,
                throttled,
                conditions,
                self._kit.sensors.memory_peak_mib(),
                shadow=burst.shadow if isinstance(burst, Burst) else None,
                shadow_latency_us=burst.shadow_latency_us if isinstance(burst, Burst) else 0,
            )
        )
