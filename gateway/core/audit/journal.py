"""Writes the audit log, and remembers answers by idempotency key.

Decides an entry's number, link and signature, and when an idempotency key is forgotten. Leaves out
commits: what it returns must be made durable in the commit of the mutation it tells of, so that neither
is ever there without the other.

Rules: one journal writes a log at a time; an entry that was made counts as written, because a commit
that fails ends the gateway and the next start reads what is durable (tail.py says where a log goes on that
somebody has been at).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from devicesdk.bundle.trust import Signer
from gateway.core.audit import rows
from gateway.core.audit.chain import GENESIS, Head, digest_of
from gateway.core.audit.rows import AnswerRow, AuditRow, HeadRow, answer_key
from gateway.core.audit.tail import Tail
from gateway.core.effects import Persist


class JournalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the journal."""

    said_max: int = 16
    """Sentences kept of an answer; more are counted."""
    arguments_bytes_max: int = 16 * 1024
    """Of what was asked; longer is cut, and its digest says what it was."""
    answers_max: int = 10_000
    """Idempotency keys remembered. Full: the oldest is forgotten."""
    answer_ms_max: int = 24 * 3600 * 1000
    """An idempotency key older than this is forgotten."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says, before it is linked."""

    actor: str
    role: str
    verb: str
    subject: str
    arguments: bytes
    outcome: str
    said: tuple[str, ...]


class Journal:
    """The log of one gateway.

    Args:
        signer: of the role ``audit``.
        limits: bounds.
    """

    def __init__(self, signer: Signer, limits: JournalLimits | None = None) -> None:
        self._signer = signer
        self._limits = JournalLimits() if limits is None else limits
        self._number, self._digest = 0, GENESIS
        self._answers: OrderedDict[str, AnswerRow] = OrderedDict()

    @property
    def number(self) -> int:
        """How many entries the log has."""
        return self._number

    def restore(self, tail: Tail, answers: Iterable[tuple[str, AnswerRow]]) -> None:
        """Begin where the durable log ends."""
        self._number, self._digest = tail.number, tail.digest
        self._answers = OrderedDict(sorted(answers, key=lambda item: (item[1].at_ms, item[0])))

    def write(self, entry: Entry, at_ms: int) -> list[Persist]:
        """Append an entry; returns the rows of it and of the new head."""
        row = AuditRow(
            number=self._number + 1,
            at_ms=at_ms,
            actor=entry.actor,
            role=entry.role,
            verb=entry.verb,
            subject=entry.subject,
            arguments=self._short(entry.arguments),
            outcome=entry.outcome,
            said=self._few(entry.said),
            previous=self._digest,
        )
        self._number, self._digest = row.number, digest_of(row)
        sealed = self._signer.seal(msgspec.msgpack.encode(Head(self._number, self._digest, at_ms)))
        return [
            Persist(rows.ENTRY, rows.entry_key(row.number), row),
            Persist(rows.HEAD, rows.HEAD_KEY, HeadRow(self._number, self._digest, sealed)),
        ]

    def answered(self, actor: str, key: str, now_ms: int) -> AnswerRow | None:
        """What was answered to this idempotency key of this actor, while it is remembered."""
        row = self._answers.get(answer_key(actor, key))
        return None if row is None or row.at_ms + self._limits.answer_ms_max < now_ms else row

    def remember(self, actor: str, key: str, answer: AnswerRow) -> list[Persist]:
        """Remember an answer; returns its row, and those of keys that are forgotten."""
        limits, name = self._limits, answer_key(actor, key)
        self._answers[name] = answer
        self._answers.move_to_end(name)
        out = [Persist(rows.ANSWER, name, answer)]
        while self._answers:
            oldest, row = next(iter(self._answers.items()))
            stale = row.at_ms + limits.answer_ms_max < answer.at_ms
            if not stale and len(self._answers) <= limits.answers_max:
                break
            del self._answers[oldest]
            out.append(Persist(rows.ANSWER, oldest, None))
        return out

    def _short(self, arguments: bytes) -> bytes:
        most = self._limits.arguments_bytes_max
        if len(arguments) <= most:
            return arguments
        return msgspec.json.encode(
            {
                "cut": len(arguments),
                "sha256": sha256(arguments).hexdigest(),
                "begins": arguments[: most // 2].decode(errors="replace"),
            }
        )

    def _few(self, said: tuple[str, ...]) -> tuple[str, ...]:
        most = self._limits.said_max
        return said if len(said) <= most else (*said[:most], f"and {len(said) - most} more")
