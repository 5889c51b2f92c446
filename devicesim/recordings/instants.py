"""Time stamps as people and programs write them, as int ns since the Unix epoch.

Decides which spellings are understood: epoch seconds, milliseconds, microseconds and nanoseconds, ISO
8601 with or without a zone, the syslog's ``Jul 16 10:00:00``, and any ``strftime`` format that is named.
Leaves out where in a line a stamp stands (mosquitto.py).

Rules: no float touches an instant; without a zone a stamp is local time, `utc_offset_ns` ahead of UTC;
a stamp that cannot be is None, never a guess.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime
from typing import Final

from devicesdk.wire.timebase import SECOND

ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?\s?(Z|UTC|[+-]\d\d(?::?\d\d)?)?(?!\d|:\d)",
    re.ASCII,
)
SYSLOG: Final = re.compile(
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?",
    re.ASCII,
)
NUMBER: Final = re.compile(r"(-?\d{1,19})(?:\.(\d{1,18}))?", re.ASCII)
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_SCALES: Final = ((10**17, 1), (10**14, 10**3), (10**11, 10**6))
"""An epoch at least so large counts in units of so many ns; a smaller one counts seconds."""
YEAR_MIN, YEAR_MAX = 1970, 2200


def seconds_ns(whole: str, fraction: str | None) -> int:
    """Decimal seconds as ns, exactly; digits beyond the ninth are cut."""
    value = int(whole) * SECOND
    part = int((fraction or "0")[:9].ljust(9, "0"))
    return value - part if whole.startswith("-") else value + part


def epoch_ns(whole: str, fraction: str | None = None) -> int | None:
    """An epoch in s, ms, us or ns, told apart by its size; None when it is no plausible instant."""
    value = int(whole)
    for least, unit_ns in _SCALES:
        if value >= least:
            value *= unit_ns
            break
    else:
        value = seconds_ns(whole, fraction)
    return value if 0 <= value < (YEAR_MAX - YEAR_MIN) * 366 * 86_400 * SECOND else None


def iso_ns(found: re.Match[str], utc_offset_ns: int = 0) -> int | None:
    """The instant of a match of `ISO`; None when there is no such day or hour."""
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    at = _civil_ns(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
    if at is None:
        return None
    if zone is None:
        offset = utc_offset_ns
    elif zone in ("Z", "UTC"):
        offset = 0
    else:
        digits = zone[1:].replace(":", "")
        offset = (int(digits[:2]) * 60 + int(digits[2:] or 0)) * 60 * SECOND
        offset = -offset if zone[0] == "-" else offset
    return at - offset + seconds_ns("0", fraction)


def syslog_ns(found: re.Match[str], year: int, utc_offset_ns: int = 0) -> int | None:
    """The instant of a match of `SYSLOG`, which does not say its year."""
    month, day, hour, minute, second, fraction = found.groups()
    number = _MONTHS.index(month) // 3 + 1
    at = _civil_ns(year, number, int(day), int(hour), int(minute), int(second))
    return None if at is None else at - utc_offset_ns + seconds_ns("0", fraction)


def _civil_ns(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    if not YEAR_MIN <= year < YEAR_MAX or second > 60:
        return None
    return (timegm(moment.timetuple()) + (second == 60)) * SECOND


def format_ns(text: str, form: str, utc_offset_ns: int = 0) -> int | None:
    """An instant in a `strftime` format; None when the text is not one."""
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is handled below
    except (ValueError, re.error):
        return None
    if not YEAR_MIN <= moment.year < YEAR_MAX:
        return None
    aware = moment.tzinfo is not None
    try:
        plain = moment.astimezone(UTC) if aware else moment.replace(tzinfo=UTC)
    except OverflowError:
        return None
    at = timegm(plain.timetuple()) * SECOND + plain.microsecond * 1000
    return at if aware else at - utc_offset_ns


def read_instant(text: str, utc_offset_ns: int = 0) -> int | None:
    """An instant that stands alone: an epoch or ISO 8601; None when it is neither."""
    text = text.strip()
    found = NUMBER.fullmatch(text)
    if found:
        return epoch_ns(found[1], found[2]) if not text.startswith("-") else None
    found = ISO.fullmatch(text)
    return iso_ns(found, utc_offset_ns) if found else None


def spell(unix_ns: int) -> str:
    """ISO 8601 in UTC, to the millisecond, as recordings and scenarios have it."""
    moment = datetime.fromtimestamp(unix_ns // SECOND, UTC)
    fraction = unix_ns % SECOND // 1_000_000
    return f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{fraction:03d}" if fraction else "") + "Z"
