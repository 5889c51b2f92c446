"""Maintenance windows: when the clock on the wall beside a device allows work.

Decides how a window is written (``Mon-Fri 01:00-05:00``), whether one is open, and when the next one opens or
the open one closes. Leaves out zones (zones.py) and who is offered anything (control/pacing.py).

Rules: a window is a stretch of *wall-clock* time and belongs to the day on which it begins; one whose end is not
after its beginning goes on into the next day, so ``Fri 22:00-04:00`` ends on Saturday. What the wall clock never
shows is never open: a window inside the gap of a spring morning does not open that day, and one that the gap cuts
opens when clocks have jumped. What it shows twice is open twice. Instants are UTC nanoseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from devicesdk.wire.timebase import SECOND

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MIN: Final = 24 * 60
LOOK_AHEAD_DAYS: Final = 16
"""A window that comes once a week and falls into a gap is found in the week after."""
_FORM: Final = re.compile(
    r"(?:([A-Za-z,\- ]+?) +)?(\d\d):(\d\d) ?- ?(\d\d):(\d\d)(?: +local)?", re.ASCII
)
_EXPECTED: Final = "expected a window such as 'Mon-Fri 01:00-05:00' or 'daily 22:00-04:00'"
_EPOCH_WEEKDAY: Final = 3
"""1 January 1970 was a Thursday."""
_QUARTER_S: Final = 900

Offset = Callable[[int], int]
"""Local time minus UTC in seconds, at an instant of UTC in seconds."""


class Window(msgspec.Struct, frozen=True):
    """One stretch of wall-clock time on some days of the week."""

    days: tuple[int, ...]
    """On which it begins: 0 is Monday."""
    begins_min: int
    """Minutes since the local midnight."""
    ends_min: int
    """The same, not included; not above `begins_min`: on the next day."""

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in self.days) if len(self.days) < 7 else "daily"
        return f"{days} {_clock(self.begins_min)}-{_clock(self.ends_min)}"

    @property
    def lasts_min(self) -> int:
        """How long it is on the clock."""
        over = self.ends_min <= self.begins_min
        return self.ends_min - self.begins_min + (DAY_MIN if over else 0)


def read_window(text: str) -> Window:
    """Read ``Mon-Fri 01:00-05:00``; days are a list of names and ranges, or ``daily``, which may be left out.

    Raises:
        ValueError: it is written otherwise.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{_EXPECTED}, found {text!r}")
    days, *clock = match.groups()
    begins_h, begins_m, ends_h, ends_m = map(int, clock)
    begins, ends = begins_h * 60 + begins_m, ends_h * 60 + ends_m
    if max(begins_m, ends_m) > 59 or begins >= DAY_MIN or ends > DAY_MIN:
        raise ValueError(f"expected times from 00:00 to 24:00, found {text!r}")
    if begins == ends:
        raise ValueError(
            f"expected a window that lasts, found {text!r}: a whole day is 00:00-24:00"
        )
    return Window(_read_days(days or "daily", text), begins, ends % DAY_MIN or DAY_MIN)


def is_open(windows: Sequence[Window], offset_s: int, at_ns: int) -> bool:
    """Whether one of these is open at an instant; without any there is always one."""
    if not windows:
        return True
    local_min = (at_ns // SECOND + offset_s) // 60
    return any(_from(window, local_min) == local_min for window in windows)


def opens_ns(windows: Sequence[Window], offset: Offset, at_ns: int) -> int | None:
    """The first instant from `at_ns` on at which one is open; None when none is within `LOOK_AHEAD_DAYS`."""
    if is_open(windows, offset(at_ns // SECOND), at_ns):
        return at_ns
    return _walk(offset, at_ns, lambda local: min(_from(window, local) for window in windows))


def closes_ns(windows: Sequence[Window], offset: Offset, at_ns: int) -> int | None:
    """The first instant from `at_ns` on at which none is open; None when that is not to be seen."""
    if not windows:
        return None
    return _walk(offset, at_ns, lambda local: _until(windows, local))


def _walk(offset: Offset, at_ns: int, next_min: Callable[[int], int]) -> int | None:
    """Find the instant of a local minute that depends on the local minute from which one looks.

    Wherever the zone's distance changes on the way, one looks again from there.
    """
    at_s = at_ns // SECOND
    end_s = at_s + LOOK_AHEAD_DAYS * DAY_MIN * 60
    while at_s < end_s:
        far_s = offset(at_s)
        found_s = max(next_min((at_s + far_s) // 60) * 60 - far_s, at_s)
        for quarter_s in range((at_s // _QUARTER_S + 1) * _QUARTER_S, end_s, _QUARTER_S):
            if quarter_s > found_s:
                return max(found_s * SECOND, at_ns)
            if offset(quarter_s) != far_s:
                at_s = quarter_s
                break
        else:
            return None
    return None


def _from(window: Window, local_min: int) -> int:
    """The first local minute from this one on that a window covers."""
    first = local_min // DAY_MIN - 1
    for day in range(first, first + 10):
        if (day + _EPOCH_WEEKDAY) % 7 in window.days:
            begins = day * DAY_MIN + window.begins_min
            if begins + window.lasts_min > local_min:
                return max(begins, local_min)
    raise AssertionError(f"{window} covers no minute of a week")


def _until(windows: Sequence[Window], local_min: int) -> int:
    """The first local minute from this one on that no window covers; far away when all are covered."""
    end = local_min + LOOK_AHEAD_DAYS * DAY_MIN
    while local_min < end:
        ends = [_end(window, local_min) for window in windows]
        furthest = max(ends)
        if furthest == local_min:
            break
        local_min = furthest
    return local_min


def _end(window: Window, local_min: int) -> int:
    """The end of the window that covers a local minute; that minute itself when it does not."""
    if _from(window, local_min) != local_min:
        return local_min
    today = local_min // DAY_MIN
    ends = [
        day * DAY_MIN + window.begins_min + window.lasts_min
        for day in (today - 1, today)
        if (day + _EPOCH_WEEKDAY) % 7 in window.days
        and day * DAY_MIN + window.begins_min <= local_min
    ]
    return max(ends)


def _read_days(words: str, text: str) -> tuple[int, ...]:
    if words.strip().lower() == "daily":
        return tuple(range(7))
    days: list[int] = []
    for part in words.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        begin, end = _day(first, text), _day(last or first, text)
        days += [(begin + n) % 7 for n in range((end - begin) % 7 + 1)]
    return tuple(sorted(dict.fromkeys(days)))


def _day(word: str, text: str) -> int:
    for number, name in enumerate(DAYS):
        if word.lower() == name.lower():
            return number
    raise ValueError(f"{_EXPECTED}, found the day {word!r} in {text!r}: days are {', '.join(DAYS)}")


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
