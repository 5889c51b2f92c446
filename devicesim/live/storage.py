"""The gateway's real rows, with a disk that a fault can fill.

Decides only that no commit succeeds while it is full, as SQLite's SQLITE_FULL says it. Leaves out the rows
(gateway/adapters/storage.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.ports import Storage


class LiveStorage:
    """A `Storage` that can be full.

    Args:
        kept: the real one.
    """

    def __init__(self, kept: Storage) -> None:
        self._kept = kept
        self.full = False
        """Whether commits fail."""

    def put(self, table: str, key: str, row: Any) -> None:
        """Put a row into the open batch."""
        self._kept.put(table, key, row)

    def commit(self) -> int:
        """Make the open batch durable.

        Raises:
            StorageError: the disk is full; the batch is still open.
        """
        if self.full:
            raise StorageError("expected room for a commit, found the disk full: make room")
        return self._kept.commit()

    def forget(self) -> int:
        """Throw the open batch away."""
        return self._kept.forget()

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """All durable rows."""
        return self._kept.rows()

    def page(self, table: str, after: str, limit: int) -> list[tuple[str, Any]]:
        """Some durable rows of a table."""
        return self._kept.page(table, after, limit)

    def close(self) -> None:
        """Release the files."""
        self._kept.close()
