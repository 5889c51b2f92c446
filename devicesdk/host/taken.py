"""Frames that were taken and not run, on a real device: kept in memory until somebody wants them.

Decides what is kept and for how long a job may take, one frame a job. Leaves out which frames and when
(devicesdk/agent/elsewhere.py) and running them (models.py).

Rules: what is kept is the model's input, not the camera's picture; at most `BURSTS_MAX` bursts (the agent
keeps to fewer); a burst that is cut while it is read ends with the frames that were read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from devicesdk.agent.effects import Mode, RunTaken, TakeFrames
from devicesdk.agent.snapshot import Slot
from devicesdk.host.burst import Beats, Bench, Rows
from devicesdk.host.models import Frame, Pixels
from devicesdk.inference.reduce import packed

BURSTS_MAX: Final = 80


class Shelf:
    """Taken frames by burst."""

    __slots__ = ("_bursts",)

    def __init__(self) -> None:
        self._bursts: dict[int, list[Pixels]] = {}

    def keep(self, burst: int, frames: list[Pixels]) -> None:
        """Keep the frames of a burst; beyond the bound the oldest go."""
        while len(self._bursts) >= BURSTS_MAX:
            del self._bursts[next(iter(self._bursts))]
        self._bursts[burst] = frames

    def take(self, burst: int) -> list[Pixels]:
        """The frames of a burst, no longer kept; none where it is not here."""
        return self._bursts.pop(burst, [])

    def __len__(self) -> int:
        return len(self._bursts)


class Taking(Beats):
    """Frames being taken and kept.

    Args:
        bench: clock, worker and models.
        effect: what was asked.
        holds: what is in its slot.
        shelf: where they are kept.
        over: called once, when all are there or the burst was cut.
    """

    __slots__ = ("_frames", "_holds", "_over", "_shelf", "effect")

    def __init__(
        self,
        bench: Bench,
        effect: TakeFrames,
        holds: Slot,
        shelf: Shelf,
        over: Callable[[Taking], None],
    ) -> None:
        self.effect, self._holds, self._shelf, self._over = effect, holds, shelf, over
        self._frames: list[Pixels] = []
        super().__init__(bench, effect.frames, effect.period_ns)

    @property
    def frames(self) -> int:
        """How many are there."""
        return len(self._frames)

    @property
    def pixels(self) -> bytes:
        """All of them, a byte a value, where they are to be sent."""
        return b"".join(packed(frame) for frame in self._frames) if self.effect.send else b""

    def _take(self, now: int) -> None:
        models, effect = self._bench.models, self.effect
        take = partial(models.take, effect.slot, self._holds, effect.side, now)
        self._bench.worker.ask(take, self._took, models.limit_s, models.stop)

    def _took(self, pixels: Pixels | None) -> None:
        if pixels is not None and not self._ended:
            self._frames.append(pixels)
        self._taken()

    def _finish(self) -> None:
        self._ended = True
        self._shelf.keep(self.effect.burst, self._frames)
        self._over(self)

    def cut(self) -> None:
        """End it now, with the frames that are there."""
        super().cut()
        self._shelf.keep(self.effect.burst, self._frames)


class Reading:
    """Kept frames being run, one after the other, as fast as it goes.

    Args:
        bench: clock, worker and models.
        effect: what was asked.
        holds: what is in its slot.
        frames: to be run.
        over: called once, unless it was cut.
    """

    __slots__ = (
        "_bench",
        "_ended",
        "_frames",
        "_holds",
        "_mode",
        "_over",
        "_rows",
        "_sum_ns",
        "effect",
    )

    def __init__(
        self,
        bench: Bench,
        effect: RunTaken,
        holds: Slot,
        frames: list[Pixels],
        over: Callable[[Reading], None],
    ) -> None:
        self._bench, self.effect, self._holds, self._over = bench, effect, holds, over
        self._mode: Mode = effect.mode
        self._frames = list(frames)
        self._rows: list[list[int]] = []
        self._sum_ns = 0
        self._ended = False

    @property
    def frames(self) -> int:
        """How many were run."""
        return len(self._rows)

    @property
    def readings(self) -> Rows:
        """Their rows."""
        return Rows(self._rows)

    @property
    def latency_us(self) -> int:
        """Mean latency of one inference."""
        return self._sum_ns // 1000 // max(1, len(self._rows))

    def next(self) -> None:
        """Run the next frame, or tell that it is over."""
        if self._ended:
            return
        if not self._frames:
            self._ended = True
            self._over(self)
            return
        pixels, bench = self._frames.pop(0), self._bench
        models = bench.models
        run = partial(models.run, self.effect.slot, self._holds, pixels, self._mode.variant)
        bench.worker.ask(run, self._ran, models.limit_s, models.stop)

    def _ran(self, frame: Frame | None) -> None:
        if self._ended:
            return
        if frame is not None:
            self._rows.append(frame.row)
            self._sum_ns += frame.latency_ns
        self.next()

    def cut(self) -> None:
        """End it now."""
        self._ended = True
