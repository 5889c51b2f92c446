"""The audit log as a gateway tells it over HTTP, in the form in which the database holds it.

Decides how an entry of the API becomes the row that its digest is over. Leaves out what is right and wrong
(gateway/core/audit).

Rules: what is verified is what was signed: an entry that the gateway tells otherwise than it is does not hash to what the
next one says; the head is asked for first, and entries past it are left to the next time.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from gateway.client.http import HttpWay
from gateway.client.routes import PREFIX, Request
from gateway.core import rows
from gateway.core.audit.rows import AuditRow, HeadRow, entry_key
from gateway.runtime.verbs import PAGE_ENTRIES_MAX, VerbError

_PATH: Final = f"{PREFIX}/audit"


class RemoteLog:
    """A log by the API; a context manager, as the reader of a database is.

    Args:
        way: to the gateway, for somebody who may read the log.
    """

    def __init__(self, way: HttpWay) -> None:
        self._way = way
        self._head = self._asked_head()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Nothing is held."""

    @property
    def head(self) -> bytes | None:
        """The head as it is stored; None where nothing was done yet."""
        return None if self._head is None else rows.encode(self._head)

    def entries(self) -> Iterator[tuple[str, bytes]]:
        """Key and bytes of entries up to the head, the oldest first."""
        last = 0 if self._head is None else self._head.number
        for row in self._rows("oldest"):
            if row.number > last:
                return
            yield entry_key(row.number), rows.encode(row)

    def newest(self) -> Iterator[AuditRow]:
        """Entries, the newest first."""
        return self._rows("newest")

    def _rows(self, order: str) -> Iterator[AuditRow]:
        cursor = ""
        while True:
            query = [("order", order), ("limit", str(PAGE_ENTRIES_MAX))]
            query += [("cursor", cursor)] * bool(cursor)
            page = self._way.said(Request("GET", _PATH, tuple(query), keyed=True))
            yield from map(_row, page["entries"])
            cursor = page["next"] or ""
            if not cursor:
                return

    def _asked_head(self) -> HeadRow | None:
        try:
            found = self._way.said(Request("GET", f"{_PATH}/head", keyed=True))
        except VerbError as error:
            if error.code == "unknown":
                return None
            raise
        told = msgspec.convert(found, _Head)
        return HeadRow(told.number, bytes.fromhex(told.digest), told.envelope)


class _Head(msgspec.Struct, frozen=True):
    """What is told of a head."""

    number: int
    digest: str
    envelope: bytes


def _row(told: dict[str, Any]) -> AuditRow:
    """The row of an entry. Its arguments keep the order of their names, so they are the bytes that they were."""
    arguments = msgspec.json.encode(told["arguments"])
    return AuditRow(
        told["number"], told["at_ms"], told["actor"], told["role"], told["verb"], told["subject"], arguments,
        told["outcome"], tuple(told["said"]), bytes.fromhex(told["previous"]),
    )  # fmt: skip
