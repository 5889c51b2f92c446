"""What became of a fleet as a whole: the few numbers that two runs are first asked for.

Decides which numbers of a record stand for the run, how each is computed and which direction is better.
Leaves out single devices (devicesim/report/devices.py) and differences (result.py).
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from devicesim.compare.sides import Side
from devicesim.report.devices import Better, Column
from devicesim.report.record import RolloutRow, RunRecord

BACK_SHARE: Final = 0.99
"""Share of the devices online at which a fleet counts as back."""
_LATENCIES: Final = (
    ("reconnect_p50", "Back after, median", "reconnect", "p50"),
    ("reconnect_p99", "Back after, p99", "reconnect", "p99"),
    ("update_p99", "Time to update, p99", "update", "p99"),
    ("kill_p99", "Kill obeyed after, p99", "kill to obeyed", "p99"),
)


class FleetValue(msgspec.Struct, frozen=True):
    """One number of one run; NaN where there is none."""

    column: Column
    value: float


def fleet_values(side: Side) -> list[FleetValue]:
    """The numbers of one run, in reading order; those of rollouts last."""
    record = side.record
    offline = math.fsum(row.numbers[0] for row in side.devices)
    made = [
        _made("checks_failed", "Checks that failed", "", "less",
              "", float(sum(check.held is False for check in record.checks))),
        _made("device_minutes_offline", "Device-minutes offline", "", "less",
              "summed over the fleet", offline / 60.0),
        _made("offline_peak", "Most offline at once", "", "less",
              "devices, once all had booted", _offline_peak(record)),
        _made("back_after_s", f"{BACK_SHARE:.0%} online again after", "s", "less",
              "from the end of the last fault", _back_after_s(record)),
        _made("attempts_peak_per_s", "Most connects in a second", "", "less",
              "tries of the whole fleet", float(record.attempts_peak_per_s)),
    ]  # fmt: skip
    made += [
        _made(name, title, "s", "less", "", _percentile(record, metric, which))
        for name, title, metric, which in _LATENCIES
    ]
    lost = float(sum(record.drops.values()))
    made += [
        _made("messages", "Messages", "", "", "copies sent", float(record.messages)),
        _made("messages_lost", "Messages lost", "", "less", "copies dropped, all causes", lost),
    ]
    for rollout in record.rollouts:
        made += _rollout(rollout)
    return made


def _made(name: str, title: str, unit: str, better: Better, means: str, value: float) -> FleetValue:
    return FleetValue(Column(name, title, unit, better, means), value)


def _offline_peak(record: RunRecord) -> float:
    """The largest deficit from the first instant on at which nearly all were there."""
    series = record.series.get("online")
    if series is None:
        return math.nan
    curve = series.values.get("online", [])
    begun = next((i for i, v in enumerate(curve) if v >= BACK_SHARE * record.devices), len(curve))
    return max((record.devices - value for value in curve[begun:]), default=math.nan)


def _back_after_s(record: RunRecord) -> float:
    series = record.series.get("online")
    if series is None or not record.bands:
        return math.nan
    end = max(band.end_s for band in record.bands)
    curve = series.values.get("online", [])
    for at_s, value in zip(series.t_s, curve, strict=False):
        if at_s >= end and value >= BACK_SHARE * record.devices:
            return at_s - end
    return math.nan


def _percentile(record: RunRecord, metric: str, which: str) -> float:
    for row in record.percentiles:
        if row.metric == metric and row.phase == "whole run":
            value = getattr(row, which)
            return math.nan if value is None else float(value)
    return math.nan


def _rollout(row: RolloutRow) -> list[FleetValue]:
    opened = [w.opened_s for w in row.waves if w.opened_s is not None]
    closed = [w.closed_s for w in row.waves if w.closed_s is not None]
    over = row.state == "completed" and bool(opened) and bool(closed)
    lasted = max(closed) - min(opened) if over else math.nan
    failed = float(sum(max(w.failed, w.rolled_back) for w in row.waves))
    exposed = float(sum(w.exposed for w in row.waves))
    return [
        _made(f"rollout.{row.id}.lasted_s", f"{row.id}: to completion", "s", "less",
              "from the first wave's opening to the last one's close", lasted),
        _made(f"rollout.{row.id}.exposed", f"{row.id}: exposed", "", "", "devices that ran it",
              exposed),
        _made(f"rollout.{row.id}.failed", f"{row.id}: failed", "", "less",
              "devices that failed or went back", failed),
    ]  # fmt: skip
