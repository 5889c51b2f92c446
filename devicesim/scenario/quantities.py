"""Quantities as people write them, read into final units.

Decides the spelling of durations, instants, shares, rates, sizes, comparisons, distributions and
the small ``name(argument)`` forms, and what the nearest valid form of a wrong one is. Leaves out
which field takes which (fields.py binds them to the schema).

Rules: a quantity with a unit is refused without it; durations and instants become integer
nanoseconds, shares a float from 0 to 1, rates a float per second, sizes integer bytes, bit rates
integer bit/s. Every reader takes what stood in the file and raises `Refusal`.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Final

from devicesdk.wire.timebase import NEVER, SECOND, parse_duration
from devicesim.scenario.errors import Refusal, show

DURATION_FORM: Final = "a duration with its unit, such as 45m, 2h30m, 90s or 250ms"
INSTANT_FORM: Final = "a time since the start such as 45m or 2h30m, or an ISO instant with its zone"
SHARE_FORM: Final = "a share, such as 5% or .05"

_NUMBER: Final = r"(?:\d+(?:\.\d*)?|\.\d+)"
_PERCENT: Final = re.compile(rf"({_NUMBER}) ?%")
_RATE: Final = re.compile(rf"({_NUMBER}) ?/ ?(s|m|h)")
_SIZE: Final = re.compile(rf"({_NUMBER}) ?(B|kB|MB|GB|KiB|MiB|GiB)")
_BITRATE: Final = re.compile(rf"({_NUMBER}) ?(bit|kbit|Mbit|Gbit)/s")
_CLOCK_FACE: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_LOOSE: Final = re.compile(rf"({_NUMBER}) *([A-Za-z]+)")
_CALL: Final = re.compile(r"([a-z_]+) *\(([^()]*)\)")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_PER_SECOND: Final = {"s": 1.0, "m": 1 / 60, "h": 1 / 3600}
_BYTES: Final = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
_BITS: Final = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
_LOOSE_UNITS: Final = {
    "milliseconds": "ms", "seconds": "s", "secs": "s", "minutes": "m", "mins": "m",
    "hours": "h", "hrs": "h", "days": "d",
}  # fmt: skip


def read_duration(value: object) -> int:
    """Read a duration into integer nanoseconds."""
    if isinstance(value, str):
        try:
            duration_ns = parse_duration(value)
        except ValueError:
            pass
        else:
            if duration_ns <= NEVER:
                return duration_ns
            raise Refusal("a duration of at most 146 years", found=show(value))
    raise Refusal(DURATION_FORM, found=show(value), nearest=nearest_duration(value))


def read_positive_duration(value: object) -> int:
    """Read a duration that is longer than nothing."""
    duration_ns = read_duration(value)
    if duration_ns == 0:
        raise Refusal("a duration longer than 0s", found=show(value))
    return duration_ns


def nearest_duration(value: object) -> str:
    """Guess which duration was meant; empty when nothing is close."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        return f"{value}s (seconds), {value}m (minutes) or {value}h (hours)"
    if not isinstance(value, str):
        return ""
    if face := _CLOCK_FACE.fullmatch(value.strip()):
        parts = [f"{int(n)}{unit}" for n, unit in zip(face.groups(), "hms", strict=True) if n]
        return "".join(part for part in parts if not part.startswith("0")) or "0s"
    if loose := _LOOSE.fullmatch(value.strip()):
        number, word = loose[1], loose[2].lower()
        if word in ("w", "wk", "week", "weeks"):
            return f"{float(number) * 7:g}d"
        for name, unit in _LOOSE_UNITS.items():
            if name.startswith(word) or word == unit:
                return f"{number}{unit}"
    return ""


def read_unix_instant(value: object) -> int:
    """Read an ISO instant with its zone into nanoseconds since 1970-01-01T00:00:00Z."""
    expected = "an ISO instant with its zone, such as 2024-02-22T08:00:00Z"
    if not isinstance(value, str):
        raise Refusal(expected, found=show(value))
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        day = value.strip()
        nearest = f"{day}T00:00:00Z" if _DATE.fullmatch(day) else ""
        raise Refusal(expected, found=show(value), nearest=nearest) from error
    if moment.tzinfo is None:
        nearest = f"{value}Z" if "T" in value or " " in value else f"{value}T00:00:00Z"
        raise Refusal(expected, found=show(value), nearest=nearest)
    since = moment - _UNIX_EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000


