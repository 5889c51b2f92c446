"""The world's kernel, paced by the wall clock.

Decides when the events of a live run happen: when the wall clock, times `speed`, has reached them, and
never all at once where many are due (sockets want their turn). Leaves out what happens.

Rules: whatever comes from outside (a socket, the gateway) enters through `tell`, which first executes
what was due before it, so that the world's instants never go backwards. What cannot keep up runs late,
in order, and `lag_ns_max` says by how much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from devicesdk.aio.clock import Clock
from devicesim.world.kernel import Kernel

SLICE_EVENTS_MAX: Final = 64
"""Events executed before the sockets have their turn."""


class Pacer:
    """Runs a kernel on an event loop.

    Args:
        kernel: the world's.
        clock: scaled real time.
        loop: whose timers wake it.
    """

    __slots__ = (
        "_clock",
        "_handle",
        "_handle_at",
        "_kernel",
        "_loop",
        "_running",
        "lag_ns_max",
        "pulse",
        "until",
    )

    def __init__(self, kernel: Kernel, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._kernel, self._clock, self._loop = kernel, clock, loop
        self._handle: asyncio.TimerHandle | None = None
        self._handle_at = 0
        self._running = False
        self.until: int | None = None
        """Nothing happens after this instant."""
        self.lag_ns_max = 0
        self.pulse: Callable[[int], None] | None = None
        """Called after each slice with the instant that was reached."""

    def start(self) -> None:
        """Begin to execute; what was due before is no lag."""
        self._tick()
        self.lag_ns_max = 0

    def stop(self) -> None:
        """Execute nothing any more."""
        self.until = self._kernel.now
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def tell(self, action: Callable[..., None], *arguments: object) -> None:
        """Call ``action(now, *arguments)`` at the present instant, after what was due before."""
        kernel = self._kernel
        if self._running:  # an effect of an event came back at once: it is that event's instant
            action(kernel.now, *arguments)
            return
        queue, now, until = kernel.queue, self._clock.now(), self.until
        if until is None and now >= kernel.now and not (queue and queue[0][0] <= now):
            kernel.idle_until(now)  # the usual case, without the detours
            action(now, *arguments)
        else:
            now = self.catch_up()
            if until is None or now < until:
                action(now, *arguments)
        if self._handle is None or (queue and queue[0][0] < self._handle_at):
            self._arm()

    def catch_up(self) -> int:
        """Execute a slice of what is due; returns the instant that was reached."""
        kernel = self._kernel
        if self._running:
            return kernel.now
        now = max(self._clock.now(), kernel.now)
        if self.until is not None and now > self.until:
            now = self.until
        queue = kernel.queue
        if queue and queue[0][0] <= now:
            self._execute(now)
        else:
            kernel.idle_until(now)
        return kernel.now

    def _execute(self, now: int) -> None:
        kernel, left = self._kernel, SLICE_EVENTS_MAX
        queue = kernel.queue
        self.lag_ns_max = max(self.lag_ns_max, now - queue[0][0])
        self._running = True
        try:
            while left and queue and queue[0][0] <= now:
                kernel.step()
                left -= 1
            if left:
                kernel.run(now)
        finally:
            self._running = False

    def _tick(self) -> None:
        self._handle = None
        self.catch_up()
        if self.pulse is not None:
            self.pulse(self._kernel.now)
        self._arm()

    def _arm(self) -> None:
        """Wake when the next event is due, and not at an earlier wish."""
        queue = self._kernel.queue
        due = queue[0][0] if queue else None
        if due is None or (self.until is not None and self._kernel.now >= self.until):
            return
        if self._handle is not None:
            if self._handle_at <= due:
                return
            self._handle.cancel()
        self._handle_at = due
        self._handle = self._loop.call_later(self._clock.wait_s(due), self._tick)
