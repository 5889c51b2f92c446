"""Numbers, durations and instants as people read them.

Decides spelling only: thousands separators, three significant digits, a unit always beside its
number, a dash for what is not known. Leaves out sentences (wording.py) and rounding of the machine
readable forms: JSON and JUnit carry the numbers as they are.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

DASH: Final = "\N{EN DASH}"
THIN: Final = "\N{NARROW NO-BREAK SPACE}"
_STEPS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400
_DAYS_FROM_S: Final = 4 * _DAY_S
_C0_ALLOWED: Final = "\t\n\r"


def known(value: float | None) -> bool:
    """Tell whether there is a number to show: None and NaN are not known."""
    return value is not None and not math.isnan(value)


def count(value: int) -> str:
    """Spell a count in full: 1234567 is ``1,234,567``."""
    return f"{value:,}"


def number(value: float | None) -> str:
    """Spell a number with three significant digits, whole numbers in full."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "-\N{INFINITY}"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f"{value:.{digits}f}" if abs(value) >= 0.001 else f"{value:.1e}"


def compact(value: float, unit: str = "") -> str:
    """Spell a number in at most three digits and a prefix: 7614000 is ``7.61 M``."""
    for size, prefix in _STEPS:
        if abs(value) >= size * (10 if size == 1e3 else 1):
            return f"{number(value / size)}{THIN}{prefix}{unit}"
    return f"{number(value)}{THIN}{unit}" if unit else number(value)


def duration(value_s: float | None) -> str:
    """Spell a duration with its two leading units: ``312 ms``, ``2 h 45 min``, ``61 h 25 min``."""
    if value_s is None or math.isnan(value_s):
        return DASH
    if math.isinf(value_s):
        return "never"
    if 0 < abs(value_s) < 1:
        return f"{number(value_s * 1000)}{THIN}ms"
    if abs(value_s) < _MINUTE_S:
        return f"{number(value_s)}{THIN}s"
    whole = round(value_s)
    for size, name, below, below_name in (
        *(((_DAY_S, "d", _HOUR_S, "h"),) if whole >= _DAYS_FROM_S else ()),
        (_HOUR_S, "h", _MINUTE_S, "min"),
        (_MINUTE_S, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            tail = f" {rest}{THIN}{below_name}" if rest else ""
            return f"{whole // size}{THIN}{name}{tail}"
    return f"{number(value_s)}{THIN}s"


def share(value: float | None) -> str:
    """Spell a share of 0 to 1 in per cent."""
    if value is None or math.isnan(value):
        return DASH
    per_cent = round(value * 100, 10)
    text = f"{per_cent:.1f}" if 1 <= per_cent < 10 and per_cent % 1 else number(per_cent)
    return f"{text}{THIN}%"


def measure(value: float | None, unit: str) -> str:
    """Spell a value with its unit; ``s`` reads as a duration, ``share`` in per cent."""
    if value is None or math.isnan(value):
        return DASH
    if unit == "s":
        return duration(value)
    if unit == "ms":
        return duration(value / 1000)
    if unit == "share":
        return share(value)
    if unit in {"B", "B/s"}:
        return compact(value, unit)
    return f"{compact(value)}{THIN}{spelled_unit(unit)}" if unit else compact(value)


def spelled_unit(unit: str) -> str:
    """Spell a unit of a record for people: ``C`` is a degree, ``share`` a percentage."""
    if unit.startswith("1/"):
        return f"per {unit[2:]}"
    return {"C": "\N{DEGREE SIGN}C", "share": "%"}.get(unit, unit)


def plural(number_of: int, noun: str, many: str = "") -> str:
    """Spell a count with its noun: ``1 check``, ``31 checks``."""
    return f"{count(number_of)} {noun if number_of == 1 else many or noun + 's'}"


def shortened(text: str, chars_max: int) -> str:
    """Cut a text that is longer than `chars_max`, saying so with an ellipsis."""
    return text if len(text) <= chars_max else text[: chars_max - 1] + "\N{HORIZONTAL ELLIPSIS}"


def printable(text: str) -> str:
    """Replace control characters, which neither XML nor a terminal should be given."""
    return "".join(char if char >= " " or char in _C0_ALLOWED else "\N{REPLACEMENT CHARACTER}"
                   for char in text)  # fmt: skip


class Clock:
    """The scenario's wall clock.

    Args:
        start: ISO 8601 instant at which the scenario began; without an offset it is UTC.
        span_s: how long the run lasted; beyond a day, instants carry their date.

    Raises:
        ValueError: `start` is not an ISO 8601 instant.
    """

    __slots__ = ("_dated", "_start")

    def __init__(self, start: str, span_s: float = 0.0) -> None:
        try:
            parsed = datetime.fromisoformat(start)
        except ValueError:
            raise ValueError(
                "expected clock_start as an ISO 8601 instant such as 2024-02-22T08:00:00Z, "
                f"found {start!r}"
            ) from None
        self._start = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        self._dated = span_s > _DAY_S

    @property
    def epoch_ms(self) -> float:
        """The start in milliseconds since 1970, shown in the start's own offset."""
        offset = self._start.utcoffset() or timedelta()
        return (self._start + offset).timestamp() * 1000

    @property
    def start_text(self) -> str:
        """The start with its date, minute and offset."""
        return f"{self._start:%d %b %Y %H:%M} {self._start.tzname() or ''}".strip()

    def at(self, at_s: float | None) -> str:
        """Spell an instant on the clock: ``10:47:13``, with the date when the run spans days."""
        if at_s is None or not math.isfinite(at_s):
            return DASH
        instant = self._start + timedelta(seconds=at_s)
        return f"{instant:%d %b %H:%M:%S}" if self._dated else f"{instant:%H:%M:%S}"


def elapsed(at_s: float | None) -> str:
    """Spell an instant as time since the start: ``+2:45:00``."""
    if at_s is None or not math.isfinite(at_s):
        return DASH
    whole = round(abs(at_s))
    sign = "-" if at_s < 0 else "+"
    return f"{sign}{whole // _HOUR_S}:{whole % _HOUR_S // 60:02}:{whole % 60:02}"
