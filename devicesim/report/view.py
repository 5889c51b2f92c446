"""What the page's template is given: rows in reading order, each number beside its spelling.
Decides order, emphasis and the lengths of little bars. Leaves out markup (assets/report.html.j2)
and escaping, which the template does for every value without being asked.

Rules: a number is a `Number`, raw and spelled, so that the page carries the value of the record in
its markup; a table without rows is an empty list and its section is not shown.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from devicesim.report import figures
from devicesim.report.choices import POLICY_PREFIX, choices
from devicesim.report.figures import Clock, compact, count, duration, elapsed, known, measure
from devicesim.report.hardship import hardship
from devicesim.report.record import (
    CheckRow,
    DriftRow,
    PercentileRow,
    RolloutRow,
    RunRecord,
    WaveRow,
    failed_first,
    first_failure,
)  # fmt: skip
from devicesim.report.story_chart import story_chart
from devicesim.report.wording import (
    KIND_MEANS,
    cause_sentence,
    check_count,
    overrides_line,
    spaced,
    tally,
    tally_by_kind,
    venue_sentence,
    verdict_detail,
    verdict_line,
)  # fmt: skip

_BAD: Final = ("halt", "fail", "revert", "abort", "roll", "never")


class Number(msgspec.Struct, frozen=True):
    """A number of the record and how the page spells it."""

    raw: float | int | None
    text: str


def whole(value: int) -> Number:
    """Show a count in full."""
    return Number(value, count(value))


def context(record: RunRecord) -> dict[str, Any]:
    """Make everything the template needs except the timeline."""
    clock = Clock(record.clock_start, record.virtual_s)
    return {
        "record": record,
        "clock": clock,
        "passed": record.verdict == "passed",
        "verdict": verdict_line(record),
        "detail": verdict_detail(record),
        "venue": venue_sentence(record.venue),
        "overrides": overrides_line(record),
        "broke": first_failure(record.checks),
        "headline": headline(record),
        "checks": checks(record, clock),
        "bad_minute": _bad_minute(record, clock),
        "rollouts": [rollout(row, clock) for row in record.rollouts],
        "drops": drops(record),
        "ledger": ledger(record),
        "percentiles": percentiles(record.percentiles),
        "returns": returns(record),
        "flags": flags(record, clock),
        "drifts": [drift(row, clock, record.virtual_s) for row in record.drifts],
        "choices": choices(record),
        "hardship": hardship(record),
        "decisions": bars(
            {k: v for k, v in record.decisions.items() if not k.startswith(POLICY_PREFIX)}
        ),
        "groups": [
            {
                "row": row,
                "count": whole(row.count),
                "share": 100 * row.count / max(1, record.devices),
            }
            for row in record.groups
        ],
        "facts": facts(record),
    }


def headline(record: RunRecord) -> list[dict[str, Any]]:
    """The numbers that a reader wants before anything else."""
    lost = sum(record.drops.values())
    part = figures.share(lost / record.messages) if record.messages else ""
    rows: list[tuple[str, str, float, str, str]] = [
        ("devices", "Devices", record.devices, count(record.devices), _groups(record)),
        ("virtual_s", "Rehearsed", record.virtual_s, duration(record.virtual_s),
         "of scenario time"),
        ("wall_s", "Took", record.wall_s, duration(record.wall_s),
         f"{duration(record.cpu_s)} of processor time"),
        ("speedup", "Speed", record.speedup, f"{compact(record.speedup)} \N{MULTIPLICATION SIGN}",
         "scenario time per wall time"),
        ("events", "Events", record.events, compact(record.events), _per_second(record)),
        ("messages", "Messages", record.messages, compact(record.messages),
         f"{compact(lost)} lost with a cause, {part}" if lost and part else "none lost"),
        ("inferences", "Inferences", record.inferences, compact(record.inferences),
         f"in {compact(record.windows)} telemetry windows"),
        ("memory_mib", "Memory", record.memory_mib,
         f"{figures.number(record.memory_mib)}{figures.THIN}MiB", "at its peak"),
    ]  # fmt: skip
    return [
        {"key": key, "label": label, "number": Number(raw, text), "note": note}
        for key, label, raw, text, note in rows
    ]


def _per_second(record: RunRecord) -> str:
    if record.cpu_s <= 0:
        return ""
    return f"{compact(round(record.events / record.cpu_s))} a second of processor time"


def _groups(record: RunRecord) -> str:
    return f"in {figures.plural(len(record.groups), 'group')}" if record.groups else ""


def checks(record: RunRecord, clock: Clock) -> dict[str, Any]:
    """Checks as dots by kind, the ones to look at as cards, the held ones as a table."""
    ordered = failed_first(record.checks)
    rows = [
        _check(check, clock) | {"told": check.explanation[1:], "chart": story_chart(record, check)}
        for check in ordered
    ]
    kinds = [
        {
            "name": kind, "title": "SLO" if kind == "slo" else kind.capitalize(),
            "means": KIND_MEANS[kind], "tally": counts,
            "dots": [row for row in rows if row["kind"] == kind],
        }
        for kind, counts in tally_by_kind(record.checks).items()
    ]  # fmt: skip
    return {
        "kinds": kinds,
        "total": tally(record.checks),
        "failed": [row for row in rows if row["held"] is False],
        "open": [row for row in rows if row["held"] is None],
        "held": [row for row in rows if row["held"] is True],
    }


def _check(check: CheckRow, clock: Clock) -> dict[str, Any]:
    return {
        "name": check.name, "title": spaced(check.name), "kind": check.kind, "held": check.held,
        "story": check.story, "count": check_count(check), "at_s": check.at_s,
        "at": clock.at(check.at_s) if known(check.at_s) else "",
        "elapsed": elapsed(check.at_s) if known(check.at_s) else "",
        "outcome": {True: "held", False: "failed", None: "open"}[check.held],
    }  # fmt: skip


def _bad_minute(record: RunRecord, clock: Clock) -> dict[str, Any] | None:
    bad = record.first_bad_minute
    if bad is None:
        return None
    return {"row": bad, "at": clock.at(bad.at_s), "elapsed": elapsed(bad.at_s)}


def rollout(row: RolloutRow, clock: Clock) -> dict[str, Any]:
    """One rollout with its waves."""
    return {
        "row": row,
        "bad": any(word in row.state for word in _BAD),
        "waves": [_wave(wave, index, clock) for index, wave in enumerate(row.waves, 1)],
    }


def _wave(wave: WaveRow, index: int, clock: Clock) -> dict[str, Any]:
    size = max(1, wave.size, wave.committed + wave.failed)
    lasted = None
    if wave.opened_s is not None and wave.closed_s is not None:
        lasted = wave.closed_s - wave.opened_s
    cells = ("size", "offered", "exposed", "committed", "failed", "rolled_back")
    # A device that failed and went back counts in both columns; the bar shows it once.
    not_done = max(wave.failed, wave.rolled_back)
    return {
        "index": index,
        "share": Number(wave.share, figures.share(wave.share)),
        "numbers": {name: whole(getattr(wave, name)) for name in cells},
        "committed_part": 100 * wave.committed / size,
        "failed_part": min(100 * not_done / size, 100 - 100 * wave.committed / size),
        "opened": clock.at(wave.opened_s),
        "lasted": Number(lasted, duration(lasted)),
        "e_value": Number(wave.e_value, figures.number(wave.e_value)),
        "verdict": wave.verdict,
        "bad": any(word in wave.verdict for word in _BAD),
        "ran": wave.opened_s is not None,
    }


def drift(row: DriftRow, clock: Clock, end_s: float) -> dict[str, Any]:
    """One verdict of drift: about whom, of what, from when to when, and where that is in the run."""
    stop = end_s if row.end_s is None else row.end_s
    probe = row.histogram == "golden probe"
    effect = figures.share(row.effect) + " failed" if probe else figures.number(row.effect)
    return {
        "row": row,
        "about": row.device or f"all {count(row.devices)}",
        "shown": row.histogram,
        "effect": Number(row.effect, "" if row.device else effect),
        "since": clock.at(row.start_s),
        "lasted": Number(stop - row.start_s, duration(stop - row.start_s)),
        "stands": row.end_s is None,
        "left": 100 * row.start_s / max(1.0, end_s),
        "width": max(0.5, 100 * (stop - row.start_s) / max(1.0, end_s)),
    }


def bars(table: dict[str, int]) -> list[dict[str, Any]]:
    """Rows of a bar chart, longest first, with each row's part of the sum."""
    total, top = sum(table.values()), max([*table.values(), 1])
    return [
        {
            "name": name, "title": spaced(name), "count": whole(value),
            "length": 100 * value / top, "part": figures.share(value / total) if total else "",
        }
        for name, value in sorted(table.items(), key=lambda item: (-item[1], item[0]))
    ]  # fmt: skip


