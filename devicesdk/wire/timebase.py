"""Time as the whole project counts it: integer nanoseconds.

Decides the unit and the spelling of durations. Leaves out where `now` comes from: the world's
SimPy clock or the loop's monotonic clock hand it in, nothing here reads a clock.

Rules: instants and durations are ``int``; floats appear only at the edges (physics, reports), and
two instants are never compared as floats. The origin of `now` is unspecified but it never goes back
within one boot of a machine.
"""

from __future__ import annotations

import re
from typing import Final

NS: Final = 1
US: Final = 1_000
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

NEVER: Final = 2**62
"""Later than any instant a run can reach (146 years)."""

_UNITS: Final = {"ms": MS, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def from_seconds(seconds: float) -> int:
    """Convert seconds to the nearest nanosecond."""
    return round(seconds * SECOND)


def to_seconds(duration_ns: int) -> float:
    """Convert nanoseconds to seconds, for people and for physics."""
    return duration_ns / SECOND


def parse_duration(text: str) -> int:
    """Read a duration such as ``45m``, ``2h30m``, ``1.5s`` or ``250ms``.

    Raises:
        ValueError: not a duration; a bare number or ``02:45`` is refused because its unit is a guess.
    """
    total, end = 0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            break
        length = float(part[1]) * _UNITS[part[2]]
        if length == float("inf"):
            break
        total += round(length)
        end = part.end()
    if not text or end != len(text):
        raise ValueError(
            f"expected a duration with units such as 45m, 2h30m, 90s or 250ms, found {text!r}"
        )
    return total


def format_duration(duration_ns: int) -> str:
    """Spell a duration for people: ``2h30m``, ``4.2s``, ``12ms``; the inverse on whole units."""
    if duration_ns < 0:
        return "-" + format_duration(-duration_ns)
    if duration_ns < SECOND:
        return f"{duration_ns / MS:g}ms"
    if duration_ns < MINUTE:
        return f"{duration_ns / SECOND:g}s"
    out, rest = "", duration_ns // SECOND
    for suffix, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            out += f"{count}{suffix}"
    return out
