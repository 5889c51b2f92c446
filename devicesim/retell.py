"""Retell one device's day from the trace of a run.

Decides which rows belong to a device and how each is put into words. Leaves out grouping and layout
(report/story.py) and the format of the files (rundir.py).
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Final

import numpy as np

from devicesdk.agent.notes import NoteKind
from devicesim.report.story import LINES_MAX, Row, tell
from devicesim.rundir import read_index, read_rows

_SENTENCES: Final = {note.value: note.sentence for note in NoteKind}


def story_of(
    folder: Path, device: str, around: int | None = None, window_ns: int = 3600 * 10**9
) -> list[str]:
    """The story of a device, line by line.

    Args:
        folder: of the run.
        device: its id.
        around: instant to look at, ns; None tells the whole run.
        window_ns: how long before and after `around`.

    Raises:
        FileNotFoundError: not a run.
        ValueError: no such device in it; names the nearest.
    """
    index = read_index(folder)
    if device not in index["devices"]:
        near = get_close_matches(device, index["devices"], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"expected a device of {folder}, found {device!r}{hint}")
    actor, kinds = index["devices"].index(device), index["kinds"]
    rows: list[Row] = []
    for block in read_rows(folder):
        mine = block[block[:, 1] == actor]
        if around is not None:
            mine = mine[np.abs(mine[:, 0] - around) <= window_ns]
        rows.extend(
            (int(t), kinds[kind], _words(kinds[kind], a, b)) for t, _, kind, a, b in mine.tolist()
        )
    middle = around if around is not None else (rows[0][0] + rows[-1][0]) // 2 if rows else 0
    reach = window_ns if around is not None else max((row[0] for row in rows), default=0)
    mark = "" if around is None else "here"
    return tell(rows, middle, before_ns=reach, after_ns=reach, lines_max=LINES_MAX, mark=mark)


def _words(kind: str, a: int, b: int) -> str:
    """What the numbers of a row mean, where somebody said so."""
    sentence = _SENTENCES.get(kind)
    if sentence is not None:
        return f"{sentence} [a={a}, b={b}]"
    return " ".join(f"{name}={value}" for name, value in (("a", a), ("b", b)) if value)
