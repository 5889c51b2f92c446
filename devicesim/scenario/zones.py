"""The world's own time zones: a table, so that a run is the same on every machine and in every year.

Decides the zones that a scenario may name, with today's rules: those of the European Union, of the United States and
Canada, of southern Australia and New Zealand, and zones whose clocks never change. Leaves out history: the rules of
1996 (EU) and 2007 (US) hold for every year. Sources: Directive 2000/84/EC; Energy Policy Act of 2005, section 110;
IANA time zone database. A test compares the table with the system's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway.core.zones import fixed_offset_s

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
_MARCH, _APRIL, _SEPTEMBER, _OCTOBER, _NOVEMBER = 3, 4, 9, 10, 11
_EPOCH_WEEKDAY: Final = 3
_SUNDAY: Final = 6
_LAST: Final = -1

Change = tuple[int, int, int]
"""Month, which Sunday of it (from 0; -1: the last), seconds after the midnight of UTC that begins it."""


def _eu(standard_h: float) -> tuple[int, Change, Change]:
    return int(standard_h * HOUR_S), (_MARCH, _LAST, HOUR_S), (_OCTOBER, _LAST, HOUR_S)


def _us(standard_h: float) -> tuple[int, Change, Change]:
    standard_s = int(standard_h * HOUR_S)
    summer = _MARCH, 1, 2 * HOUR_S - standard_s
    return standard_s, summer, (_NOVEMBER, 0, HOUR_S - standard_s)


def _south(standard_h: float, begins: tuple[int, int]) -> tuple[int, Change, Change]:
    standard_s = int(standard_h * HOUR_S)
    summer = *begins, 2 * HOUR_S - standard_s
    return standard_s, summer, (_APRIL, 0, 2 * HOUR_S - standard_s)


_CHANGING: Final[dict[str, tuple[int, Change, Change]]] = {
    **dict.fromkeys(("Europe/London", "Europe/Dublin", "Europe/Lisbon"), _eu(0)),
    **dict.fromkeys(
        ("Europe/Amsterdam", "Europe/Berlin", "Europe/Brussels", "Europe/Madrid", "Europe/Oslo",
         "Europe/Paris", "Europe/Prague", "Europe/Rome", "Europe/Stockholm", "Europe/Vienna",
         "Europe/Warsaw", "Europe/Zurich"), _eu(1),
    ),
    **dict.fromkeys(("Europe/Athens", "Europe/Helsinki", "Europe/Kyiv"), _eu(2)),
    **dict.fromkeys(("America/New_York", "America/Toronto"), _us(-5)),
    "America/Chicago": _us(-6), "America/Denver": _us(-7), "America/Los_Angeles": _us(-8),
    "America/Anchorage": _us(-9),
    **dict.fromkeys(("Australia/Sydney", "Australia/Melbourne"), _south(10, (_OCTOBER, 0))),
    "Pacific/Auckland": _south(12, (_SEPTEMBER, _LAST)),
}  # fmt: skip
_FIXED_H: Final[dict[str, float]] = {
    "Africa/Johannesburg": 2, "Africa/Lagos": 1, "Africa/Nairobi": 3, "America/Bogota": -5,
    "America/Phoenix": -7, "America/Sao_Paulo": -3, "Asia/Bangkok": 7, "Asia/Dubai": 4,
    "Asia/Hong_Kong": 8, "Asia/Kathmandu": 5.75, "Asia/Kolkata": 5.5, "Asia/Seoul": 9,
    "Asia/Shanghai": 8, "Asia/Singapore": 8, "Asia/Tokyo": 9, "Australia/Brisbane": 10,
    "Europe/Istanbul": 3, "Pacific/Honolulu": -10,
}  # fmt: skip

ZONES: Final = ("UTC", *sorted({**_CHANGING, **_FIXED_H}))
"""All names beside ``UTC+9`` and its like."""


class WorldZones:
    """Knows the zones of the table."""

    __slots__ = ()

    def offset_s(self, zone: str, at_s: int) -> int | None:
        """Local time minus UTC, seconds; None: not in the table."""
        fixed = fixed_offset_s(zone)
        if fixed is not None:
            return fixed
        if zone in _FIXED_H:
            return int(_FIXED_H[zone] * HOUR_S)
        rules = _CHANGING.get(zone)
        if rules is None:
            return None
        standard_s, summer, winter = rules
        begins, ends = _changes(_year(at_s), summer, winter)
        inside = begins <= at_s < ends if begins < ends else not ends <= at_s < begins
        return standard_s + (HOUR_S if inside else 0)


@lru_cache(maxsize=256)
def _changes(year: int, summer: Change, winter: Change) -> tuple[int, int]:
    """When clocks go forward and back in a year, seconds since 1970."""
    return _instant(year, summer), _instant(year, winter)


def _instant(year: int, change: Change) -> int:
    month, which, second = change
    if which == _LAST:
        day = _days(year, month + 1) - 1
        day -= ((day + _EPOCH_WEEKDAY) % 7 - _SUNDAY) % 7
    else:
        first = _days(year, month)
        day = first + (_SUNDAY - (first + _EPOCH_WEEKDAY) % 7) % 7 + 7 * which
    return day * DAY_S + second


def _days(year: int, month: int) -> int:
    """Days from 1970 to the first of a month (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms")."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _year(at_s: int) -> int:
    """The year of an instant in UTC."""
    day = at_s // DAY_S
    guess = 1970 + int(day / 365.2425)
    while _days(guess, 1) > day:
        guess -= 1
    while _days(guess + 1, 1) <= day:
        guess += 1
    return guess
