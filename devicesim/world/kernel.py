"""Virtual time: SimPy's clock and queue, with slim alarms on it.

Decides the order of everything: by (instant, priority, sequence), integer nanoseconds. Leaves out
what happens at an instant. Our events stand in SimPy's own queue, ordered as SimPy orders, but are no
SimPy events: a process costs twice as much for each wake-up, and a timer that lost stays in the heap.

What is due more than a minute from now is not in the heap but in the *drawer* of its minute; the drawer
alone stands in the heap, and is emptied into it when its minute begins (a calendar queue: Brown 1988,
Communications of the ACM 31(10)). A fleet's sleeping timers then cost no comparison, and the order is
the same.

Rules: an alarm is re-armed rather than recreated. Arming it for a later instant costs nothing (it
fires early, finds that its time has not come and goes to sleep again); cancelling it is forgetting
its instant. No alarm is ever set in the past. A clock that stands still while callbacks go on and on
is an error that names them (`StandstillError`), found between batches so that no callback pays for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

import msgspec
import simpy

from devicesdk.wire.timebase import MINUTE, NEVER

EARLY: Final = 0
NORMAL: Final = 1
DRAWER_NS: Final = MINUTE
"""What is due so long from now, or longer, waits in a drawer; as long as one drawer spans."""
STANDSTILL_CALLS_MAX: Final = 1_000_000
"""Callbacks at one instant: a hundred for each of ten thousand devices, past all that a drill has."""
_STORY_CALLS: Final = 1_000
"""So many more are executed to tell who they are."""
_STORY_NAMES: Final = 5

Entry = tuple[int, int, int, Any]
"""(instant, priority, sequence, event): what the heap orders."""


class Alarm:
    """A timer that calls `action(now)` when its instant comes.

    It stands in the queue itself, perhaps more than once: the entry that counts is known by its
    sequence number.

    Args:
        kernel: whose time it runs on.
        action: what to call; it may arm the alarm again.
    """

    __slots__ = ("_action", "_entry_at", "_kernel", "_sequence", "at")

    def __init__(self, kernel: Kernel, action: Callable[[int], None]) -> None:
        self._kernel = kernel
        self._action = action
        self._sequence = -1
        self._entry_at = NEVER
        self.at = NEVER

    def arm(self, at: int) -> None:
        """Ring at this instant and not at an earlier wish; `NEVER` cancels."""
        self.at = at
        if at < self._entry_at:
            self._push(at)

    def _push(self, at: int) -> None:
        kernel = self._kernel
        now = kernel.now
        assert at >= now, f"expected an alarm in the future, found {at} at {now}"
        sequence = self._sequence = next(kernel.sequence)
        self._entry_at = at
        if at - now < DRAWER_NS:
            heappush(kernel.queue, (at, NORMAL, sequence, self))
        else:
            kernel.put_off((at, NORMAL, sequence, self))

    def ring(self, sequence: int, now: int) -> None:
        """Called by the queue: act if the time has come, sleep on if it was put off."""
        if sequence != self._sequence:
            return
        self._sequence, self._entry_at = -1, NEVER
        at = self.at
        if at > now:
            if at < NEVER:
                self._push(at)
            return
        self.at = NEVER
        self._kernel.events += 1
        self._action(now)


class StandstillError(RuntimeError):
    """Callbacks set each other going without end, and the clock does not move; says which."""


class _Once(msgspec.Struct):
    """A call at an instant that nobody cancels.

    The collector must see it: those that a run ends before would keep the whole world alive.
    """

    action: Callable[[int, Any], None]
    argument: Any


class _Drawer:
    """What is due in one minute that has not begun, in no order."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[Entry] = []


