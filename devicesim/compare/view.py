"""What the page of a comparison is given: rows in reading order, each number spelled.

Decides order and emphasis: what is different before what is the same, curves that people look for first,
which distributions are drawn. Leaves out markup (assets/compare.html.j2) and escaping.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from devicesim.compare import charts, wording
from devicesim.compare.result import CheckPair, Comparison, Measure, table
from devicesim.compare.sides import Pair, Side
from devicesim.compare.stats import Table
from devicesim.compare.stories import Told, side_by_side
from devicesim.report import axes
from devicesim.report.devices import COLUMNS, Better
from devicesim.report.figures import DASH, Clock, compact, count, duration, measure, share
from devicesim.report.panels import measured
from devicesim.report.record import RunRecord, Series
from devicesim.report.wording import KIND_MEANS, spaced, verdict_line

SPREADS_MAX: Final = 12
TIME_PARTS_MAX: Final = 8
GROUP_COLUMNS_MAX: Final = 5
NUMBERS_OF_A_DEVICE: Final = 4
_PLACE: Final = {column.name: place for place, column in enumerate(COLUMNS)}
Mask = NDArray[np.bool_]
VERSIONS_SHOWN: Final = 3


class Shown(msgspec.Struct, frozen=True):
    """A curve that is compared: where it is in the record, and which way is better."""

    key: str
    curve: str
    title: str
    better: Better


CURVES: Final = (
    Shown("online", "online", "Online", "more"),
    Shown("retries", "connects per minute", "Connects per minute", "less"),
    Shown("transfers", "in flight", "Transfers in flight", ""),
    Shown("throughput", "chunks", "Chunks delivered", ""),
    Shown("telemetry", "windows per minute", "Telemetry windows per minute", ""),
    Shown("throttled", "throttled", "Throttled", "less"),
    Shown("temperature", "p95", "Temperature, p95", "less"),
    Shown("battery", "p10", "Charge, p10", "more"),
    Shown("alarms", "sounding", "Alarms sounding", ""),
)


def context(found: Comparison, folder: Path) -> dict[str, Any]:
    """Make everything the template needs.

    Args:
        found: the comparison.
        folder: where the page will be, for links to the runs' own pages.
    """
    first = found.pairs[0]
    changed = [one for one in found.devices if one.direction != "same"]
    gaps = [table(pair.rows_b) - table(pair.rows_a) for pair in found.pairs]
    return {
        "found": found,
        "same": found.same,
        "headline": wording.headline(found),
        "verdicts": wording.verdicts(found),
        "luck": wording.luck(found),
        "caution": wording.caution(found),
        "title": _title(first),
        "sides": [_side("A", first.a, folder), _side("B", first.b, folder)],
        "changes": found.changes,
        "devices": [_row(one) for one in changed],
        "fleet": [_row(one) for one in found.fleet],
        "unmoved": [one.column.title for one in found.devices if one.direction == "same"],
        "timeline": _timeline(first),
        "spreads": _spreads(gaps, changed),
        "groups": _groups(found, gaps, changed),
        "checks": [_check(check) for check in found.checks],
        "stories": _stories(found, gaps),
        "means": wording.MEANS,
        "marks": wording.MARKS,
        "facts": _facts(found),
    }


def _title(pair: Pair) -> str:
    a, b = pair.a.record, pair.b.record
    return a.title or a.scenario if a.scenario == b.scenario else f"{a.scenario} and {b.scenario}"


def _side(name: str, side: Side, folder: Path) -> dict[str, Any]:
    record = side.record
    clock = Clock(record.clock_start, record.virtual_s)
    bad = record.first_bad_minute
    page = side.folder / "report.html"
    return {
        "name": name, "record": record, "passed": record.verdict == "passed",
        "verdict": verdict_line(record),
        "bad": None if bad is None else f"{clock.at(bad.at_s)}, {duration(bad.at_s)} in",
        "bad_what": "" if bad is None else bad.what,
        "page": os.path.relpath(page, folder) if page.is_file() else "",
    }  # fmt: skip


# -- measures -----------------------------------------------------------------------------------


def _row(one: Measure) -> dict[str, Any]:
    unit = one.column.unit
    good = "less" if one.column.better == "less" else "more"
    lower, higher = (100 * one.less, 100 * one.more)
    return {
        "measure": one, "title": one.column.title, "means": one.column.means,
        "a": wording.spell(one.a, unit), "b": wording.spell(one.b, unit),
        "difference": wording.signed(one.difference, unit),
        "interval": wording.interval_text(one),
        "mark": wording.MARKS[one.direction], "direction": one.direction,
        "whisker": charts.whisker(one.difference, one.interval),
        "better_part": lower if good == "less" else higher,
        "worse_part": higher if good == "less" else lower,
        "plain": not one.column.better,
        "shares": f"lower in {share(round(one.less, 3))}, the same in "
        f"{share(round(1 - one.less - one.more, 3))}, higher in {share(round(one.more, 3))} of pairs",
        "alone": wording.lost_and_found(one),
    }  # fmt: skip


def _differences(gaps: list[Table], name: str) -> Table:
    """All paired differences of one measure, over all seeds."""
    pooled: Table = np.concatenate([gap[:, _PLACE[name]] for gap in gaps])
    return pooled[np.isfinite(pooled)]


def _weight(one: Measure) -> float:
    """How sure a difference is: its size over half its interval."""
    if one.interval is None or not math.isfinite(one.difference):
        return 0.0
    half = (one.interval.high - one.interval.low) / 2
    return abs(one.difference) / half if half > 0 else math.inf


def _spreads(gaps: list[Table], changed: list[Measure]) -> list[dict[str, Any]]:
    surest = sorted(changed, key=_weight, reverse=True)[:SPREADS_MAX]
    made = [_spread(_differences(gaps, one.column.name), one) for one in changed if one in surest]
    return [one for one in made if one["chart"] is not None]


def _spread(differences: Table, one: Measure) -> dict[str, Any]:
    column = one.column

    def spell(value: float) -> str:
        return wording.signed(value, column.unit)

    same = float((differences == 0).mean()) if len(differences) else 0.0
    return {
        "row": _row(one),
        "chart": charts.spread(differences, one.difference, one.interval, spell),
        "same": share(round(same, 3)) if same else "",
        "better": column.better,
        "n": count(len(differences)),
    }


def _groups(found: Comparison, gaps: list[Table], changed: list[Measure]) -> dict[str, Any] | None:
    """Mean differences by group, of the measures whose difference is surest."""
    first = found.pairs[0]
    names = list(dict.fromkeys(row.words[1] for row in first.rows_a))
    told = [one for one in changed if one.direction in ("better", "worse", "other")]
    kept = sorted(told, key=_weight, reverse=True)[:GROUP_COLUMNS_MAX]
    columns = [one.column for one in told if one in kept]
    if len(names) < 2 or not columns:
        return None
    rows = []
    for name in names:
        inside = [
            np.array([row.words[1] == name for row in pair.rows_a], dtype=np.bool_)
            for pair in found.pairs
        ]
        cells = [_group_mean(gaps, inside, column.name) for column in columns]
        rows.append({"name": name, "devices": count(int(inside[0].sum())), "cells": [
            _group_cell(value, column.unit, column.better)
            for value, column in zip(cells, columns, strict=True)
        ]})  # fmt: skip
    return {"columns": [column.title for column in columns], "rows": rows}


def _group_mean(gaps: list[Table], inside: list[Mask], name: str) -> float:
    parts = [gap[mask, _PLACE[name]] for gap, mask in zip(gaps, inside, strict=True)]
    pooled = np.concatenate(parts)
    pooled = pooled[np.isfinite(pooled)]
    return float(pooled.mean()) if len(pooled) else math.nan


def _group_cell(value: float, unit: str, better: Better) -> dict[str, str]:
    tone = ""
    if better and math.isfinite(value) and value:
        tone = "better" if (value < 0) == (better == "less") else "worse"
    return {"text": wording.signed(value, unit), "tone": tone}


# -- curves -------------------------------------------------------------------------------------


def _timeline(pair: Pair) -> dict[str, Any] | None:
    a, b = pair.a.record, pair.b.record
    span = max(a.virtual_s, 1e-9)
    made = [panel for shown in _shown(a, b) if (panel := _panel(shown, a, b, span)) is not None]
    if not made:
        return None
    panels = [panel for place, panel in enumerate(made) if not panel["same"] or not place]
    unmoved = [panel["title"] for panel in made if panel not in panels]
    both = [band for band in a.bands if band in b.bands]
    stripes = axes.stripes(both, span)
    stripes += axes.stripes([band for band in a.bands if band not in both], span, "A only: ")
    stripes += axes.stripes([band for band in b.bands if band not in both], span, "B only: ")
    bad = [
        {"name": name, "at": 100 * record.first_bad_minute.at_s / span}
        for name, record in (("A", a), ("B", b))
        if record.first_bad_minute is not None
    ]
    return {"panels": panels, "unmoved": unmoved, "stripes": stripes, "x_ticks": axes.times(span, TIME_PARTS_MAX), "bad": bad,
            "start": Clock(a.clock_start, span).start_text}  # fmt: skip


def _shown(a: RunRecord, b: RunRecord) -> list[Shown]:
    """The catalogue, and how many devices run each of the versions that most ran."""
    peaks: dict[str, float] = {}
    for record in (a, b):
        series = record.series.get("versions")
        for name, curve in (series.values if series is not None else {}).items():
            peaks[name] = max(peaks.get(name, 0.0), *curve)
    names = sorted(peaks, key=lambda name: (-peaks[name], name))[:VERSIONS_SHOWN]
    versions = [Shown("versions", name, f"Running {name}", "") for name in sorted(names)]
    return [CURVES[0], *versions, *CURVES[1:]]


def _panel(shown: Shown, a: RunRecord, b: RunRecord, span: float) -> dict[str, Any] | None:
    series = a.series.get(shown.key) or b.series.get(shown.key)
    if series is None:
        return None
    values_a, values_b = _curve(a, shown, series), _curve(b, shown, series)
    unit = series.unit if series.unit not in ("devices", "") else ""
    drawn = charts.overlay(
        series.t_s, values_a, values_b, span, lambda v: measure(v, unit) if unit else compact(v),
        from_zero=unit != "C",
    )  # fmt: skip
    if drawn is None or not any(value > 0 for value in (*values_a, *values_b)):
        return None
    return {"title": shown.title, "chart": drawn, "better": shown.better, "same": values_a == values_b,
            "note": _extremes(shown, values_a, values_b, unit)}  # fmt: skip


def _curve(record: RunRecord, shown: Shown, like: Series) -> list[float]:
    series = record.series.get(shown.key)
    curve = series.values.get(shown.curve) if series is not None else None
    return curve if curve is not None else [0.0] * len(like.t_s)


def _extremes(shown: Shown, a: list[float], b: list[float], unit: str) -> list[str]:
    """What each curve came to: its mean where more is better, else its peak."""
    texts = []
    for curve in (a, b):
        known = measured(curve)
        if not known:
            texts.append(DASH)
            continue
        value = math.fsum(known) / len(known) if shown.better == "more" else max(known)
        word = "mean" if shown.better == "more" else "peak"
        texts.append(f"{word} {measure(value, unit) if unit else compact(value)}")
    return texts


# -- checks, stories, facts ---------------------------------------------------------------------


def _check(check: CheckPair) -> dict[str, Any]:
    def outcome(side: Any) -> dict[str, str]:
        if side is None:
            return {"outcome": "absent", "word": "not asked", "story": ""}
        word = {True: "held", False: "failed", None: "open"}[side.held]
        shown = "not exercised" if word == "open" else word
        return {"outcome": word, "word": shown, "story": side.story}

    return {
        "title": spaced(check.name), "kind": check.kind, "means": KIND_MEANS.get(check.kind, ""),  # type: ignore[call-overload]
        "same": check.same, "a": outcome(check.a), "b": outcome(check.b),
    }  # fmt: skip


def _stories(found: Comparison, gaps: list[Table]) -> list[dict[str, Any]]:
    first = found.pairs[0]
    rows = [(first.rows_a[index], first.rows_b[index]) for index in found.different]
    told: list[Told] = []
    if rows and first.a.traced and first.b.traced:
        told = side_by_side(first.a.folder, first.b.folder, [row.device for row, _ in rows])
    spreads = [
        max(1e-12, float(np.abs(_differences(gaps, c.name)).max(initial=0))) for c in COLUMNS
    ]
    made = []
    for place, (a, b) in enumerate(rows):
        moved = [
            (abs(y - x) / spreads[i], i)
            for i, (x, y) in enumerate(zip(a.numbers, b.numbers, strict=True))
            if math.isfinite(x) and math.isfinite(y) and x != y
        ]
        top = sorted(i for _, i in sorted(moved, reverse=True)[:NUMBERS_OF_A_DEVICE])
        numbers = [
            {"title": COLUMNS[i].title, "a": wording.spell(a.numbers[i], COLUMNS[i].unit),
             "b": wording.spell(b.numbers[i], COLUMNS[i].unit)}
            for i in top
        ]  # fmt: skip
        words = {"device": a.device, "group": a.words[1], "profile": a.words[2], "link": a.words[3]}
        made.append({**words, "numbers": numbers, "told": told[place] if told else None})
    return made


def _facts(found: Comparison) -> list[dict[str, str]]:
    first = found.pairs[0]
    return [
        {"name": name, "reproduce": side.record.reproduce, "folder": str(side.folder),
         "digest": side.record.trace_digest, "code": side.record.versions.get("code", ""),
         "took": duration(side.record.wall_s)}
        for name, side in (("A", first.a), ("B", first.b))
    ]  # fmt: skip
