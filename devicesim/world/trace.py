"""The trace: everything that happened, in order, hashed as it grows.

Decides the row (instant, actor, kind, two numbers: five signed 64-bit integers) and the digest (a
BLAKE2b over all rows, with a checkpoint every ten virtual minutes, so that two runs that diverge are
bisected to their first difference). Leaves out what a row means to people (report/story.py reads the
vocabulary kept here) and where rows are stored: a sink takes each block.

Rules: only integers enter, and floats only after they were quantised. The order of rows is the order
in which the world did things.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from devicesdk.wire.timebase import MINUTE

ROW_INTS: Final = 5
BLOCK_ROWS: Final = 8192
CHECKPOINT_NS: Final = 10 * MINUTE

GATEWAY: Final = -1
"""The actor number of the gateway; devices count from 0."""
BROKER: Final = -2
WORLD: Final = -3


class Vocabulary:
    """Kinds of rows and their numbers, in the order in which they were declared."""

    __slots__ = ("_numbers", "names")

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The number of a kind; a new name gets the next one."""
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self.names)
            self.names.append(name)
        return found


class Trace:
    """Collects rows.

    Args:
        sink: called with each full block of rows (native-endian int64, `ROW_INTS` a row).
    """

    __slots__ = ("_hash", "_rows", "_sink", "checkpoints", "extend", "rows_flushed", "vocabulary")

    def __init__(self, sink: Callable[[bytes], None] | None = None) -> None:
        self._hash = blake2b(digest_size=16)
        # A list takes a row three times as fast as an array; a block becomes bytes in one go.
        self._rows: list[int] = []
        self._sink = sink
        self.rows_flushed = 0
        self.checkpoints: list[tuple[int, int, str]] = []
        """(instant, rows before it, digest so far)."""
        self.vocabulary = Vocabulary()
        self.extend = self._rows.extend
        """`extend((instant, actor, kind, a, b))`: append one row; the hot path."""

    def row(self, instant: int, actor: int, kind: str, a: int = 0, b: int = 0) -> None:
        """Append one row by the name of its kind."""
        self.extend((instant, actor, self.vocabulary.number(kind), a, b))

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self.rows_flushed + len(self._rows) // ROW_INTS

    def breathe(self) -> None:
        """Hash and hand on what has piled up, when it is a block; call between events."""
        if len(self._rows) >= BLOCK_ROWS * ROW_INTS:
            self._flush()

    def flush(self) -> None:
        """Hash and hand on all that has piled up; the digest does not depend on when."""
        self._flush()

    def checkpoint(self, instant: int) -> None:
        """Note the digest of everything until now."""
        self._flush()
        self.checkpoints.append((instant, self.rows_flushed, self._hash.hexdigest()))

    def close(self) -> str:
        """Flush and return the digest of the whole run, vocabulary included."""
        self._flush()
        whole = self._hash.copy()
        whole.update("\n".join(self.vocabulary.names).encode())
        return whole.hexdigest()

    def _flush(self) -> None:
        if self._rows:
            block = struct.pack(f"{len(self._rows)}q", *self._rows)
            self.rows_flushed += len(self._rows) // ROW_INTS
            del self._rows[:]
            self._hash.update(block)
            if self._sink is not None:
                self._sink(block)
