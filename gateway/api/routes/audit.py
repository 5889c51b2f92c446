"""The audit log: who asked for what, and what came of it."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Response

from gateway.api.answers import shape
from gateway.api.desk import Looked
from gateway.api.models import Order
from gateway.api.paging import LIMIT, Cursor, Limit, cursor_of, number_after
from gateway.core.audit.rows import AuditRow
from gateway.runtime.verbs import VerbError

router = APIRouter(prefix="/audit", tags=["audit"])


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
    said: list[str]
    previous: str
    """Digest of the entry before, hex."""


class AuditPage(msgspec.Struct, frozen=True):
    """Entries by number."""

    entries: list[AuditEntry]
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
    name = f"audit.{order}"
    place, office = number_after(name, cursor), desk.service.office
    if order == "oldest":
        rows = await office.log(desk.asker, place, limit)
        then = rows[-1].number if len(rows) == limit else None
    else:
        head = await office.head(desk.asker)
        last = min(place - 1 if place else 10**15, 0 if head is None else head.number)
        rows = await office.log(desk.asker, max(0, last - limit), min(limit, last)) if last else []
        rows = [row for row in rows if row.number <= last][::-1]
        then = rows[-1].number if rows and rows[-1].number > 1 else None
    after = None if then is None else str(then)
    return desk.answer(AuditPage([_entry(row) for row in rows], cursor_of(name, after)))


@router.get("/head", **shape(AuditHead))
async def show_audit_head(desk: Looked) -> Response:
    """The signed head of the log."""
    head = await desk.service.office.head(desk.asker)
    if head is None:
        raise VerbError("unknown", "expected a log with an entry, found that nothing was done yet")
    return desk.answer(AuditHead(head.number, head.digest.hex(), head.envelope))


def _entry(row: AuditRow) -> AuditEntry:
    arguments = msgspec.json.decode(row.arguments)
    return AuditEntry(
        row.number, row.at_ms, row.actor, row.role, row.verb, row.subject, arguments,
        row.outcome, list(row.said), row.previous.hex(),
    )  # fmt: skip
