"""A burst of frames on a real device: one on each beat, told when the last beat is over.

Decides when frames are taken and which of them ran. Leaves out taking and running them (models.py).

Rules: a beat that comes while a frame is still in hand is missed, never queued; at its end a burst waits
for the frame in hand, whose time the camera and the worker's limit bound; a burst that is cut waits for
nothing.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import msgspec

from devicesdk.agent.effects import RunModel
from devicesdk.agent.snapshot import Slot
from devicesdk.aio.clock import Clock
from devicesdk.host.models import Frame, Models
from devicesdk.host.worker import Worker


class Bench(msgspec.Struct, frozen=True):
    """What every burst of a device works with."""

    clock: Clock
    loop: asyncio.AbstractEventLoop
    worker: Worker
    models: Models


class Rows(msgspec.Struct, frozen=True):
    """`devicesdk.agent.stimuli.Readings` of frames that ran."""

    made: list[list[int]]

    def rows(self) -> list[list[int]]:
        """One row a frame."""
        return self.made


class Beats(ABC):
    """Takes a frame on each beat, until all beats are over or it is cut.

    Args:
        bench: clock, worker and models.
        frames: how many beats.
        period_ns: between two of them.
    """

    __slots__ = (
        "_beats",
        "_bench",
        "_busy",
        "_ended",
        "_of",
        "_period_ns",
        "_started_at",
        "_timer",
    )

    def __init__(self, bench: Bench, frames: int, period_ns: int) -> None:
        self._bench, self._of, self._period_ns = bench, frames, period_ns
        self._beats = 0
        self._busy = self._ended = False
        self._started_at = bench.clock.now()
        self._timer: asyncio.TimerHandle | None = None
        self._beat()

    def cut(self) -> None:
        """End it now; whatever the frame in hand shows is not looked at."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()

    @abstractmethod
    def _take(self, now: int) -> None:
        """Begin to take a frame; `_taken` says that it is done with."""

    @abstractmethod
    def _finish(self) -> None:
        """All beats are over, and no frame is in hand."""

    def _beat(self) -> None:
        """Take a frame if none is in hand, and set the timer for the next beat."""
        now = self._bench.clock.now()
        if now < self._started_at + self._beats * self._period_ns:
            self._wait()  # a timer may come a little early, or stand for less than a long wait
            return
        if self._beats == self._of:
            self._timer = None
            if not self._busy:
                self._finish()
            return
        self._beats = min(self._of, (now - self._started_at) // self._period_ns + 1)
        if not self._busy:
            self._busy = True
            self._take(now)
        self._wait()

    def _wait(self) -> None:
        bench = self._bench
        instant = self._started_at + self._beats * self._period_ns
        self._timer = bench.loop.call_later(bench.clock.wait_s(instant), self._beat)

    def _taken(self) -> None:
        """The frame in hand is done with."""
        self._busy = False
        if not self._ended and self._timer is None:
            self._finish()


class Burst(Beats):
    """Frames being taken and run.

    Args:
        bench: clock, worker and models.
        effect: what was asked.
        holds: what is in its slot.
        over: called once, when the burst has run its course.
        shadow: what is in the slot that sees the same frames, where there is one.
    """

    __slots__ = (
        "_holds", "_over", "_rows", "_shadow", "_shadow_ns", "_shadow_rows", "_sum_ns", "effect",
    )  # fmt: skip

    def __init__(
        self,
        bench: Bench,
        effect: RunModel,
        holds: Slot,
        over: Callable[[Burst], None],
        shadow: Slot | None = None,
    ) -> None:
        self.effect, self._holds, self._over = effect, holds, over
        self._shadow, self._shadow_rows, self._shadow_ns = shadow, list[list[int]](), 0
        self._rows: list[list[int]] = []
        self._sum_ns = 0
        super().__init__(bench, effect.frames, effect.period_ns)

    @property
    def frames(self) -> int:
        """How many ran until now."""
        return len(self._rows)

    @property
    def readings(self) -> Rows:
        """Their rows."""
        return Rows(self._rows)

    @property
    def latency_us(self) -> int:
        """Mean latency of one inference."""
        return self._sum_ns // 1000 // max(1, len(self._rows))

    @property
    def shadow(self) -> Rows | None:
        """The rows of the shadow for the same frames; None where there was none."""
        return None if self._shadow is None else Rows(self._shadow_rows)

    @property
    def shadow_latency_us(self) -> int:
        """Mean latency of one inference of the shadow."""
        return self._shadow_ns // 1000 // max(1, len(self._shadow_rows))

    def _take(self, now: int) -> None:
        models, effect = self._bench.models, self.effect
        take = partial(models.frame, effect.slot, self._holds, now, effect.mode)
        if self._shadow is not None:
            take = partial(
                models.pair, effect.slot, self._holds, effect.shadow, self._shadow, now, effect.mode
            )
        self._bench.worker.ask(take, self._took, models.limit_s, models.stop)

    def _took(self, frame: Frame | None) -> None:
        if frame is not None and not self._ended:
            self._rows.append(frame.row)
            self._sum_ns += frame.latency_ns
            if frame.shadow is not None:
                self._shadow_rows.append(frame.shadow.row)
                self._shadow_ns += frame.shadow.latency_ns
        self._taken()

    def _finish(self) -> None:
        self._ended = True
        self._over(self)
