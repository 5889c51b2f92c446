"""Virtual time: SimPy's clock and queue, with slim alarms on it.

Decides the order of everything: by (instant, priority, sequence), integer nanoseconds. Leaves out
what happens at an instant. Our events stand in SimPy's own queue, ordered as SimPy orders, but are no
SimPy events: a process costs twice as much for each wake-up, and a timer that lost stays in the heap.

Rules: an alarm is re-armed rather than recreated. Arming it for a later instant costs nothing (it
fires early, finds that its time has not come and goes to sleep again); cancelling it is forgetting
its instant. No alarm is ever set in the past.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

import simpy

from devicesdk.wire.timebase import NEVER

NORMAL: Final = 1


class _Tick:
    """What the queue holds for an alarm; the alarm may have moved on since."""

    __slots__ = ("alarm",)

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm


class Alarm:
    """A timer that calls `action(now)` when its instant comes.

    Args:
        kernel: whose time it runs on.
        action: what to call; it may arm the alarm again.
    """

    __slots__ = ("_action", "_kernel", "_tick", "_tick_at", "at")

    def __init__(self, kernel: Kernel, action: Callable[[int], None]) -> None:
        self._kernel = kernel
        self._action = action
        self._tick: _Tick | None = None
        self._tick_at = NEVER
        self.at = NEVER

    def arm(self, at: int) -> None:
        """Ring at this instant and not at an earlier wish; `NEVER` cancels."""
        self.at = at
        if at < self._tick_at:
            self._push(at)

    def _push(self, at: int) -> None:
        kernel = self._kernel
        tick = self._tick = _Tick(self)
        self._tick_at = at
        assert at >= kernel.now, f"expected an alarm in the future, found {at} at {kernel.now}"
        heappush(kernel.queue, (at, NORMAL, next(kernel.sequence), tick))

    def ring(self, tick: _Tick, now: int) -> None:
        """Called by the queue: act if the time has come, sleep on if it was put off."""
        if tick is not self._tick:
            return
        self._tick, self._tick_at = None, NEVER
        at = self.at
        if at > now:
            if at < NEVER:
                self._push(at)
            return
        self.at = NEVER
        self._kernel.events += 1
        self._action(now)


class _Once:
    """A call at an instant that nobody cancels."""

    __slots__ = ("action", "argument")

    def __init__(self, action: Callable[[int, Any], None], argument: Any) -> None:
        self.action = action
        self.argument = argument


class Kernel:
    """The clock and its queue. `now` is the instant being executed.

    SimPy's own events may stand in the same queue: whatever is not ours is left to `env.step`.
    """

    __slots__ = ("env", "events", "now", "queue", "sequence")

    def __init__(self) -> None:
        self.env = simpy.Environment(initial_time=0)
        self.queue: list[tuple[int, int, int, Any]] = self.env._queue  # type: ignore[assignment]  # noqa: SLF001 - SimPy is pinned
        self.sequence = self.env._eid  # noqa: SLF001 - SimPy is pinned
        self.now = 0
        self.events = 0

    def alarm(self, action: Callable[[int], None]) -> Alarm:
        """Make an alarm that is not armed yet."""
        return Alarm(self, action)

    def at(self, instant: int, action: Callable[[int, Any], None], argument: Any = None) -> None:
        """Call ``action(instant, argument)`` then; not before `now`."""
        assert instant >= self.now, (
            f"expected an instant in the future, found {instant} at {self.now}"
        )
        heappush(self.queue, (instant, NORMAL, next(self.sequence), _Once(action, argument)))

    def run(
        self, until: int, pulse: Callable[[int], None] | None = None, every: int = 2048
    ) -> None:
        """Execute everything due up to and including `until`; `pulse(now)` is called now and then."""
        queue, env = self.queue, self.env
        countdown = every
        while queue and queue[0][0] <= until:
            self._step(queue, env)
            countdown -= 1
            if not countdown and pulse is not None:
                countdown = every
                pulse(self.now)
        self.now = until
        env._now = until  # noqa: SLF001 - SimPy has no way to advance an idle clock

    def step(self) -> None:
        """Execute the next event.

        Raises:
            IndexError: there is none.
        """
        self._step(self.queue, self.env)

    def _step(self, queue: list[tuple[int, int, int, Any]], env: simpy.Environment) -> None:
        entry = heappop(queue)
        event = entry[3]
        kind = type(event)
        if kind is _Tick:
            env._now = self.now = now = entry[0]  # noqa: SLF001 - what `env.step` would do
            event.alarm.ring(event, now)
        elif kind is _Once:
            env._now = self.now = now = entry[0]  # noqa: SLF001 - what `env.step` would do
            self.events += 1
            event.action(now, event.argument)
        else:
            heappush(queue, entry)
            self.now = entry[0]
            env.step()
