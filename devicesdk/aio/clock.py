"""The only reads of a real clock in what a device embeds.

Decides how real time becomes the integer nanoseconds that the state machines are handed. Leaves out
timers: a host asks `wait_s` and sets one with its event loop.

Rules: `now` starts at zero with the clock, never runs backwards, and says nothing about the date;
`speed` makes all of it run faster than the wall, so that a day can be rehearsed in minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from devicesdk.wire.timebase import MS, NEVER, SECOND

WAIT_S_MAX: Final = 3600.0
"""A timer is never set farther ahead: a suspended machine wakes, looks, and sets the next one."""


def stopwatch() -> Callable[[], int]:
    """Start to measure real time; each call of what is returned gives the microseconds since.

    An event loop's `time` will not do: uvloop's counts whole milliseconds, and stands still within a
    turn of the loop.
    """
    began = time.monotonic_ns()
    return lambda: (time.monotonic_ns() - began) // 1000


class Clock(Protocol):
    """Time as a host sees it."""

    def now(self) -> int:
        """Nanoseconds since the clock was made."""
        ...

    def wall_ms(self) -> int:
        """UTC in milliseconds since 1970."""
        ...

    def wait_s(self, instant: int) -> float:
        """Real seconds until `instant`, for a timer: 0 when it has passed, at most `WAIT_S_MAX`."""
        ...


class RealClock:
    """The machine's monotonic clock and calendar.

    Args:
        speed: nanoseconds of `now` for each real one.
        wall_start_ms: UTC at `now` = 0; None takes the machine's, which then runs at its own pace.
    """

    __slots__ = ("_origin_ns", "_speed", "_wall_start_ms")

    def __init__(self, speed: float = 1.0, wall_start_ms: int | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"expected a speed above 0, found {speed}")
        self._speed, self._wall_start_ms = speed, wall_start_ms
        self._origin_ns = time.monotonic_ns()

    @property
    def speed(self) -> float:
        """How much faster than the wall `now` runs."""
        return self._speed

    def now(self) -> int:
        """Nanoseconds since the clock was made, times speed."""
        return int((time.monotonic_ns() - self._origin_ns) * self._speed)

    def wall_ms(self) -> int:
        """UTC in milliseconds since 1970."""
        if self._wall_start_ms is None:
            return time.time_ns() // MS
        return self._wall_start_ms + self.now() // MS

    def wait_s(self, instant: int) -> float:
        """Real seconds until `instant`, for a timer."""
        if instant >= NEVER:
            return WAIT_S_MAX
        return min(WAIT_S_MAX, max(0.0, (instant - self.now()) / SECOND / self._speed))
