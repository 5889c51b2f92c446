"""Cohorts: devices that should look alike, because bundle, hardware class and region are the same.

Decides which cohort a device's telemetry belongs to and how many cohorts there are. Leaves out their
sums (totals.py; a cohort only knows its row there) and what the sums mean (scoring.py).

Rule: bounded; when full, the cohort that was silent longest makes room unless all have spoken in
this window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from devicesdk.sketches.cardinality import Distinct
from devicesdk.sketches.frequency import Frequencies
from devicesdk.sketches.membership import Members
from devicesdk.sketches.quantile import Quantiles
from gateway.core.collect.dose import Dose
from gateway.core.collect.singles import Change
from gateway.core.internal import Drift

UNKNOWN: Final = "unknown"
ProbeState = Literal["failed", "passed", "unknown"]


COUNT_MAX: Final = 2**53
"""Where a count stops: a durable row must be able to hold it."""


class Cohort:
    """One cohort and what it keeps beside its sums.

    Args:
        name: ``bundle/hardware/region``; the bundle as 16 hex digits.
        number: one that no other cohort of this process had.
    """

    __slots__ = (
        "alarms", "alone", "bundle", "changes", "distinct", "dose", "drift", "effect", "errors", "frequencies", "hardware", "inputs_moved",
        "members", "name", "number", "outputs_moved", "passes", "private", "probe", "probed", "quantiles", "region", "repeats", "singles", "slot",
        "spoke",
    )  # fmt: skip

    def __init__(self, name: str, number: int = 0) -> None:
        self.name = name
        self.number = number
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
        self.inputs_moved = self.outputs_moved = False
        """Whether a histogram computed before the model, or by it, is in alarm."""
        self.probe: ProbeState = "unknown"
        """What golden probes say of its devices."""
        self.passes = 0
        """Probes that passed lately."""
        self.dose: Dose | None = None
        """Its probes by the heat of the chip, once there is one that says how hot it was."""
        self.repeats = 0
        """Failed probes of this window by devices that had failed the one before."""
        self.alone: tuple[tuple[str, int, int], ...] = ()
        """(device, failures in a row, permille) of devices that fail their probes alone, a bounded number."""
        self.probed = 0
        """Number of the window in which one last did."""
        self.changes: list[Change] = []
        """Of this window, against its devices' own past."""
        self.singles: tuple[tuple[str, str], ...] = ()
        """(device, histogram) of devices that are shifted and the cohort is not, a bounded number."""
        self.private = False
        """Messages of privacy mode are in this window."""
        self.distinct: Distinct | None = None
        """Of this window."""
        self.quantiles: Quantiles | None = None
        """Of the process's life: for people, not durable."""
        self.frequencies: Frequencies | None = None
        """Likewise."""
        self.members: Members | None = None
        """Feature rows of this window, as far as devices sent filters of them: for people, not durable."""

    def add_errors(self, errors: Mapping[str, int], codes_max: int) -> None:
        """Count error codes; what does not fit counts as ``other``."""
        mine = self.errors
        for code, count in errors.items():
            name = code if code in mine or len(mine) < codes_max else "other"
            mine[name] = min(mine.get(name, 0) + max(0, count), COUNT_MAX)

    def next_window(self) -> None:
        """Forget what belonged to the window that closed."""
        self.slot = -1
        self.private = False
        self.errors = {}
        self.distinct = None
        self.members = None
        self.repeats = 0


class AlarmState:
    """Streaks of one histogram of one cohort; see `rows.Alarm`."""

    __slots__ = ("evidence", "quiet", "raised_ns", "streak")

    def __init__(
        self, streak: int = 0, quiet: int = 0, raised_ns: int = 0, evidence: float = 0.0
    ) -> None:
        self.evidence = evidence
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

    __slots__ = ("_by_name", "_made", "_max")

    def __init__(self, cohorts_max: int) -> None:
        self._by_name: dict[str, Cohort] = {}
        self._max = cohorts_max
        self._made = 0

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
            cohort = self._by_name[name] = Cohort(name, self._made)
            self._made += 1
        return cohort

    def _make_room(self) -> bool:
        silent = [cohort for cohort in self._by_name.values() if cohort.slot < 0]
        if not silent:
            return False
        oldest = min(silent, key=lambda cohort: (cohort.spoke, cohort.name))
        oldest.bundle = None
        del self._by_name[oldest.name]
        return True
