"""What a rollout's plan says of when, and of how many at once.

Decides the words and which of them make sense. Leaves out waves and gates (stimuli.py) and what is done with
the words (control/pacing.py). What a device itself judges, its battery, its charger and its heat, is the plan's
``policy``.

Rules: a plan without a pace offers as soon as it may and as many as its waves allow; a budget bounds *offers*:
it stops no device that goes away by itself, and going back from a bad release waits for no budget.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC as GREENWICH
from datetime import datetime
from typing import Final

import msgspec

from devicesdk.wire.timebase import SECOND
from gateway.core.windows import Window, read_window
from gateway.core.zones import UTC, Zones

WINDOWS_MAX: Final = 16
BUDGETS_MAX: Final = 8
LATE_PER_HOUR_MAX: Final = 1_000_000
LABEL_CHARS_MAX: Final = 64
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?) ?%")


class Budget(msgspec.Struct, frozen=True):
    """How many devices with one value of a label may be unavailable at once: updating, or offline."""

    label: str
    count: int = 0
    """So many; 0: by share."""
    share: float = 0.0
    """Of the devices that are enrolled with that value: rounded down, but at least one."""

    def most(self, devices: int) -> int:
        """How many of so many."""
        return self.count or max(1, int(self.share * devices + 1e-9))

    def __str__(self) -> str:
        return f"{self.label}: {self.count or f'{100 * self.share:g}%'}"


class Pace(msgspec.Struct, frozen=True):
    """When devices may be offered an update, and how many at once."""

    start_at_ns: int = 0
    """Nothing before this instant (UTC); 0: at once."""
    windows: tuple[Window, ...] = ()
    """Offers are made while one of these is open on the device's own wall clock; none: always."""
    zone: str = UTC
    """Of devices whose labels name none."""
    budgets: tuple[Budget, ...] = ()
    approvals: tuple[int, ...] = ()
    """Waves (indices into the plan's shares) that open only when a person has approved."""
    late_per_hour: int = 0
    """Devices that join when everybody has been offered: so many an hour, evenly; 0: at once."""
    late_after_gate: bool = False
    """Such devices wait until the last wave has passed its gate."""


def refusal(pace: Pace, waves: int, zones: Zones) -> str:
    """Why a pace cannot be kept; empty when it can."""
    if pace.start_at_ns < 0 or not 0 <= pace.late_per_hour <= LATE_PER_HOUR_MAX:
        return f"expected a start after 1970 and at most {LATE_PER_HOUR_MAX} late joiners an hour"
    if len(pace.windows) > WINDOWS_MAX or len(pace.budgets) > BUDGETS_MAX:
        return f"expected at most {WINDOWS_MAX} windows and {BUDGETS_MAX} budgets"
    if zones.offset_s(pace.zone, pace.start_at_ns // SECOND) is None:
        return f"expected a time zone such as Europe/Berlin or UTC+2, found {pace.zone!r}"
    for window in pace.windows:
        if not window.days or not 0 <= window.begins_min < 1440 or not 0 < window.ends_min <= 1440:
            return f"expected a window on some day and within it, found {window}"
    for budget in pace.budgets:
        by_count, by_share = budget.count > 0, 0 < budget.share <= 1
        if not 0 < len(budget.label) <= LABEL_CHARS_MAX or by_count == by_share:
            return f"expected a budget of a label, by count or by share, found {budget}"
    if any(not 0 <= wave < waves for wave in pace.approvals):
        return f"expected approvals of waves 0 to {waves - 1}, found {list(pace.approvals)}"
    return ""


def read_instant(text: str) -> int:
    """Read an instant such as ``2026-03-01T02:00:00Z`` into UTC nanoseconds; empty: 0.

    Raises:
        ValueError: it is written otherwise, or without its zone.
    """
    if not text:
        return 0
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"expected an instant such as 2026-03-01T02:00:00Z, found {text!r}"
        ) from None
    if instant.tzinfo is None:
        raise ValueError(f"expected an instant with its zone, such as {text}Z, found {text!r}")
    return int(instant.timestamp()) * SECOND


def utc_text(at_ns: int) -> str:
    """An instant for people: UTC, to the minute."""
    return f"{datetime.fromtimestamp(at_ns // SECOND, GREENWICH):%Y-%m-%d %H:%M}Z"


def read_windows(texts: tuple[str, ...]) -> tuple[Window, ...]:
    """Read windows; see `read_window`.

    Raises:
        ValueError: one is written otherwise.
    """
    return tuple(read_window(text) for text in texts)


def read_budgets(words: Mapping[str, int | str]) -> tuple[Budget, ...]:
    """Read ``{site: 2, region: 10%}``, in the order of the labels.

    Raises:
        ValueError: a value is neither a count above 0 nor a share such as ``10%``.
    """
    return tuple(_budget(label, words[label]) for label in sorted(words))


def _budget(label: str, value: int | str) -> Budget:
    if isinstance(value, str):
        match = _SHARE.fullmatch(value)
        if match and 0 < float(match[1]) <= 100:
            return Budget(label, share=float(match[1]) / 100)
    elif not isinstance(value, bool) and value > 0:
        return Budget(label, count=value)
    raise ValueError(f"expected a budget such as 2 or 10%, found {label}: {value!r}")


def pace_of(pace: Pace) -> Pace | None:
    """None for one that asks for nothing, so that such a plan is the plan that it was without."""
    return None if pace == Pace() else pace
