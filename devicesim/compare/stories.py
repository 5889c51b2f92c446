"""The same device's two days, told side by side from where they part.

Decides which rows of a trace make a device's story (what it noted, its power and its connections), and the
instant that both stories are told around: the first at which they part. Leaves out how a story is
shortened (report/story.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import UpdateState
from devicesdk.wire.timebase import DAY, MINUTE, SECOND
from devicesim.report.story import Row, tell
from devicesim.rundir import read_index, read_rows

LINES_MAX: Final = 18
APART_NS: Final = 30 * SECOND
"""Two stories part where the same step comes so much later in one of them, or is another step."""
_EVERYDAY: Final = frozenset(
    {
        NoteKind.ONLINE, NoteKind.BACK_OFF, NoteKind.CONNECT_TIMEOUT, NoteKind.FETCH_BEGUN,
        NoteKind.FETCH_DONE, NoteKind.ALARM_ON, NoteKind.ALARM_OFF, NoteKind.IGNORED,
        NoteKind.WANT_OLD, NoteKind.KILL_OLD, NoteKind.FLAGS_OLD,
    }
)  # fmt: skip
_TOLD: Final = frozenset(
    {*(note.value for note in NoteKind if note not in _EVERYDAY), "boot", "power off", "connected",
     "connect failed", "disconnected", "storage failed"}
)  # fmt: skip
"""Kinds of rows that a story is made of; membership only."""
_IN_VAIN: Final = NoteKind.CONNECT_TIMEOUT
"""Told by its number only: a black hole makes hundreds of them."""


class Told(msgspec.Struct, frozen=True):
    """One device's two stories; `parted_ns` None: what it did was the same."""

    device: str
    parted_ns: int | None
    a: list[str]
    b: list[str]


class _Day(msgspec.Struct):
    """What a device did, and when it tried to connect and got no answer."""

    rows: list[Row]
    in_vain: list[int]


def side_by_side(a: Path, b: Path, devices: list[str]) -> list[Told]:
    """Tell both stories of each device.

    Args:
        a: folder of A's run, with its trace.
        b: of B's.
        devices: ids.

    Raises:
        FileNotFoundError: a folder has no trace.
    """
    days_a, days_b = _days(a, devices), _days(b, devices)
    return [_told(device, days_a[device], days_b[device]) for device in devices]


def _told(device: str, a: _Day, b: _Day) -> Told:
    steps_a, steps_b = _steps(a.rows), _steps(b.rows)
    pairs = zip(steps_a, steps_b, strict=False)
    shorter = min(len(steps_a), len(steps_b))
    place = next((i for i, (mine, other) in enumerate(pairs) if _apart(mine, other)), shorter)
    parted = [steps[place][0] for steps in (steps_a, steps_b) if place < len(steps)]
    at_ns = min(parted) if parted else 0
    stories = [_tell(day, at_ns) for day in (a, b)]
    return Told(device, at_ns if parted else None, *stories)


def _steps(rows: list[Row]) -> list[Row]:
    """The first of each run of rows of one kind."""
    return [row for i, row in enumerate(rows) if not i or rows[i - 1][1] != row[1]]


def _apart(a: Row, b: Row) -> bool:
    return a[1] != b[1] or abs(a[0] - b[0]) >= APART_NS


def _tell(day: _Day, at_ns: int) -> list[str]:
    return tell(
        day.rows, at_ns, before_ns=10 * MINUTE, after_ns=400 * DAY, lines_max=LINES_MAX,
        mark="here they part", in_vain=day.in_vain,
    )  # fmt: skip


def _days(folder: Path, devices: list[str]) -> dict[str, _Day]:
    index = read_index(folder)
    names: list[str] = index["devices"]
    actors = {names.index(device): device for device in devices if device in names}
    kinds: list[str] = index["kinds"]
    told = np.array(
        [kind in _TOLD or kind == _IN_VAIN or kind.startswith("body ") for kind in kinds],
        dtype=np.bool_,
    )
    found = {device: _Day([], []) for device in devices}
    wanted = np.array(list(actors), dtype=np.int64)
    for block in read_rows(folder):
        mine = block[np.isin(block[:, 1], wanted)]
        mine = mine[told[mine[:, 2]]]
        for t, actor, kind, first, second in mine.tolist():
            if kinds[kind] == _IN_VAIN:
                found[actors[actor]].in_vain.append(t)
            else:
                found[actors[actor]].rows.append((t, *_words(kinds[kind], first, second)))
    return found


def _words(kind: str, a: int, b: int) -> tuple[str, str]:
    """Kind and text of a row, short enough for half a page."""
    if kind == NoteKind.UPDATE_STATE:
        return "update", f"{UpdateState(a).name.lower()}, generation {b}"
    numbers = " ".join(str(value) for value in (a, b) if value)
    return kind.replace("_", " "), "" if kind in ("connected", "disconnected") else numbers
