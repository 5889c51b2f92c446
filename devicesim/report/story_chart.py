"""The little picture beside the story of a failed check: who was connected when, and what happened.

Decides what is drawn: a row for each one concerned, its line green while it was connected, broken while it
was away, absent while it had no power; marks for its moments; faults as bands behind; the instant from
which the check did not hold as a line through all. Leaves out markup (assets/report.html.j2) and the words.

Positions are units of a viewBox of `WIDTH` by a height that the rows need. Nothing of it is measured here:
it is what the record's lanes say.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from devicesim.report.figures import elapsed, shortened
from devicesim.report.lanes import MENDING
from devicesim.report.palette import FAMILY_COLOURS, family
from devicesim.report.record import CheckRow, Lane, LaneMark, RunRecord

WIDTH: Final = 1000
LEFT: Final = 128
RIGHT: Final = 24
TOP: Final = 34
ROW: Final = 34
BOTTOM: Final = 26
NAME_CHARS: Final = 17
BAND_CHARS: Final = 26
_TICKS: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800,
)  # fmt: skip
_GOOD: Final = frozenset({"connected", "path clear", "gateway start"})
_BAD: Final = frozenset(
    {
        "disconnected", "power off", "path dark", "path reset", "connect failed", "connect_timeout", "gateway crash",
        "body shutdown", "body brown_out", "body empty", "publish_dead", "storage_failed", "image_bad", "chunk_bad",
        "state_lost", "flash full", "quarantined", "rollout.halted", "rollout.aborted", "device.failed",
        "device.rolled_back", "device.rejected",
    }
)  # fmt: skip
_ATTEMPT: Final = "attempt"
_WAITS: Final = frozenset({"back_off", "connect_timeout", "connect failed"})
_UP, _AWAY, _OFF, _UNKNOWN = "up", "away", "off", "unknown"
_TURNS: Final = {
    "connected": _UP, "disconnected": _AWAY, "boot": _AWAY, "power off": _OFF, "gateway start": _UP,
    "gateway crash": _OFF,
}  # fmt: skip
_BEFORE: Final = {"connected": _AWAY, "disconnected": _UP, "power off": _UP, "gateway crash": _UP}
"""What it must have been before the first of these; a boot comes after being off."""


class Mark(msgspec.Struct, frozen=True):
    """One moment: where, how it looks (good, bad, try, plain) and what a pointer is told."""

    x: float
    look: str
    hint: str


class Stretch(msgspec.Struct, frozen=True):
    """A part of a row's line in one state: ``up``, ``away`` or ``unknown``."""

    x: float
    width: float
    state: str


class Row(msgspec.Struct, frozen=True):
    """One of those concerned."""

    name: str
    y: float
    stretches: list[Stretch]
    marks: list[Mark]


class Shade(msgspec.Struct, frozen=True):
    """A fault behind the rows."""

    x: float
    width: float
    text: str
    colour: str
    hint: str


def story_chart(record: RunRecord, check: CheckRow) -> dict[str, Any] | None:
    """Lay out the picture of a failed check; None where there is nothing to draw."""
    lanes = [lane for lane in check.lanes if lane.marks]
    if not lanes or check.first_bad_ns is None:
        return None
    bad_s = check.first_bad_ns / 1e9
    begin = min(bad_s, *(lane.marks[0].at_s for lane in lanes))
    end = max(bad_s, *(lane.marks[-1].at_s for lane in lanes))
    scale = _Scale(begin, max(end, begin + 1.0))
    rows = [_row(lane, TOP + place * ROW + ROW / 2, scale) for place, lane in enumerate(lanes)]
    return {
        "width": WIDTH, "height": TOP + ROW * len(rows) + BOTTOM, "left": LEFT, "top": TOP,
        "floor": TOP + ROW * len(rows), "rows": rows, "bad": scale.at(bad_s), "bad_text": elapsed(int(bad_s)),
        "late": scale.at(bad_s) > WIDTH - 150,
        "shades": _shades(record, scale), "ticks": _ticks(scale),
    }  # fmt: skip


class _Scale:
    """Seconds to positions, with a little room on both sides."""

    def __init__(self, begin: float, end: float) -> None:
        room = 0.03 * (end - begin)
        self.begin, self.end = max(0.0, begin - room), end + room

    def at(self, t_s: float) -> float:
        share = (t_s - self.begin) / (self.end - self.begin)
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, share))


def _row(lane: Lane, y: float, scale: _Scale) -> Row:
    drawn = [
        Mark(scale.at(one.at_s), _look(one), f"{elapsed(one.at_s)} {one.text}")
        for one in lane.marks
        if one.kind not in _WAITS
    ]
    return Row(shortened(lane.who, NAME_CHARS), y, _stretches(lane.marks, scale), drawn)


def _look(mark: LaneMark) -> str:
    if mark.kind == _ATTEMPT:
        return "try"
    return "good" if mark.kind in _GOOD else "bad" if mark.kind in _BAD else "plain"


def _stretches(marks: list[LaneMark], scale: _Scale) -> list[Stretch]:
    """The row's line, turn by turn; what was before the first turn follows from the turn."""
    turns = [mark for mark in marks if mark.kind in _TURNS]
    if not turns:
        tries = any(mark.kind == _ATTEMPT or mark.kind in _WAITS for mark in marks)
        # That a path is clear says nothing about who is behind it: it may be out of power.
        silent = all(mark.kind == "path clear" for mark in marks)
        state = _AWAY if tries else _UNKNOWN if silent else _UP
        return [Stretch(LEFT, scale.at(scale.end) - LEFT, state)]
    state, since, found = _BEFORE.get(turns[0].kind, _OFF), scale.begin, []
    for turn in [*turns, None]:
        until = scale.end if turn is None else turn.at_s
        if state != _OFF and until > since:
            found.append(Stretch(scale.at(since), scale.at(until) - scale.at(since), state))
        if turn is not None:
            state, since = _TURNS[turn.kind], until
    return found


def _shades(record: RunRecord, scale: _Scale) -> list[Shade]:
    """Faults that were in force in the time shown; their labels must not touch."""
    found: list[Shade] = []
    free = 0.0
    for band in sorted(record.bands, key=lambda one: one.start_s):
        if band.end_s < scale.begin or band.start_s > scale.end or band.kind in MENDING:
            continue
        x = scale.at(band.start_s)
        text = shortened(band.label, BAND_CHARS) if x >= free else ""
        free = max(free, x + 7 * len(text) + 12) if text else free
        width = max(1.5, scale.at(band.end_s) - x)
        hint = f"{band.label}: {elapsed(band.start_s)} to {elapsed(band.end_s)}"
        found.append(Shade(x, width, text, FAMILY_COLOURS[family(band.kind)], hint))
    return found


def _ticks(scale: _Scale) -> list[tuple[float, str]]:
    span = scale.end - scale.begin
    step = next((size for size in _TICKS if span / size <= 7), _TICKS[-1])
    first = -(-scale.begin // step) * step
    ticks = []
    while first <= scale.end:
        ticks.append((scale.at(first), elapsed(first)))
        first += step
    return ticks
