"""Two policies on the same luck, held against each other.

Decides what a comparison says: of each measure of devices and fleet both values, the difference B - A, its
interval and whether that excludes zero; which checks went otherwise; what differs between the scenarios;
which devices differ most. Leaves out estimators (stats.py) and how it is shown.

Rules: differences are B - A; *better* and *worse* speak of B; a direction is claimed only where an interval
excludes zero. Of runs whose traces have the same digest everything is the same and nothing is estimated.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec
import numpy as np

from devicesim.compare.fleet import FleetValue, fleet_values
from devicesim.compare.sides import Pair
from devicesim.compare.stats import Interval, Table, over_devices, over_seeds
from devicesim.report.devices import BY_NAME, COLUMNS, Column, DeviceRow
from devicesim.report.record import CheckRow

Direction = Literal["same", "better", "worse", "other", "unclear"]
"""other: an interval excludes zero, of a measure of which neither direction is better."""
DIFFERENT_MAX: Final = 10
_SCORE_MAX: Final = 5.0


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number, on both sides; NaN and None: there is none."""

    column: Column
    a: float
    b: float
    difference: float
    interval: Interval | None
    direction: Direction
    median: float = math.nan
    """Median difference over all pairs of devices."""
    pairs: int = 0
    """Pairs of devices that both have a value, over all seeds."""
    only_a: int = 0
    only_b: int = 0
    """Devices that have a value on one side alone."""
    less: float = 0.0
    more: float = 0.0
    """Shares of the pairs in which B's value is lower, and higher."""


class CheckPair(msgspec.Struct, frozen=True):
    """One check on both sides; None: that side does not have it."""

    name: str
    kind: str
    a: CheckRow | None
    b: CheckRow | None

    @property
    def same(self) -> bool:
        """Whether it came out alike."""
        return self.a is not None and self.b is not None and self.a.held == self.b.held


