"""Cohorts: devices that should look alike, because bundle, hardware class and region are the same.

Decides which cohort a device's telemetry belongs to and how many cohorts there are. Leaves out their
sums (totals.py; a cohort only knows its row there) and what the sums mean (scoring.py).

Rule: bounded; when full, the cohort that was silent longest makes room unless all have spoken in
this window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from devicesdk.sketches.cardinality import Distinct
from devicesdk.sketches.quantile import Quantiles
from gateway.core.internal import Drift

UNKNOWN: Final = "unknown"


COUNT_MAX: Final = 2**53
"""Where a count stops: a durable row must be able to hold it."""


class Cohort:
    """One cohort and what it keeps beside its sums.

    Args:
        name: ``bundle/hardware/region``; the bundle as 16 hex digits.
    """

    __slots__ = (
        "alarms", "bundle", "distinct", "drift", "effect", "errors", "hardware", "name", "quantiles", "region",
        "slot", "spoke",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        bundle, self.hardware, self.region = name.split("/")
        self.bundle: bytes | None = bytes.fromhex(bundle)
        """None once the cohort was forgotten: nobody's telemetry matches it any more."""
        self.slot = -1
        """Its row of the totals in this window; -1: it has not spoken."""
        self.spoke = -1
        """Number of the window in which it last spoke."""
        self.errors: dict[str, int] = {}
        self.alarms: dict[str, AlarmState] = {}
        self.drift: Drift = "none"
        self.effect = 0.0
        """Largest PSI of its last scores, bias-corrected."""
        self.distinct: Distinct | None = None
        """Of this window."""
        self.quantiles: Quantiles | None = None
        """Of the process's life: for people, not durable."""

    def add_errors(self, errors: Mapping[str, int], codes_max: int) -> None:
        """Count error codes; what does not fit counts as ``other``."""
        mine = self.errors
        for code, count in errors.items():
            name = code if code in mine or len(mine) < codes_max else "other"
            mine[name] = min(mine.get(name, 0) + max(0, count), COUNT_MAX)

    def next_window(self) -> None:
        """Forget what belonged to the window that closed."""
        self.slot = -1
        self.errors = {}
        self.distinct = None


class AlarmState:
    """Streaks of one histogram of one cohort; see `rows.Alarm`."""

    __slots__ = ("quiet", "raised_ns", "streak")

    def __init__(self, streak: int = 0, quiet: int = 0, raised_ns: int = 0) -> None:
        self.streak = streak
        self.quiet = quiet
        self.raised_ns = raised_ns


def label(labels: Mapping[str, str], names: Iterable[str]) -> str:
    """The first of these labels that is there, as one part of a cohort's name."""
    for name in names:
        if labels.get(name):
            return labels[name].replace("/", "_")
    return UNKNOWN


class Cohorts:
    """All cohorts.

    Args:
        cohorts_max: bound.
    """

    __slots__ = ("_by_name", "_max")

    def __init__(self, cohorts_max: int) -> None:
        self._by_name: dict[str, Cohort] = {}
        self._max = cohorts_max

    def __len__(self) -> int:
        return len(self._by_name)

    def all(self) -> list[Cohort]:
        """Every cohort, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    def get(self, name: str) -> Cohort | None:
        """The cohort of this name, if it is there."""
        return self._by_name.get(name)

    def spoke(self) -> list[Cohort]:
        """Cohorts that have spoken in this window, by name."""
        return [cohort for cohort in self.all() if cohort.slot >= 0]

    def find(self, bundle: bytes, hardware: str, region: str) -> Cohort | None:
        """The cohort, made if need be; None when there is no room."""
        name = f"{bundle.hex()}/{hardware}/{region}"
        return self._by_name.get(name) or self.named(name)

    def named(self, name: str) -> Cohort | None:
        """As `find`, by name."""
        cohort = self._by_name.get(name)
        if cohort is None:
            if len(self._by_name) >= self._max and not self._make_room():
                return None
            cohort = self._by_name[name] = Cohort(name)
        return cohort

    def _make_room(self) -> bool:
        silent = [cohort for cohort in self._by_name.values() if cohort.slot < 0]
        if not silent:
            return False
        oldest = min(silent, key=lambda cohort: (cohort.spoke, cohort.name))
        oldest.bundle = None
        del self._by_name[oldest.name]
        return True