def drops(record: RunRecord) -> dict[str, Any]:
    """Loss by cause, each cause with the sentence that explains it."""
    rows = bars(record.drops)
    for row in rows:
        row["means"] = cause_sentence(row["name"])
    return {"rows": rows, "total": whole(sum(record.drops.values()))}


def ledger(record: RunRecord) -> list[dict[str, Any]]:
    """The books: each leg and kind, and whether it balances."""
    names = ("opened", "delivered", "dropped", "held")
    return [
        {
            "leg": row.leg, "kind": row.kind,
            "numbers": [whole(getattr(row, name)) for name in names],
            "balanced": row.opened == row.delivered + row.dropped + row.held,
        }
        for row in record.ledger
    ]  # fmt: skip


def percentiles(rows: list[PercentileRow]) -> list[dict[str, Any]]:
    """Percentiles grouped by metric, with a little range from median to maximum on a log scale."""
    groups: dict[str, list[PercentileRow]] = {}
    for row in rows:
        groups.setdefault(row.metric, []).append(row)
    return [
        {"metric": metric, "rows": [_percentile(row, _log_scale(found)) for row in found]}
        for metric, found in groups.items()
    ]


def returns(record: RunRecord) -> list[dict[str, Any]]:
    """How each group came back; the bar is its share of the wasted connects."""
    most = max((row.wasted for row in record.returns), default=0) or 1
    return [
        {
            "row": row,
            "devices": whole(row.devices),
            "attempts": Number(row.attempts, compact(row.attempts)),
            "wasted": Number(row.wasted, compact(row.wasted)),
            "peak": whole(row.peak_per_s),
            "share": 100 * row.wasted / most,
            "p50": Number(row.p50_s, duration(row.p50_s)),
            "p99": Number(row.p99_s, duration(row.p99_s)),
            "last": Number(row.last_s, duration(row.last_s)),
        }
        for row in record.returns
    ]


