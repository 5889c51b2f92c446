"""Retell one device's day, or the gateway's or the broker's, from the trace of a run.

Decides which rows belong to whom and how each is put into words. Leaves out grouping and layout
(report/story.py) and the format of the files (rundir.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.topics import DEVICE_KINDS
from devicesim.report.causes import noted
from devicesim.report.figures import plural
from devicesim.report.story import LINES_MAX, Row, tell
from devicesim.rundir import read_index, read_rows
from devicesim.world.trace import GATEWAY, WORLD
from gateway.core import notes
from gateway.core.collect import notes as collected
from gateway.core.experiments import notes as trials
from gateway.core.offload import notes as offloads
from gateway.core.transfers import notes as transfers

_NOTES: Final = frozenset(note.value for note in NoteKind)
_GATEWAYS: Final[dict[str, str]] = {
    kind: sentence
    for part in (notes, collected, trials, offloads, transfers)
    for kind, sentence in part.SENTENCES.items()
}
_SUBJECT: Final = re.compile(r"(;[^;{}]*:| ?\b([Ii]n|of))? \{subject\}")
"""A trace knows numbers only: sentences of the gateway go without what they are about."""
_EITHER: Final = {
    "bearer": ("has no carrier", "has a carrier again"),
    "connected": ("in a new session", "its session was kept"),
    "delta applied": ("it could not be", "the image is made"),
    "kit ran": ("did not pass", "passed"),
    "power off": ("in good order", "at once"),
}
"""What the first number of a row says: it is 0, or it is not."""
_ROWS: Final[dict[str, Callable[[int], str]]] = {
    "acknowledged": lambda a: f"number {a}",
    "arrived": lambda a: DEVICE_KINDS[a] if 0 <= a < len(DEVICE_KINDS) else "",
    "boot": lambda a: f"boot {a} of its life",
    "conditions": lambda a: f"{a} \N{DEGREE SIGN}C",
    "connect failed": lambda _: "",
    "deadline": lambda _: "",
    "disconnected": lambda _: "",
    "file hashed": lambda _: "",
    "file read": lambda a: "there is none" if a < 0 else plural(a, "byte"),
    "flash full": lambda a: f"no room for {plural(a, 'byte')}",
    "frames ran": lambda a: plural(a, "frame"),
    "frames taken": lambda a: plural(a, "frame"),
    "gateway crash": lambda a: f"{plural(a, 'row')} not durable yet",
    "gateway refuses newer rows": lambda a: plural(a, "row"),
    "gateway start": lambda a: f"after {plural(a, 'crash', 'crashes')}" if a else "",
    "gateway store full": lambda _: "",
    "gateway store writable": lambda _: "",
    "probe ran": lambda a: f"{a} permille off",
    "storage failed": lambda _: "",
    "subscribed": lambda a: f"to {plural(a, 'topic')}",
}
"""What the first number of a row says; its second one is how much came of it, which nobody asks for."""
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

    def whose(actor: int) -> str:
        return devices[actor] if device == "broker" and actor >= 0 else ""

    for block in read_rows(folder):
        mine = block[belongs(block)]
        if around is not None:
            mine = mine[np.abs(mine[:, 0] - around) <= window_ns]
        rows.extend(
            (
                int(t),
                kinds[kind].replace("_", " "),
                ", ".join(filter(None, (whose(actor), words_of(kinds[kind], a, b)))),
            )
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


def words_of(kind: str, a: int, b: int) -> str:
    """What a row of the trace says beside its kind; empty: the kind says it all."""
    if kind in _NOTES:
        return noted(kind, a, b)
    if kind in _GATEWAYS:
        sentence = _SUBJECT.sub("", _GATEWAYS[kind]).strip().replace("{subject}", "it")
        return (sentence[0].upper() + sentence[1:]).format(a=a, b=b)
    if kind in _EITHER:
        return _EITHER[kind][bool(a)]
    if kind in _ROWS:
        return _ROWS[kind](a)
    if kind.startswith("body "):
        return f"at {a} \N{DEGREE SIGN}C"
    if kind.startswith("fault "):
        return f"on {plural(a, 'device')}" if a and kind.startswith("fault begin ") else ""
    return " ".join(f"{name}={value}" for name, value in (("a", a), ("b", b)) if value)