class Kernel:
    """The clock and its queue. `now` is the instant being executed.

    SimPy's own events may stand in the same queue: whatever is not ours is left to `env.step`. While
    anything is due at all the queue is not empty, and nothing is due before its head.
    """

    __slots__ = ("_drawers", "env", "events", "now", "queue", "sequence")

    def __init__(self) -> None:
        self.env = simpy.Environment(initial_time=0)
        self.queue: list[Entry] = self.env._queue  # type: ignore[assignment]  # noqa: SLF001 - SimPy is pinned
        self.sequence = self.env._eid  # noqa: SLF001 - SimPy is pinned
        self._drawers: dict[int, _Drawer] = {}
        self.now = 0
        self.events = 0

    def alarm(self, action: Callable[[int], None]) -> Alarm:
        """Make an alarm that is not armed yet."""
        return Alarm(self, action)

    def at(self, instant: int, action: Callable[[int, Any], None], argument: Any = None) -> None:
        """Call ``action(instant, argument)`` then; not before `now`."""
        now = self.now
        assert instant >= now, f"expected an instant in the future, found {instant} at {now}"
        entry = (instant, NORMAL, next(self.sequence), _Once(action, argument))
        if instant - now < DRAWER_NS:
            heappush(self.queue, entry)
        else:
            self.put_off(entry)

    def put_off(self, entry: Entry) -> None:
        """Put an entry that is due in `DRAWER_NS` or later into the drawer of its minute."""
        number = entry[0] // DRAWER_NS
        drawer = self._drawers.get(number)
        if drawer is None:
            drawer = self._drawers[number] = _Drawer()
            heappush(self.queue, (number * DRAWER_NS, EARLY, next(self.sequence), drawer))
        drawer.entries.append(entry)

    def run(
        self, until: int, pulse: Callable[[int], None] | None = None, every: int = 2048
    ) -> None:
        """Execute everything due up to and including `until`; `pulse(now)` is called now and then.

        Raises:
            StandstillError: `STANDSTILL_CALLS_MAX` callbacks, and the clock has not moved.
        """
        stood, at = 0, self.now
        while not self._execute(until, every):
            now = self.now
            stood, at = stood + every if now == at else 0, now
            if stood >= STANDSTILL_CALLS_MAX:
                self._stands_still(until, stood)
            if pulse is not None:
                pulse(now)
        self.idle_until(until)

    def _stands_still(self, until: int, calls: int) -> None:
        """Watch a little longer, and tell who it is; the clock may move after all."""
        at, names = self.now, Counter[str]()
        while sum(names.values()) < _STORY_CALLS:
            if not self.queue or self.queue[0][0] > min(at, until):
                return
            names[_named(self.queue[0][3])] += 1
            self._execute(until, 1)
        most = ", ".join(f"{name} ({count})" for name, count in names.most_common(_STORY_NAMES))
        raise StandstillError(
            f"expected the clock to move on from {at} ns, found {calls} callbacks at that instant; the "
            f"next {_STORY_CALLS} were {most}: let one of them wait for a later instant"
        )

    def idle_until(self, until: int) -> None:
        """Let time pass to `until`, before which nothing is due."""
        self.now = until
        self.env._now = until  # noqa: SLF001 - SimPy has no way to advance an idle clock

    def step(self) -> None:
        """Execute the head of the queue; where that is a drawer, empty it and nothing else.

        Raises:
            IndexError: there is none.
        """
        if not self.queue:
            raise IndexError("expected an event to execute, found an empty queue")
        self._execute(NEVER, 1)

    def _execute(self, until: int, most: int) -> int:
        """Execute at most so many entries due by `until`; returns how many more it could have been."""
        queue, env = self.queue, self.env
        while most and queue and queue[0][0] <= until:
            now, priority, sequence, event = heappop(queue)
            kind = type(event)
            if kind is Alarm:
                env._now = self.now = now  # noqa: SLF001 - what `env.step` would do
                event.ring(sequence, now)
            elif kind is _Once:
                env._now = self.now = now  # noqa: SLF001 - what `env.step` would do
                self.events += 1
                event.action(now, event.argument)
            elif kind is _Drawer:
                self._empty(now)
            else:
                heappush(queue, (now, priority, sequence, event))
                self.now = now
                env.step()
            most -= 1
        return most

    def _empty(self, begins: int) -> None:
        """The minute of a drawer begins."""
        queue = self.queue
        for entry in self._drawers.pop(begins // DRAWER_NS).entries:
            heappush(queue, entry)


def _named(event: Any) -> str:
    """Whose callback an entry of the queue is."""
    action: Any
    if type(event) is Alarm:
        action = event._action  # noqa: SLF001 - our own kind
    elif type(event) is _Once:
        action = event.action
    else:
        return type(event).__qualname__
    owner = getattr(action, "__self__", None)
    device = getattr(owner, "device", "")
    name = getattr(action, "__qualname__", type(action).__qualname__)
    return f"{name} of {device}" if device else str(name)
