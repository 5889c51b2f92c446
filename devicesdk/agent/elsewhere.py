"""Frames that are not run at once: kept for better days, or asked of the gateway.

Decides what becomes of frames that were taken: they wait in a bounded queue, or go out as one `Ask` and
are read with the answer, or are run here when no answer comes. Leaves out which of these (choosing.py)
and windows (work.py).

    TAKING > WAITING in the queue > READING           (path ``defer``)
    TAKING > ASKING > READING                         (path ``offload``)

Rules: one burst at a time is taken, asked or read; an ask has an end, and whatever comes later than that
is not looked at; frames are dropped here and on the host together, so nothing is kept that nobody knows
of; what waits is in RAM alone and goes with the power, and when another image runs, whose input it is not:
it never ran, so no count has it.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

import msgspec

from devicesdk.agent.choosing import Choice, Chooser
from devicesdk.agent.effects import DropTaken, Mode, Publish, ReadAnswer, RunTaken, TakeFrames
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.shared import Shared
from devicesdk.agent.stimuli import FramesTaken
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.messages import Ask, Control, ControlVerb
from devicesdk.wire.timebase import MS, NEVER, SECOND

BURSTS_A_BOOT: Final = 2**20
"""Asks are numbered by boot and burst: an answer from before a boot fits nothing."""
LATE, NO_LINK, TOLD_TO_WAIT, REFUSED = 1, 2, 3, 4
"""Why an ask failed, in notes."""


class Phase(Enum):
    """What is being done with frames that were taken."""

    NONE = "none"
    TAKING = "taking"
    ASKING = "asking"
    READING = "reading"


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A burst whose frames are kept by the host."""

    burst: int
    span_ns: int


