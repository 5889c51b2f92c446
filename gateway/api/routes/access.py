"""Tokens, and requests that wait for a second person."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Path, Response
from pydantic import Field

from devicesdk.wire.timebase import MS, parse_duration
from gateway.api.answers import Said, mutated, plain, shape
from gateway.api.desk import Asked, Looked
from gateway.api.models import Duration, Labels, Request
from gateway.api.paging import LIMIT, Cursor, Limit, after_of, cursor_of, number_after, page
from gateway.api.router import versioned
from gateway.core.access.approvals import ApprovalRow
from gateway.core.access.roles import Role
from gateway.core.access.tokens import TokenRow
from gateway.runtime import verbs
from gateway.runtime.verbs import VerbError

router = versioned(tag="access")
TOKENS, APPROVALS = "tokens", "approvals"
TokenName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$", examples=["ci"])]


class TokenView(msgspec.Struct, frozen=True):
    """One token; its secret is kept nowhere. Instants are UTC, ms; 0: not."""

    name: str
    role: str
    labels: dict[str, str]
    made_ms: int
    made_by: str
    expires_ms: int
    revoked_ms: int
    revoked_by: str


class TokensPage(msgspec.Struct, frozen=True):
    """Tokens in the order of their names, ended ones too."""

    tokens: list[TokenView]
    next: str | None


class MadeToken(msgspec.Struct, frozen=True):
    """A token: its text is answered this once."""

    name: str
    token: str


class NewToken(Request):
    """A token for somebody; names are never used twice."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", examples=["ci"])
    role: Role
    life: Duration = Field(default="90d", description="At most 366 days.", examples=["90d"])
    labels: Labels = Field(
        default={}, description="Scope: only devices that carry all of these; empty: all."
    )


class ApprovalView(msgspec.Struct, frozen=True):
    """One request. Instants are UTC, ms; 0: not yet."""

    number: int
    asked: Any
    """The verb that waits, with its arguments."""
    asked_by: str
    role: str
    asked_ms: int
    state: str
    """waits, approved, denied or lapsed."""
    decided_by: str
    decided_ms: int
    why: str


class ApprovalsPage(msgspec.Struct, frozen=True):
    """Requests, the oldest first."""

    approvals: list[ApprovalView]
    next: str | None


class Decision(Request):
    """Why."""

    why: str = Field(default="", max_length=1_000)


@router.get("/tokens", **shape(TokensPage))
async def list_tokens(desk: Looked, cursor: Cursor = "", limit: Limit = LIMIT) -> Response:
    """A page of tokens; never a secret."""
    found = [_token(row) for row in desk.service.office.tokens(desk.asker)]
    tokens, then = page(found, lambda one: one.name, after_of(TOKENS, cursor), limit)
    return desk.answer(TokensPage(tokens, cursor_of(TOKENS, then)))


@router.post("/tokens", **shape(MadeToken, 201, "Its text, said this once."))
async def make_token(desk: Looked, asked: NewToken) -> Response:
    """Make a token. Asked again it is refused, because its name is taken: an answer with a secret is not kept."""
    try:
        life_ms = parse_duration(asked.life) // MS
    except ValueError as error:
        raise VerbError("invalid", f"life: {error}") from error
    text = await desk.service.office.make_token(
        desk.asker, asked.name, asked.role, life_ms=life_ms, labels=asked.labels
    )
    return plain(MadeToken(asked.name, text), 201)


@router.delete("/tokens/{name}", **shape(Said))
async def revoke_token(desk: Asked, name: TokenName) -> Response:
    """End a token; a second time changes nothing."""
    return mutated(await desk.do(verbs.RevokeToken(name=name)))


@router.get("/approvals", **shape(ApprovalsPage))
async def list_approvals(desk: Looked, cursor: Cursor = "", limit: Limit = LIMIT) -> Response:
    """A page of requests for a second person, decided ones too."""
    found = sorted(desk.service.office.approvals(desk.asker), key=lambda row: row.number)
    after = f"{number_after(APPROVALS, cursor):015d}"
    rows, then = page(found, lambda row: f"{row.number:015d}", after, limit)
    return desk.answer(ApprovalsPage([_approval(row) for row in rows], cursor_of(APPROVALS, then)))


@router.post("/approvals/{number}/{how}", **shape(Said))
async def decide_approval(
    desk: Looked,
    number: Annotated[int, Path(ge=1, le=10**12)],
    how: Literal["approve", "deny"],
    asked: Decision,
) -> Response:
    """Approve (and do) or deny what somebody else asked for."""
    result = await desk.service.office.decide(
        desk.asker, number, approve=how == "approve", why=asked.why
    )
    return mutated(result)


def _token(row: TokenRow) -> TokenView:
    return TokenView(
        row.name, row.role, dict(row.labels), row.made_ms, row.made_by, row.expires_ms,
        row.revoked_ms, row.revoked_by,
    )  # fmt: skip


def _approval(row: ApprovalRow) -> ApprovalView:
    asked = msgspec.json.decode(row.verb)
    return ApprovalView(
        row.number, asked, row.asked_by, row.role, row.asked_ms, row.state, row.decided_by,
        row.decided_ms, row.why,
    )  # fmt: skip
