"""Retell one device's day, or the gateway's or the broker's, from the trace of a run.

Decides which rows belong to whom and how each is put into words. Leaves out grouping and layout
(report/story.py) and the format of the files (rundir.py).
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devicesdk.agent.notes import NoteKind
from devicesim.report.story import LINES_MAX, Row, tell
from devicesim.rundir import read_index, read_rows
from devicesim.world.trace import GATEWAY, WORLD
from gateway.core import notes
from gateway.core.experiments import notes as trials

_SENTENCES: Final = {note.value: note.sentence for note in NoteKind}
_GATEWAYS: Final = notes.SENTENCES | trials.SENTENCES
_COMING: Final = ("connected", "connect failed", "disconnected", "gateway start", "gateway crash")
Chooser = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


def story_of(
    folder: Path, device: str, around: int | None = None, window_ns: int = 3600 * 10**9
) -> list[str]:
    """The story of a device, line by line; or of the gateway, or of the broker.

    Args:
        folder: of the run.
        device: its id, or ``gateway`` or ``broker``.
        around: instant to look at, ns; None tells the whole run.
        window_ns: how long before and after `around`.

    Raises:
        FileNotFoundError: not a run.
        ValueError: no such device in it; names the nearest.
    """
    index = read_index(folder)
    kinds, devices = index["kinds"], index["devices"]
    belongs = _chooser(folder, device, devices, kinds)
    rows: list[Row] = []
    for block in read_rows(folder):
        mine = block[belongs(block)]
        if around is not None:
            mine = mine[np.abs(mine[:, 0] - around) <= window_ns]
        rows.extend(
            (int(t), kinds[kind], _words(kinds[kind], a, b) or _whose(actor, devices))
            for t, actor, kind, a, b in mine.tolist()
        )
    middle = around if around is not None else (rows[0][0] + rows[-1][0]) // 2 if rows else 0
    reach = window_ns if around is not None else max((row[0] for row in rows), default=0)
    mark = "" if around is None else "here"
    return tell(rows, middle, before_ns=reach, after_ns=reach, lines_max=LINES_MAX, mark=mark)


def _chooser(folder: Path, who: str, devices: list[str], kinds: list[str]) -> Chooser:
    """Which rows of a block belong to somebody.

    What happened to the broker is what the timeline did, and who came to it and left it.
    """
    if who == "gateway":
        return lambda block: block[:, 1] == GATEWAY
    if who == "broker":
        coming = np.array([kinds.index(kind) for kind in _COMING if kind in kinds])
        return lambda block: (block[:, 1] == WORLD) | np.isin(block[:, 2], coming)
    if who not in devices:
        near = get_close_matches(who, devices, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; or gateway, or broker"
        raise ValueError(f"expected a device of {folder}, found {who!r}{hint}")
    actor = devices.index(who)
    return lambda block: block[:, 1] == actor


def _whose(actor: int, devices: list[str]) -> str:
    return devices[actor] if actor >= 0 else ""


def _words(kind: str, a: int, b: int) -> str:
    """What the numbers of a row mean, where somebody said so."""
    sentence = _SENTENCES.get(kind)
    if sentence is None and kind in _GATEWAYS:
        sentence = _GATEWAYS[kind].replace(" {subject}", "").replace("{subject}", "it")
        return sentence.format(a=a, b=b)
    if sentence is not None:
        sentence = sentence.replace("a milliseconds", f"{a:,} ms")
        return f"{sentence} [a={a}, b={b}]"
    return " ".join(f"{name}={value}" for name, value in (("a", a), ("b", b)) if value)