def _log_scale(rows: list[PercentileRow]) -> tuple[float, float]:
    values = [v for row in rows for v in (row.p50, row.p90, row.p99, row.max) if known(v)]
    positive = [v for v in values if v is not None and 0 < v < math.inf]
    if not positive:
        return 0.0, 1.0
    low, high = math.log(min(positive)), math.log(max(positive))
    return low, max(high - low, 1e-9)


def _percentile(row: PercentileRow, scale: tuple[float, float]) -> dict[str, Any]:
    low, span = scale

    def place(value: float | None) -> float:
        if value is None or math.isnan(value) or value <= 0:
            return 0.0
        return 100 * min(1.0, max(0.0, (math.log(min(value, 1e300)) - low) / span))

    marks = [place(v) for v in (row.p50, row.p90, row.p99, row.max)]
    return {
        "phase": row.phase,
        "n": whole(row.n),
        "numbers": [Number(v, measure(v, row.unit)) for v in (row.p50, row.p90, row.p99, row.max)],
        "p50_at": marks[0],
        "p90_at": marks[1],
        "p99_at": marks[2],
        "max_at": marks[3],
    }


def flags(record: RunRecord, clock: Clock) -> list[dict[str, Any]]:
    """Changes of flags with how fast and how far they reached."""
    return [
        {
            "row": row, "at": clock.at(row.at_s), "elapsed": elapsed(row.at_s),
            "reached": whole(row.reached),
            "part": min(100.0, 100 * row.reached / record.devices) if record.devices else 0.0,
            "times": [Number(v, duration(v)) for v in (row.p50_s, row.p99_s, row.last_s)],
        }
        for row in record.flags
    ]  # fmt: skip


def facts(record: RunRecord) -> list[tuple[str, dict[str, str]]]:
    """What it takes to get the same run again, and what it ran on."""
    run = {
        "scenario": record.scenario, "seed": str(record.seed), "clock": record.clock_start,
        "scenario digest": record.scenario_digest, "trace digest": record.trace_digest,
    }  # fmt: skip
    seeds = {name: value for name, value in record.seeds.items() if name != "master"}
    found = [
        ("Run", run),
        ("Seeds", seeds),
        ("Machine", record.machine),
        ("Versions", record.versions),
    ]
    kept = [(name, {k: v for k, v in table.items() if v}) for name, table in found]
    return [(name, table) for name, table in kept if table]
