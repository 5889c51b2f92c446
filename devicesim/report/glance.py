"""The picture above everything else on the page: what was broken when, who was online, which check broke.

Decides what one sees before one reads a word: bars for faults, repairs and rollouts, a mark for each check that failed, and
below them, on the same time, how many devices were online and which versions they ran. Leaves out what one can
ask a picture (charts.py draws the timeline, where one can zoom) and markup (assets/report.html.j2).

Rules: positions are `FRAME` units or per cent, so that it stretches with the page and its text does not; no script.
What mends is a bar of its own and no tint: an outage does not last as long as its repair.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from devicesim.report import axes
from devicesim.report.axes import FRAME
from devicesim.report.figures import Clock, count, shortened
from devicesim.report.lanes import Lane, failures, lanes, percent, span_s
from devicesim.report.palette import BLUE
from devicesim.report.panels import Panel, measured, plan, risen
from devicesim.report.record import RunRecord
from devicesim.report.thin import thin

POINTS_MAX: Final = 700
ROWS_MAX: Final = 6
"""Rows of bars of one lane; the timeline has them all."""
FLAG_ROWS_MAX: Final = 2
_PARTS_MAX: Final = 8
_NAME_CHARS: Final = 28
_GRID: Final = (0.5, 1.0)


class Layer(msgspec.Struct, frozen=True):
    """An area of one colour, with its outline where it stands alone; paths in `FRAME` units."""

    name: str
    colour: str
    area: str
    line: str = ""


class Frame(msgspec.Struct, frozen=True):
    """One small picture: its name, what the eye should take from it, layers, and marks of its height in per cent."""

    title: str
    note: str
    layers: list[Layer]
    y_ticks: list[axes.Tick]


def glance(record: RunRecord, clock: Clock) -> dict[str, Any] | None:
    """Lay out the picture; None where nothing was recorded."""
    span = span_s(record)
    wanted = ("online", "versions")
    found = {key: thin(record.series[key], POINTS_MAX) for key in wanted if key in record.series}
    panels = {panel.key: panel for panel in plan(found, clock)}
    if "online" not in panels:
        return None
    frames = [_online(panels["online"], record, span)]
    if "versions" in panels and len(panels["versions"].curves) > 1:
        frames.append(_versions(panels["versions"], record, span))
    broken = failures(record)
    shown, more = _cut(lanes(record))
    return {
        "frames": frames,
        "lanes": shown,
        "more": more,
        "broken": broken,
        "stripes": axes.stripes(record.bands, span),
        "x_ticks": axes.times(span, _PARTS_MAX),
        "bad_at": [percent(at_s, span) for at_s in sorted({b.start_s for r in broken for b in r})],
    }


def _cut(found: list[Lane]) -> tuple[list[Lane], dict[str, int]]:
    """Lanes with as many rows as one takes in, and how many bars of each are left out."""
    shown, more = [], {}
    for lane in found:
        room = FLAG_ROWS_MAX if lane.name == "Flags" else ROWS_MAX
        shown.append(Lane(lane.name, lane.rows[:room]))
        more[lane.name] = sum(len(row) for row in lane.rows[room:])
    return shown, more


def _online(panel: Panel, record: RunRecord, span: float) -> Frame:
    values = panel.curves[0].values
    top = max([float(record.devices), *measured(values)]) or 1.0
    layer = Layer(
        "online",
        BLUE,
        _area(panel.t_s, None, values, top, span),
        _line(panel.t_s, values, top, span),
    )
    return Frame("Online", lowest(values, top), [layer], _ticks(top))


def _versions(panel: Panel, record: RunRecord, span: float) -> Frame:
    floor, layers = [0.0] * len(panel.t_s), []
    top = max(float(record.devices), panel.high) or 1.0
    for curve in panel.curves:
        roof = [
            low + (0.0 if math.isnan(value) else value)
            for low, value in zip(floor, curve.values, strict=True)
        ]
        name = shortened(curve.name, _NAME_CHARS)
        layers.append(Layer(name, curve.colour, _area(panel.t_s, floor, roof, top, span)))
        floor = roof
    return Frame("Versions running", "", layers, _ticks(top))


def lowest(values: list[float], top: float) -> str:
    """The fewest after the fleet had come up and when it ended, as words: ``lowest 27 %, 100 % at the end``."""
    known = measured(values)
    if not known:
        return ""
    least, last = min(known[risen(known) :]), known[-1]
    return f"lowest {100 * least / top:.0f} %, {100 * last / top:.0f} % at the end"


def _ticks(top: float) -> list[axes.Tick]:
    return [axes.Tick(100 * part, count(round(top * part))) for part in _GRID if top * part >= 1]


def _points(t_s: list[float], values: list[float], top: float, span: float) -> list[str]:
    return [
        f"{FRAME[0] * at / span:.1f} {FRAME[1] * (1 - min(1.0, value / top)):.2f}"
        for at, value in zip(t_s, values, strict=True)
        if not math.isnan(value)
    ]


def _line(t_s: list[float], values: list[float], top: float, span: float) -> str:
    return "M" + "L".join(_points(t_s, values, top, span))


def _area(
    t_s: list[float], low: list[float] | None, high: list[float], top: float, span: float
) -> str:
    there = _points(t_s, high, top, span)
    back = _points(t_s, low if low is not None else [0.0] * len(t_s), top, span)
    return f"M{'L'.join([*there, *reversed(back)])}Z"
