"""Durable rows of the audit log. They stand beside the machines' rows and are not read at a start.

Rules: the fields of `AuditRow` and `Head` never change, because digests are over their bytes: an entry of another
kind gets a table of its own; an entry's arguments never hold a secret.
"""

from __future__ import annotations

from typing import Final

from gateway.core.rows import Row


class AuditRow(Row, frozen=True, array_like=True, gc=False):
    """One entry; the key is its number, twelve digits."""

    number: int
    """From 1, without gaps."""
    at_ms: int
    """UTC."""
    actor: str
    """Name of the token, or of the local account that came through the door."""
    role: str
    verb: str
    """What was asked for, such as ``rollout.create``."""
    subject: str
    """Whom it concerns: a rollout, a flag, a device."""
    arguments: bytes
    """Canonical JSON of what was asked."""
    outcome: str
    """``done``, ``refused``, ``waits`` (for a second person) or ``found`` (by the gateway itself)."""
    said: tuple[str, ...]
    """What the gateway answered, for people."""
    previous: bytes
    """Digest of the entry before; of the first: 32 zeros."""


class HeadRow(Row, frozen=True, array_like=True, gc=False):
    """The newest entry's number and digest, sealed; there is one row."""

    number: int
    digest: bytes
    envelope: bytes
    """A `Signed` of the role ``audit`` around `Head`."""


class AnswerRow(Row, frozen=True, array_like=True, gc=False):
    """What was answered to an idempotency key; the key is actor and that key, a line end between."""

    at_ms: int
    fingerprint: bytes
    """SHA-256 of what was asked."""
    status: int
    body: bytes
    """JSON."""


ENTRY: Final = "audit.entry"
HEAD: Final = "audit.head"
ANSWER: Final = "audit.answer"
HEAD_KEY: Final = "head"

TABLES: Final[dict[str, type[Row]]] = {ENTRY: AuditRow, HEAD: HeadRow, ANSWER: AnswerRow}
"""Table name to the type of its rows."""


def entry_key(number: int) -> str:
    """The key of an entry: numbers sort as text."""
    return f"{number:012d}"


def answer_key(actor: str, key: str) -> str:
    """The key of an answer. No header and no name holds a line end; PostgreSQL's text holds no NUL."""
    return f"{actor}\n{key}"
