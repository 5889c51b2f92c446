"""Faults, repairs, waves and flags as rows of bars above the timeline, each labelled exactly once.

Decides which bar stands in which row and on which side its label goes, so that no text overlaps
another or a bar. Leaves out the drawing, which is a matter of style sheet and template.

Positions are per cent of the run's length. Text is measured by an estimate: `CHAR_PX` a character
on a frame of `FRAME_WIDTH_PX`, what the page has at a width of 1440 pixels.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from devicesim.report.figures import Clock, duration, elapsed, known, share, shortened
from devicesim.report.palette import FAMILY_COLOURS, GREEN, GREY, VERMILLION, family
from devicesim.report.record import Band, RolloutRow, RunRecord, failed_first
from devicesim.report.wording import spaced

CHAR_PX: Final = 6.4
FRAME_WIDTH_PX: Final = 930
LABEL_CHARS: Final = 60
FAILURES_MAX: Final = 4
MENDING: Final = ("heal", "device.repair", "plug")
"""Verbs that end hardship instead of making it."""
_PAD_PX: Final = 14
_LEAST_WIDTH: Final = 0.3
_BAD_VERDICTS: Final = ("halt", "fail", "revert", "abort")

Side = Literal["inside", "right", "left", "none"]


class Bar(msgspec.Struct, frozen=True):
    """One bar: where it is (per cent), what it says and on which side, what a click zooms to."""

    left: float
    width: float
    text: str
    side: Side
    colour: str
    hint: str
    start_s: float
    end_s: float
    point: bool = False


class Lane(msgspec.Struct, frozen=True):
    """Rows of bars under one name."""

    name: str
    rows: list[list[Bar]]


def lanes(record: RunRecord) -> list[Lane]:
    """Lay out the faults, what mends them, then one lane for each rollout that opened a wave, then the flags."""
    span = span_s(record)
    clock = Clock(record.clock_start, span)
    found = [
        Lane(name, _pack([_fault(band, span, clock) for band in bands]))
        for name, bands in (
            ("Faults", [band for band in record.bands if band.kind not in MENDING]),
            ("Repairs", [band for band in record.bands if band.kind in MENDING]),
        )
    ]
    for rollout in record.rollouts:
        waves = _waves(rollout, span, clock)
        if waves:
            found.append(Lane(rollout.id, [waves]))
    flags = [_point(row.at_s, row.what, GREY, span, clock) for row in record.flags]
    found.append(Lane("Flags", _pack(flags)))
    return [lane for lane in found if lane.rows]


def failures(record: RunRecord) -> list[list[Bar]]:
    """A mark for each check that failed and is known since when, those that a reader is told of first before the rest."""
    span = span_s(record)
    clock = Clock(record.clock_start, span)
    broken = [
        check for check in failed_first(record.checks) if check.held is False and known(check.at_s)
    ]
    return _pack(
        [
            _point(check.at_s or 0.0, spaced(check.name), VERMILLION, span, clock)
            for check in broken[:FAILURES_MAX]
        ]
    )


def span_s(record: RunRecord) -> float:
    """How much time the timeline shows: the run, or until the last point of a curve."""
    last = [series.t_s[-1] for series in record.series.values() if series.t_s]
    return max([record.virtual_s, *last, 1.0])


def percent(at_s: float, span: float) -> float:
    """Where an instant stands, in per cent of the run, kept on the page."""
    return min(100.0, max(0.0, 100 * at_s / span))


def _fault(band: Band, span: float, clock: Clock) -> Bar:
    end_s = min(band.end_s, span)
    kind = family(band.kind)
    hint = (
        f"{band.label}: {clock.at(band.start_s)} to {clock.at(end_s)}, "
        f"{duration(end_s - band.start_s)}"
    )
    return _bar(
        band.start_s, end_s, shortened(band.label, LABEL_CHARS), FAMILY_COLOURS[kind], hint, span
    )


def _point(at_s: float, text: str, colour: str, span: float, clock: Clock) -> Bar:
    hint = f"{text}: {clock.at(at_s)} ({elapsed(at_s)})"
    bar = _bar(at_s, at_s, shortened(text, LABEL_CHARS), colour, hint, span)
    return msgspec.structs.replace(bar, point=True)


def _waves(rollout: RolloutRow, span: float, clock: Clock) -> list[Bar]:
    bars = []
    for wave in rollout.waves:
        if wave.opened_s is None:
            continue
        end_s = span if wave.closed_s is None else wave.closed_s
        bad = any(word in wave.verdict for word in _BAD_VERDICTS)
        hint = f"{rollout.id} {rollout.bundle}, {share(wave.share)}: {wave.verdict or 'open'}"
        hint += f", {clock.at(wave.opened_s)} to {clock.at(wave.closed_s)}"
        text = f"{share(wave.share)}{' ' + wave.verdict if bad else ''}"
        bar = _bar(wave.opened_s, end_s, text, VERMILLION if bad else GREEN, hint, span)
        bars.append(bar)
    # Between waves there is no room for a label; only the last may stand beside its bar.
    return [
        bar
        if bar.side == "inside" or bar is bars[-1]
        else msgspec.structs.replace(bar, side="none")
        for bar in bars
    ]


def _bar(start_s: float, end_s: float, text: str, colour: str, hint: str, span: float) -> Bar:
    left = percent(start_s, span)
    width = max(_LEAST_WIDTH, percent(end_s, span) - left)
    left = min(left, 100 - width)
    needed = _text_width(text)
    side: Side = "inside"
    if needed > width:
        side = "right" if left + width + needed <= 100 else "left"
    return Bar(left, width, text, side, colour, hint, start_s, end_s)


def _text_width(text: str) -> float:
    return 100 * (len(text) * CHAR_PX + _PAD_PX) / FRAME_WIDTH_PX


def _extent(bar: Bar) -> tuple[float, float]:
    """Where the bar and its label begin and end."""
    needed = _text_width(bar.text)
    left = bar.left - needed if bar.side == "left" else bar.left
    right = bar.left + bar.width + (needed if bar.side == "right" else 0.0)
    return left, right


def _pack(bars: list[Bar]) -> list[list[Bar]]:
    """Put each bar into the first row where neither it nor its label touches another."""
    rows: list[list[Bar]] = []
    for bar in sorted(bars, key=lambda bar: (bar.start_s, bar.end_s)):
        for row in rows:
            if all(_clear(bar, other) for other in row):
                row.append(bar)
                break
        else:
            rows.append([bar])
    return rows


def _clear(one: Bar, other: Bar) -> bool:
    (left, right), (other_left, other_right) = _extent(one), _extent(other)
    return right < other_left or other_right < left
