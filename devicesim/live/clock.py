"""Real time for a run that is faster than the wall, and does not run ahead of the machine.

Decides how far scenario time goes when the process was late. At sixty times the wall a process that is not
given a processor for a third of a second finds twenty scenario seconds gone: devices that would have
connected are told that they were too slow, a fault is over before anybody met it, and the verdict is about
the machine. So while a run is *held*, time goes on by at most `STEP_S` real seconds between two looks, and
stands still that far beyond the first event that is due and was not executed. It stands as well while a
process is being started that the scenario says is there (`standing`). What it stood still for is counted, and
the report says so. Leaves out when events are executed (pacer.py).

Rules: as with every clock here, `now` never runs backwards. Only what this process is late with is waited
for: a broker that the machine starves goes by the wall, as its keep-alives do. At the wall's own speed
nothing is ever held: real time is then what was asked for, and what a soak measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from devicesdk.aio.clock import RealClock
from devicesdk.wire.timebase import SECOND
from devicesim.world.kernel import Kernel

STEP_S: Final = 0.1
"""Real seconds that a run may be ahead of what it has executed; the run looks twice as often."""


class HeldClock(RealClock):
    """Scaled real time that can be held; until it is, it is a `RealClock`.

    Args:
        speed: nanoseconds of `now` for each real one.
        wall_start_ms: UTC at `now` = 0.
    """

    __slots__ = ("_kernel", "_now", "_real", "_standing", "_step_ns", "held_ns", "judged_ns")

    def __init__(self, speed: float, wall_start_ms: int) -> None:
        super().__init__(speed, wall_start_ms)
        self._step_ns = round(STEP_S * SECOND * speed)
        self._kernel: Kernel | None = None
        self._standing = 0
        self._real = self._now = 0
        """What the wall's clock says, scaled, and what we say, at the last look."""
        self.held_ns = 0
        """For how long time has stood still, in its own nanoseconds."""
        self.judged_ns = 0
        """What the wall counted meanwhile, scaled: while the run was held, whether time stood or not."""

    def now(self) -> int:
        """Nanoseconds since the clock was made, times speed, less those that were held."""
        real = self._scaled()
        last, gap = self._now, real - self._real
        self._real = real
        now = last + gap
        if self._kernel is not None:
            now = last if self._standing else min(now, last + self._step_ns)
            queue = self._kernel.queue
            if queue and queue[0][0] + self._step_ns < now:
                now = max(last, queue[0][0] + self._step_ns)
            self.held_ns += last + gap - now
            self.judged_ns += gap
        self._now = now
        return now

    @property
    def held_share(self) -> float:
        """How much of the run's real time stood still, 0 to 1."""
        return self.held_ns / self.judged_ns if self.judged_ns else 0.0

    def _scaled(self) -> int:
        """What a clock that is never held says."""
        return super().now()

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Let no time pass, inside, where the run is held: the machine does what takes no scenario time."""
        self.now()
        self._standing += 1
        try:
            yield
        finally:
            self.now()
            self._standing -= 1

    @contextmanager
    def held(self, kernel: Kernel) -> Iterator[None]:
        """Stay with what `kernel` has executed, inside."""
        if self.speed > 1:
            self._kernel = kernel
        try:
            yield
        finally:
            self._kernel = None
