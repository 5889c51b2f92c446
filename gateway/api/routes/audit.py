"""The audit log: who asked for what, and what came of it."""

from __future__ import annotations

import msgspec
from fastapi import Response

from gateway.api.answers import shape
from gateway.api.desk import Looked
from gateway.api.models import Order
from gateway.api.paging import LIMIT, Cursor, Limit, cursor_of, number_after
from gateway.api.router import versioned
from gateway.runtime.log_book import AuditEntry
from gateway.runtime.verbs import VerbError

router = versioned("/audit", "audit")


class AuditPage(msgspec.Struct, frozen=True):
    """Entries by number."""

    entries: list[AuditEntry]
    next: str | None


class _Written(msgspec.Struct, frozen=True):
    """An `AuditPage` of entries that are written already."""

    entries: list[msgspec.Raw]
    next: str | None


class AuditHead(msgspec.Struct, frozen=True):
    """The newest entry's number and digest, signed: keep it elsewhere, as a witness."""

    number: int
    digest: str
    envelope: bytes
    """A signed envelope of the role `audit`, base64."""


@router.get("", **shape(AuditPage))
async def list_audit(
    desk: Looked,
    order: Order = "oldest",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> Response:
    """A page of entries, the oldest first or the newest."""
    name, book = f"audit.{order}", desk.service.office.book(desk.asker)
    page = await book.page(number_after(name, cursor), limit, newest=order == "newest")
    after = cursor_of(name, page.next)
    return desk.answer(_Written(page.raws, after), page.tag(after or ""))


@router.get("/head", **shape(AuditHead))
async def show_audit_head(desk: Looked) -> Response:
    """The signed head of the log."""
    head = await desk.service.office.head(desk.asker)
    if head is None:
        raise VerbError("unknown", "expected a log with an entry, found that nothing was done yet")
    return desk.answer(AuditHead(head.number, head.digest.hex(), head.envelope))
