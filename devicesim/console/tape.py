"""What happened, kept while a run is repeated, so that a device's story can be told of any instant of it.

Decides where the blocks of a trace lie (a file that is gone with the process, each block compressed by itself, so that reading
begins anywhere) and which rows are one device's. Leaves out what they mean (story.py).

Rules: the file grows with the run and with nothing else; a story reads backwards and ends when it has enough.
"""

from __future__ import annotations

import os
import zlib
from tempfile import TemporaryFile
from typing import Final, NamedTuple

import numpy as np

from devicesim.world.trace import ROW_INTS

LEVEL: Final = 1
Row = tuple[int, int, int, int]
"""Instant, kind, and the two numbers."""


class Block(NamedTuple):
    """Where a block of rows lies."""

    offset: int
    size_bytes: int


class Tape:
    """Takes the blocks of a trace. One thread writes, others may read what was written."""

    def __init__(self) -> None:
        self._file = TemporaryFile(prefix="fleetdrill-console-")  # noqa: SIM115 - closed by `close`
        self._blocks: list[Block] = []
        self._end = 0

    def __call__(self, block: bytes) -> None:
        """Take one block."""
        packed = zlib.compress(block, LEVEL)
        self._file.seek(self._end)
        self._file.write(packed)
        self._file.flush()
        self._blocks.append(Block(self._end, len(packed)))
        self._end += len(packed)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All that was taken so far."""
        return tuple(self._blocks)

    def clear(self) -> None:
        """Forget everything: the run begins anew."""
        self._blocks.clear()
        self._file.truncate(0)
        self._end = 0

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def read(self, blocks: tuple[Block, ...], actor: int, rows_max: int) -> list[Row]:
        """The newest rows of one actor, the oldest of them first.

        Args:
            blocks: where to look, the oldest first.
            actor: its number in the trace.
            rows_max: no more than these.
        """
        found: list[list[Row]] = []
        have = 0
        for offset, size in reversed(blocks):
            packed = os.pread(self._file.fileno(), size, offset)
            rows = np.frombuffer(zlib.decompress(packed), dtype=np.int64).reshape(-1, ROW_INTS)
            mine = rows[rows[:, 1] == actor]
            found.append([(t, kind, a, b) for t, _, kind, a, b in mine.tolist()])
            have += len(mine)
            if have >= rows_max:
                break
        flat = [row for rows_of in reversed(found) for row in rows_of]
        return flat[-rows_max:]