class Change(msgspec.Struct, frozen=True):
    """A value that differs between the two scenarios; empty: not there."""

    path: str
    a: str
    b: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown."""

    pairs: list[Pair]
    """One for each seed; stories, curves and checks are those of the first."""
    same: bool
    """Whether all runs have the same trace on both sides."""
    devices: list[Measure]
    fleet: list[Measure]
    checks: list[CheckPair]
    changes: list[Change]
    different: list[int]
    """Rows of the first pair that differ most."""

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return [pair.a.record.seed for pair in self.pairs]

    def measure(self, name: str) -> Measure:
        """Find a measure.

        Raises:
            ValueError: there is none of that name; lists those there are.
        """
        for found in (*self.devices, *self.fleet):
            if found.column.name == name:
                return found
        names = [found.column.name for found in (*self.devices, *self.fleet)]
        raise ValueError(f"expected a measure ({', '.join(names)}), found {name!r}")


def compare(pairs: list[Pair]) -> Comparison:
    """Hold the runs of each pair against each other.

    Args:
        pairs: at least one; each of its own seed.
    """
    same = all(pair.same_trace for pair in pairs)
    first = pairs[0]
    return Comparison(
        pairs=pairs,
        same=same,
        devices=_devices(pairs),
        fleet=_fleet(pairs),
        checks=_checks(first),
        changes=changes(first.a.resolved, first.b.resolved),
        different=most_different(first),
    )


def direction_of(
    column: Column, difference: float, interval: Interval | None, *, same: bool
) -> Direction:
    """What may be said of B."""
    if same:
        return "same"
    if interval is None or not interval.excludes_zero or math.isnan(difference):
        return "unclear"
    if not column.better:
        return "other"
    return "better" if (difference < 0) == (column.better == "less") else "worse"


# -- devices ------------------------------------------------------------------------------------


def table(rows: list[DeviceRow]) -> Table:
    """The numbers of devices, shape (devices, measures)."""
    return np.array([row.numbers for row in rows], dtype=np.float64).reshape(
        len(rows), len(COLUMNS)
    )


def _devices(pairs: list[Pair]) -> list[Measure]:
    tables = [(table(pair.rows_a), table(pair.rows_b)) for pair in pairs]
    differences = [b - a for a, b in tables]
    alone: list[Interval | None] = [None] * len(COLUMNS)
    if len(pairs) == 1:
        alone = over_devices(differences[0], pairs[0].a.record.seed)
    return [
        _measure(
            column,
            [(a[:, i], b[:, i]) for a, b in tables],
            alone[i] if len(pairs) == 1 else over_seeds([_mean(d[:, i]) for d in differences]),
        )
        for i, column in enumerate(COLUMNS)
    ]


def _measure(
    column: Column, values: list[tuple[Table, Table]], interval: Interval | None
) -> Measure:
    both = [np.isfinite(a) & np.isfinite(b) for a, b in values]
    pooled = np.concatenate([(b - a)[known] for (a, b), known in zip(values, both, strict=True)])
    a_mean = _mean_of([_mean(a[known]) for (a, _), known in zip(values, both, strict=True)])
    b_mean = _mean_of([_mean(b[known]) for (_, b), known in zip(values, both, strict=True)])
    only_a = sum(int((np.isfinite(a) & ~np.isfinite(b)).sum()) for a, b in values)
    only_b = sum(int((np.isfinite(b) & ~np.isfinite(a)).sum()) for a, b in values)
    same = not only_a and not only_b and not np.any(pooled)
    difference = _mean_of([_mean(b[k] - a[k]) for (a, b), k in zip(values, both, strict=True)])
    count = len(pooled)
    return Measure(
        column=column, a=a_mean, b=b_mean,
        difference=difference,
        interval=interval,
        direction=direction_of(column, difference, interval, same=same),
        median=float(np.median(pooled)) if count else math.nan,
        pairs=count, only_a=only_a, only_b=only_b,
        less=float((pooled < 0).sum()) / count if count else 0.0,
        more=float((pooled > 0).sum()) / count if count else 0.0,
    )  # fmt: skip


def _mean(values: Table) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _mean_of(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return math.fsum(known) / len(known) if known else math.nan


def most_different(pair: Pair) -> list[int]:
    """The rows that differ most: by the sum of their differences, each over what is usual for its measure.

    Usual is the root mean square over the devices that differ in it at all: what happened to two devices
    only does not count for more than what happened to most.
    """
    difference = np.nan_to_num(table(pair.rows_b) - table(pair.rows_a))
    moved = np.maximum((difference != 0).sum(axis=0), 1)
    spread = np.sqrt((difference**2).sum(axis=0) / moved)
    scaled = np.abs(difference) / np.where(spread > 0, spread, 1.0)
    score = np.minimum(scaled, _SCORE_MAX).sum(axis=1)
    order = sorted(range(len(score)), key=lambda i: (-score[i], i))
    return [i for i in order[:DIFFERENT_MAX] if score[i] > 0]


# -- fleet, checks, scenarios -------------------------------------------------------------------


def _fleet(pairs: list[Pair]) -> list[Measure]:
    sides = [(fleet_values(pair.a), fleet_values(pair.b)) for pair in pairs]
    columns: dict[str, Column] = {}
    for values in (values for both in sides for values in both):
        for value in values:
            columns.setdefault(value.column.name, value.column)
    made = []
    for name, column in columns.items():
        found = [(_value(a, name), _value(b, name)) for a, b in sides]
        known = [(a, b) for a, b in found if math.isfinite(a) and math.isfinite(b)]
        same = all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in found)
        interval = over_seeds([b - a for a, b in known])
        difference = _mean_of([b - a for a, b in known])
        a_mean, b_mean = _mean_of([a for a, _ in found]), _mean_of([b for _, b in found])
        if math.isnan(a_mean) and math.isnan(b_mean):
            continue
        made.append(
            Measure(
                column=column, a=a_mean, b=b_mean, difference=difference, interval=interval,
                direction=direction_of(column, difference, interval, same=same), pairs=len(known),
            )
        )  # fmt: skip
    return made


def _value(values: list[FleetValue], name: str) -> float:
    return next((value.value for value in values if value.column.name == name), math.nan)


def _checks(pair: Pair) -> list[CheckPair]:
    """Those that went otherwise first, then those that failed on both sides, then the rest."""
    a = {(check.kind, check.name): check for check in pair.a.record.checks}
    b = {(check.kind, check.name): check for check in pair.b.record.checks}
    found = [
        CheckPair(name, kind, a.get((kind, name)), b.get((kind, name)))
        for kind, name in dict.fromkeys([*a, *b])
    ]

    def rank(check: CheckPair) -> int:
        if not check.same:
            return 0
        return 1 if check.a is not None and check.a.held is False else 2

    return sorted(found, key=rank)


def changes(a: dict[str, str], b: dict[str, str]) -> list[Change]:
    """What differs between two resolved scenarios, in the order of the file format."""
    paths = dict.fromkeys([*a, *b])
    return [
        Change(path, a.get(path, ""), b.get(path, ""))
        for path in paths
        if a.get(path) != b.get(path)
    ]


assert BY_NAME["offline_s"] is COLUMNS[0], "fleet.py sums the first column"
