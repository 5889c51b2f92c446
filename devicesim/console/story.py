"""The story of one device up to now, from the trace of the take, for a page.

Decides how many rows are told, which are everyday, and how alike ones become one line. Leaves out the words of a row
(devicesim/retell.py) and where rows lie (tape.py).
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from devicesdk.wire.timebase import MINUTE, MS
from devicesim.console.player import Player
from devicesim.console.take import Take
from devicesim.console.tape import Block, Row
from devicesim.retell import words_of

ROWS_MAX: Final = 3_000
LINES_MAX: Final = 200
CLOSE_NS: Final = 30 * MINUTE
"""Rows of a kind that come sooner after each other are one line."""
EVERYDAY: Final = frozenset({"deadline", "acknowledged", "arrived", "conditions", "file read"})


class Line(msgspec.Struct, frozen=True):
    """One line; instants are UTC, ms."""

    at_ms: int
    until_ms: int
    what: str
    said: str
    count: int


class Story(msgspec.Struct, frozen=True):
    """The newest lines of a device's story, the newest first."""

    device: str
    lines: list[Line]


class _Where(msgspec.Struct, frozen=True):
    """What it takes to read a story."""

    actor: int
    kinds: tuple[str, ...]
    blocks: tuple[Block, ...]


async def story_of(player: Player, device: str) -> Story | None:
    """What happened to a device; None: there is none of that name.

    Raises:
        NotRunningError: the rehearsal was closed.
    """
    where = await player.look(lambda take: _where(take, device))
    if where is None:
        return None
    rows = await asyncio.to_thread(player.tape.read, where.blocks, where.actor, ROWS_MAX)
    return Story(device, _lines(rows, where.kinds, player.run.start_ms))


def _where(take: Take, device: str) -> _Where | None:
    actor = take.world.numbers.get(device)
    if actor is None:
        return None
    trace = take.world.trace
    trace.flush()
    return _Where(actor, tuple(trace.vocabulary.names), take.tape.blocks)


def _lines(rows: list[Row], kinds: tuple[str, ...], start_ms: int) -> list[Line]:
    runs: list[list[Row]] = []
    for row in rows:
        if kinds[row[1]] in EVERYDAY:
            continue
        last = runs[-1][-1] if runs else None
        if last is not None and last[1] == row[1] and row[0] - last[0] < CLOSE_NS:
            runs[-1].append(row)
        else:
            runs.append([row])
    return [_line(run, kinds, start_ms) for run in reversed(runs[-LINES_MAX:])]


def _line(run: list[Row], kinds: tuple[str, ...], start_ms: int) -> Line:
    t, kind, a, b = run[-1]
    return Line(
        start_ms + run[0][0] // MS,
        start_ms + t // MS,
        kinds[kind].replace("_", " "),
        words_of(kinds[kind], a, b),
        len(run),
    )