class Elsewhere:
    """Frames of one boot that were taken and not run.

    Args:
        shared: the agent's common ground.
        chooser: told when the gateway should be left alone.
    """

    __slots__ = (
        "_asked_at", "_choice", "_chooser", "_shared", "_slot", "at", "burst", "dropped", "phase", "span_ns", "took_ms", "waiting",
    )  # fmt: skip

    def __init__(self, shared: Shared, chooser: Chooser) -> None:
        self._shared, self._chooser = shared, chooser
        self.phase = Phase.NONE
        self.burst = 0
        """The burst that the phase is about."""
        self.span_ns = 0
        """How long its frames were being taken."""
        self.at = NEVER
        """When the ask has failed."""
        self.waiting: deque[Kept] = deque()
        self.dropped = 0
        """Bursts whose frames were dropped, in this boot."""
        self.took_ms = -1
        """How long the gateway took for what is being read; -1: it did not answer it."""
        self._choice: Choice | None = None
        self._slot = ""
        self._asked_at = 0

    @property
    def busy(self) -> bool:
        """Whether frames are being taken, asked or read."""
        return self.phase is not Phase.NONE

    def take(self, choice: Choice, burst: int, slot: str, frames: int, period_ns: int) -> None:
        """Begin to take frames."""
        policy = self._chooser.policy
        if choice.path == "offload" and policy is not None:
            frames = min(frames, policy.offload.frames_max)
        self.phase, self.burst, self._choice, self._slot = Phase.TAKING, burst, choice, slot
        send = choice.path == "offload"
        self._shared.out.append(TakeFrames(burst, slot, frames, period_ns, choice.side, send))

    def taken(self, taken: FramesTaken, span_ns: int, manifest: bytes, now: int) -> None:
        """The frames are on the host: keep them or ask; with nothing taken it is over."""
        choice = self._choice
        assert choice is not None, "frames that nobody asked for"
        self.span_ns = span_ns
        if not taken.frames:
            self.drop()
        elif choice.path == "defer":
            self._keep(Kept(taken.burst, span_ns), choice.keep_bursts_max)
        else:
            self._ask(taken, manifest, now)

    def _keep(self, kept: Kept, most: int) -> None:
        while len(self.waiting) >= most:
            self._forget(self.waiting.popleft())
        self.waiting.append(kept)
        self.phase = Phase.NONE
        self._shared.note(NoteKind.DEFERRED, len(self.waiting))

    def _forget(self, kept: Kept) -> None:
        self.dropped += 1
        self._shared.out.append(DropTaken(kept.burst))
        self._shared.note(NoteKind.DEFERRED_DROPPED, self.dropped)

    # -- the gateway's answer -----------------------------------------------------------------------

    def _ask(self, taken: FramesTaken, manifest: bytes, now: int) -> None:
        shared, policy = self._shared, self._chooser.policy
        self.phase = Phase.ASKING
        fits = 0 < len(taken.pixels) <= limits.ASK_BYTES_MAX
        if policy is None or not shared.online or not fits:
            self._fail(NO_LINK, now, 0)
            return
        ask = Ask(
            number=self._number,
            manifest=manifest,
            frames=taken.frames,
            pixels=taken.pixels,
        )
        self._asked_at, self.at = now, now + policy.offload.timeout_ms * MS
        shared.out.append(Publish(topics.ASK, codec.encode(ask), 0, False))
        shared.note(NoteKind.ASKED, taken.frames, len(taken.pixels))

    @property
    def _number(self) -> int:
        return self._shared.boot_id * BURSTS_A_BOOT + self.burst % BURSTS_A_BOOT

    def answered(self, control: Control, now: int) -> bool:
        """Read the frames with an answer, or without one when it says no; False: it came too late."""
        if self.phase is not Phase.ASKING or control.ask != self._number:
            return False
        if control.verb is ControlVerb.ANSWER:
            self.at, self.phase = NEVER, Phase.READING
            self.took_ms = (now - self._asked_at) // MS
            self._shared.out.append(ReadAnswer(self.burst, self._slot, control.outputs))
            self._shared.note(NoteKind.ANSWERED, self.took_ms)
        elif control.verb is ControlVerb.WAIT:
            self._fail(TOLD_TO_WAIT, now, control.retry_after_ms * MS)
        else:
            self._fail(REFUSED, now, 0)
        return True

    def due(self, now: int) -> None:
        """Give up an ask whose time is over."""
        if now >= self.at:
            self._fail(LATE, now, 0)

    def offline(self, now: int) -> None:
        """The connection is gone, and with it any answer."""
        if self.phase is Phase.ASKING:
            self._fail(NO_LINK, now, 0)

    def _fail(self, why: int, now: int, pause_ns: int) -> None:
        """Leave the gateway alone for a while, and run the frames here."""
        policy, choice = self._chooser.policy, self._choice
        if policy is not None:
            pause_ns = max(pause_ns, policy.offload.pause_s * SECOND)
        self._chooser.holdoff_until = now + pause_ns
        self.at = NEVER
        self._shared.note(NoteKind.ASK_FAILED, why)
        assert choice is not None, "an ask without a choice"
        self._run(self.burst, self._slot, Mode(choice.variant, choice.side))

    # -- reading ------------------------------------------------------------------------------------

    def run_oldest(self, slot: str, mode: Mode) -> int:
        """Run the frames that have waited longest; returns their burst."""
        kept = self.waiting.popleft()
        self.burst, self.span_ns = kept.burst, kept.span_ns
        self._run(kept.burst, slot, mode)
        return kept.burst

    def _run(self, burst: int, slot: str, mode: Mode) -> None:
        self.phase, self.took_ms = Phase.READING, -1
        self._shared.out.append(RunTaken(burst, slot, mode))

    def read(self) -> None:
        """The frames were read: it is over."""
        self.phase, self._choice = Phase.NONE, None

    def drop(self) -> None:
        """Give up what is in hand."""
        self._shared.out.append(DropTaken(self.burst))
        self.phase, self.at, self._choice = Phase.NONE, NEVER, None

    def drop_waiting(self) -> None:
        """Give up what waits."""
        while self.waiting:
            self._forget(self.waiting.popleft())

    def validate(self) -> None:
        """Check bounds and the timer.

        Raises:
            AssertionError: too much waits, or an ask has no end.
        """
        assert len(self.waiting) <= 64, f"{len(self.waiting)} bursts wait"
        assert (self.at != NEVER) == (self.phase is Phase.ASKING), f"{self.phase} at {self.at}"
