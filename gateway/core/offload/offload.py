"""Inference for devices that would rather not: who is served, and who is told to wait.

Decides admission: how many asks run at once, how many frames one device may have run, which model of
the bundle runs them. Leaves out running (the host performs `Infer`), what the outputs mean (the device
reads them by its bundle's own bins) and consent, which the device has or does not send: nothing of a
frame is kept here, noted or written down beyond its number.

Rules: nobody queues here: a device that has to wait reads by itself, which is what it can do best; an ask
is answered once, by ANSWER, WAIT or NACK, or not at all when it ran too long; everything is in memory and
may be lost: the device's own timer covers it.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

from devicesdk.wire import codec, limits, topics
from devicesdk.wire.errors import BadMessage, Nack, Wait
from devicesdk.wire.messages import Ask, Control, ControlVerb
from devicesdk.wire.timebase import MS
from gateway.core.effects import Effect, Infer, Note, Publish
from gateway.core.internal import Internal, ModelKnown
from gateway.core.offload import notes
from gateway.core.offload.limits import OffloadLimits
from gateway.core.stimuli import Arrived, DeadlineReached, Inferred, Stimulus


class Job(msgspec.Struct, frozen=True, gc=False):
    """An ask that is being run."""

    device: str
    number: int
    frames: int
    expires_ns: int


class Offload:
    """The offload machine of one tenant.

    Args:
        limits: bounds, and the topic root.
    """

    __slots__ = ("_jobs", "_limits", "_models", "_number", "_spent", "_topics", "served_frames")

    def __init__(self, limits: OffloadLimits) -> None:
        self._limits = limits
        self._topics = topics.Topics(limits.root)
        self._models: dict[bytes, tuple[tuple[str, bytes, int], ...]] = {}
        self._jobs: dict[int, Job] = {}
        self._number = 0
        self._spent: dict[str, tuple[int, int]] = {}
        self.served_frames = 0
        """Frames answered since the start."""

    def handle(self, stimulus: Stimulus | Internal, now: int) -> list[Effect | Internal]:
        """Take an `ask`, what came of one, a deadline or a bundle; anything else is not for us."""
        match stimulus:
            case Arrived(kind=topics.ASK):
                return self._ask(stimulus, now)
            case Inferred():
                return self._inferred(stimulus)
            case DeadlineReached():
                return self._sweep(now)
            case ModelKnown():
                self._models.pop(stimulus.manifest, None)
                if len(self._models) >= self._limits.models_max:
                    del self._models[next(iter(self._models))]
                self._models[stimulus.manifest] = stimulus.variants
            case _:
                pass
        return []

    def deadline(self) -> tuple[int, str] | None:
        """When the oldest ask has run too long."""
        if not self._jobs:
            return None
        oldest = self._jobs[next(iter(self._jobs))]
        return oldest.expires_ns, "offload: an ask ran too long"

    @property
    def in_flight(self) -> int:
        """How many asks are being run."""
        return len(self._jobs)

    def _ask(self, arrived: Arrived, now: int) -> list[Effect | Internal]:
        device = arrived.device
        try:
            ask = codec.decode(Ask, arrived.payload, limits.MESSAGE_BYTES_MAX)
        except BadMessage:
            return [Note(notes.REFUSED, device)]
        image = self._image_for(ask)
        if image is None or len(ask.pixels) % ask.frames or not self._limits.in_flight_max:
            code = Nack.RESOURCE_NOT_FOUND if image is None else Nack.INVALID_REQUEST
            return self._refuse(device, ask, code)
        if len(self._jobs) >= self._limits.in_flight_max:
            base = self._limits.busy_retry_ns // MS
            after_ms = base + crc32(device.encode()) % max(1, base)
            told = self._wait(device, ask, Wait.BUSY, after_ms)
            return [told, Note(notes.BUSY, device, after_ms, len(self._jobs))]
        left_ns = self._spend(device, ask.frames, now)
        if left_ns:
            after_ms = -(-left_ns // MS)
            told = self._wait(device, ask, Wait.BUDGET, after_ms)
            return [told, Note(notes.BUDGET, device, after_ms)]
        self._number += 1
        expires_ns = now + self._limits.run_timeout_ns
        self._jobs[self._number] = Job(device, ask.number, ask.frames, expires_ns)
        return [
            Infer(self._number, image, ask.frames, ask.pixels),
            Note(notes.TAKEN, device, ask.frames, len(self._jobs)),
        ]

    def _image_for(self, ask: Ask) -> bytes | None:
        """The image to run: the variant that was asked for, else the largest of the bundle."""
        variants = self._models.get(ask.manifest, ())
        if ask.variant:
            return next((image for name, image, _ in variants if name == ask.variant), None)
        return max(variants, key=lambda v: v[2])[1] if variants else None

    def _spend(self, device: str, frames: int, now: int) -> int:
        """Book frames of a device; returns 0, or how many ns until it has some again."""
        begun, spent = self._spent.pop(device, (now, 0))
        bounds = self._limits
        if now >= begun + bounds.device_period_ns:
            begun, spent = now, 0
        fits = spent + frames <= bounds.device_frames_max
        if len(self._spent) >= bounds.devices_max:
            del self._spent[next(iter(self._spent))]
        self._spent[device] = begun, spent + frames if fits else spent
        return 0 if fits else begun + bounds.device_period_ns - now

    def _inferred(self, inferred: Inferred) -> list[Effect | Internal]:
        job = self._jobs.pop(inferred.job, None)
        if job is None:
            return []
        if not 0 < len(inferred.outputs) <= limits.ASK_BYTES_MAX:
            refusal = Control(verb=ControlVerb.NACK, ask=job.number, code=Nack.INTERNAL_ERROR)
            return [self._ctl(job.device, refusal), Note(notes.FAILED, job.device)]
        self.served_frames += job.frames
        answer = Control(verb=ControlVerb.ANSWER, ask=job.number, outputs=inferred.outputs)
        return [
            self._ctl(job.device, answer),
            Note(notes.ANSWERED, job.device, job.frames, len(inferred.outputs)),
        ]

    def _sweep(self, now: int) -> list[Effect | Internal]:
        late = [number for number, job in self._jobs.items() if job.expires_ns <= now]
        for number in late:
            del self._jobs[number]
        return [Note(notes.LATE, "", len(late))] if late else []

    def _refuse(self, device: str, ask: Ask, code: Nack) -> list[Effect | Internal]:
        answer = Control(verb=ControlVerb.NACK, ask=ask.number, code=code)
        return [self._ctl(device, answer), Note(notes.REFUSED, device, ask.frames)]

    def _wait(self, device: str, ask: Ask, why: Wait, after_ms: int) -> Publish:
        answer = Control(verb=ControlVerb.WAIT, ask=ask.number, retry_after_ms=after_ms, why=why)
        return self._ctl(device, answer)

    def _ctl(self, device: str, answer: Control) -> Publish:
        topic = self._topics.device(device, topics.CTL)
        payload, expiry_ns = codec.encode(answer), self._limits.answer_expiry_ns
        return Publish(topic, topics.CTL, payload, 0, False, expiry_ns)

    def validate(self) -> None:
        """Check the bounds.

        Raises:
            AssertionError: one does not hold.
        """
        bounds = self._limits
        assert len(self._jobs) <= bounds.in_flight_max, f"{len(self._jobs)} asks are being run"
        assert len(self._spent) <= bounds.devices_max, f"{len(self._spent)} budgets"
        assert len(self._models) <= bounds.models_max, f"{len(self._models)} bundles"
        expiries = [job.expires_ns for job in self._jobs.values()]
        assert expiries == sorted(expiries), "asks are not in the order of their expiry"