def read_instant(value: object, start_unix_ns: int | None) -> int:
    """Read a time since the start, or an ISO instant, into nanoseconds since the start.

    Args:
        value: what stood in the file.
        start_unix_ns: wall-clock start of the run, None while that itself could not be read.
    """
    if not (isinstance(value, str) and _DATE.match(value)):
        try:
            return read_duration(value)
        except Refusal as refusal:
            raise Refusal(INSTANT_FORM, found=refusal.found, nearest=refusal.nearest) from None
    unix_ns = read_unix_instant(value)
    if start_unix_ns is None:
        return 0
    if unix_ns < start_unix_ns:
        raise Refusal("an instant at or after clock.start", found=show(value))
    return unix_ns - start_unix_ns


def read_share(value: object) -> float:
    """Read a share: ``5%``, or a number from 0 to 1."""
    if isinstance(value, bool):
        raise Refusal(SHARE_FORM, found=show(value))
    if isinstance(value, int | float):
        if 0 <= value <= 1:
            return float(value)
        nearest = f"{value:g}%" if 1 < value <= 100 else ""
        raise Refusal(SHARE_FORM + ", from 0 to 1", found=show(value), nearest=nearest)
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise Refusal(SHARE_FORM, found=show(value))
    percent = float(match[1])
    if percent > 100:
        raise Refusal("a share of at most 100%", found=show(value), nearest="100%")
    return percent / 100


def read_positive_share(value: object) -> float:
    """Read a share that is more than nothing."""
    share = read_share(value)
    if share <= 0:
        raise Refusal("a share above 0%", found=show(value))
    return share


def read_increase(value: object) -> float:
    """Read a relative increase: ``+20%`` is 0.2."""
    expected = "a relative increase such as +20%"
    match = None
    if isinstance(value, str) and value.startswith("+"):
        match = _PERCENT.fullmatch(value[1:].strip())
    if match is None:
        nearest = f"+{value}" if isinstance(value, str) and _PERCENT.fullmatch(value) else ""
        raise Refusal(expected, found=show(value), nearest=nearest)
    return float(match[1]) / 100


def read_rate(value: object) -> float:
    """Read a rate such as ``500/s`` or ``30/m`` into events per second."""
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        bare = isinstance(value, int | float) and not isinstance(value, bool)
        nearest = f"{value}/s" if bare else ""
        raise Refusal("a rate such as 500/s or 30/m", found=show(value), nearest=nearest)
    rate = float(match[1]) * _PER_SECOND[match[2]]
    if rate <= 0:
        raise Refusal("a rate above 0/s", found=show(value))
    return rate


def read_size(value: object) -> int:
    """Read a size such as ``64KiB`` into bytes."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        nearest = ""
        if isinstance(value, int) and not isinstance(value, bool):
            nearest = f"{value}B or {value}KiB"
        elif isinstance(value, str) and (loose := _LOOSE.fullmatch(value.strip())):
            unit = {"k": "KiB", "m": "MiB", "g": "GiB", "b": "B"}.get(loose[2][0].lower(), "")
            nearest = f"{loose[1]}{unit}" if unit else ""
        raise Refusal("a size such as 64KiB, 1.5MiB or 512B", found=show(value), nearest=nearest)
    return round(float(match[1]) * _BYTES[match[2]])


def read_bitrate(value: object) -> int:
    """Read a bit rate such as ``256kbit/s`` into bit/s."""
    match = _BITRATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        nearest = ""
        if isinstance(value, str) and (loose := _LOOSE.match(value.strip())):
            unit = {"k": "kbit/s", "m": "Mbit/s", "g": "Gbit/s"}.get(loose[2][0].lower(), "")
            nearest = f"{loose[1]}{unit}" if unit else ""
        raise Refusal("a bit rate such as 256kbit/s", found=show(value), nearest=nearest)
    rate = round(float(match[1]) * _BITS[match[2]])
    if rate <= 0:
        raise Refusal("a bit rate above 0; to cut the path use partition", found=show(value))
    return rate


def read_number(text: str) -> float:
    """Read one finite number out of an argument list."""
    try:
        number = float(text)
    except ValueError as error:
        raise Refusal("a number", found=show(text)) from error
    if not math.isfinite(number):
        raise Refusal("a finite number", found=show(text))
    return number


def read_call(value: object, expected: str) -> tuple[str, list[str]]:
    """Split ``name(a, b)`` or a bare ``name`` into the name and its arguments as text."""
    if not isinstance(value, str):
        raise Refusal(expected, found=show(value))
    match = _CALL.fullmatch(value.strip())
    if match is None:
        if re.fullmatch(r"[a-z_]+", value.strip()):
            return value.strip(), []
        raise Refusal(expected, found=show(value))
    return match[1], [part.strip() for part in match[2].split(",") if part.strip()]
