"""Pages of the audit log as somebody reads it: entries written as JSON, and kept.

Decides how an entry is shown and how many are kept written. Leaves out who may read the log (office.py) and whether it
is whole (gateway/core/audit).

Rules: a durable entry never changes, unless somebody forges the log: what is kept is read again after `KEPT_S`, so
that whoever verifies the log over the API sees the stored one. What is not durable is not shown. A page that ends where the log does is read from storage, whatever was kept.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

import msgspec

from gateway.core.audit import rows
from gateway.core.audit.journal import Journal
from gateway.core.audit.rows import AuditRow
from gateway.runtime.askable import Askable
from gateway.runtime.operator import told
from gateway.runtime.written import Page, Text, page_of, write

KEPT_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of entries that are kept written: ten thousand usual ones. Full: the first that was written goes."""
KEPT_S: Final = 5.0
"""How old what is shown may be."""


class AuditEntry(msgspec.Struct, frozen=True):
    """One entry."""

    number: int
    at_ms: int
    actor: str
    role: str
    verb: str
    subject: str
    arguments: Any
    outcome: str
    said: tuple[str, ...]
    previous: str
    """Digest of the entry before, hex."""


class Numbered(NamedTuple):
    """An entry's number, how it is shown, and how long that is believed."""

    number: int
    text: Text
    until_s: float
    """By the loop's clock."""


def entry_view(row: AuditRow) -> AuditEntry:
    """An entry as it is shown."""
    return AuditEntry(
        row.number, row.at_ms, row.actor, row.role, row.verb, row.subject,
        msgspec.json.decode(row.arguments), row.outcome, row.said, row.previous.hex(),
    )  # fmt: skip


class LogBook:
    """Reads the log of one gateway.

    Args:
        runtime: where rows are durable.
        journal: writes the log.
    """

    def __init__(self, runtime: Askable, journal: Journal) -> None:
        self._runtime, self._journal = runtime, journal
        self._kept: dict[int, Numbered] = {}
        self._bytes = 0

    async def rows(self, after: int, limit: int) -> list[AuditRow]:
        """Up to `limit` entries after number `after`."""
        found = await self._runtime.page(rows.ENTRY, rows.entry_key(max(after, 0)), limit)
        return [row for _, row in found]

    async def last(self) -> int:
        """The number of the newest entry that is durable; 0: there is none. Raises `VerbError`."""
        with told():
            return await self._runtime.read(lambda _: self._journal.number)

    async def page(self, place: int, limit: int, *, newest: bool) -> Page:
        """A page of the log.

        Args:
            place: number of the last entry that was seen; 0: begin.
            limit: how many entries at most.
            newest: from the end.

        Raises:
            VerbError: ``busy`` or ``stopped``.
        """
        if newest:
            found = await self._newest(place or None, limit)
            more = bool(found) and found[-1].number > 1
        else:
            found = await self._oldest(place, limit)
            more = len(found) == limit
        return page_of([entry.text for entry in found], str(found[-1].number) if more else None)

    async def _oldest(self, after: int, limit: int) -> list[Numbered]:
        """Up to `limit` entries after number `after`, the oldest first."""
        after = max(after, 0)
        whole, now_s = after + limit <= await self.last(), asyncio.get_running_loop().time()
        wanted = range(after + 1, after + limit + 1)
        if whole and all(self._believed(number, now_s) for number in wanted):
            return [self._kept[number] for number in wanted]
        return [self._keep(row, now_s + KEPT_S) for row in await self.rows(after, limit)]

    async def _newest(self, before: int | None, limit: int) -> list[Numbered]:
        """Up to `limit` entries before number `before`, the newest first; None: from the end of the log."""
        last = await self.last()
        if before is not None:
            last = min(last, before - 1)
        if last < 1:
            return []
        page = await self._oldest(last - limit, min(limit, last))
        return [entry for entry in page if entry.number <= last][::-1]

    def _believed(self, number: int, now_s: float) -> bool:
        known = self._kept.get(number)
        return known is not None and known.until_s > now_s

    def _keep(self, row: AuditRow, until_s: float) -> Numbered:
        made = Numbered(row.number, write(entry_view(row)), until_s)
        self._forget(row.number)
        self._kept[row.number] = made
        self._bytes += len(made.text.raw)
        while self._bytes > KEPT_BYTES_MAX:
            self._forget(next(iter(self._kept)))
        return made

    def _forget(self, number: int) -> None:
        known = self._kept.pop(number, None)
        if known is not None:
            self._bytes -= len(known.text.raw)
