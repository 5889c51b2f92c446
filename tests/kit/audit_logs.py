"""Audit logs to be tampered with: entries, heads, and the keys that sign them."""

from __future__ import annotations

from devicesdk.bundle.trust import Ed25519Signer, Ed25519Verifier
from gateway.core import rows as core_rows
from gateway.core.audit import rows
from gateway.core.audit.chain import ROLE_AUDIT, Head, read_head
from gateway.core.audit.journal import Entry, Journal, JournalLimits
from gateway.core.audit.rows import AuditRow, HeadRow
from gateway.core.audit.tail import Tail
from gateway.core.effects import Persist

SIGNER = Ed25519Signer(ROLE_AUDIT, bytes([7]) * 32)
STRANGER = Ed25519Signer(ROLE_AUDIT, bytes([8]) * 32)
AUDITOR = Ed25519Verifier({ROLE_AUDIT: (SIGNER.public,)})
START_MS = 1_750_000_000_000


def entry(number: int = 1, **fields: object) -> Entry:
    """What somebody asked for."""
    said = {
        "actor": "ana", "role": "releaser", "verb": "rollout.create", "subject": f"r{number}",
        "arguments": b'{"id":"r%d"}' % number, "outcome": "done", "said": (f"Rollout r{number}.",),
    }  # fmt: skip
    return Entry(**(said | fields))


class Log:
    """A log as a database has it: entries by key, and a head."""

    def __init__(self, signer: Ed25519Signer = SIGNER, limits: JournalLimits | None = None) -> None:
        self.journal = Journal(signer, limits)
        self.entries: dict[str, AuditRow] = {}
        self.head: HeadRow | None = None
        self.heads: list[Head] = []
        """Each that ever was, for whoever kept them."""

    def write(self, *entries: Entry) -> Log:
        """Append entries."""
        for one in entries:
            self.take(self.journal.write(one, START_MS + 1_000 * len(self.heads)))
        return self

    def take(self, rows_of: list[Persist]) -> None:
        """Make rows durable."""
        for row in rows_of:
            if row.table == rows.ENTRY:
                self.entries[row.key] = row.row
            elif row.table == rows.HEAD:
                self.head = row.row
                self.heads.append(read_head(row.row.envelope, AUDITOR))

    @property
    def rows(self) -> list[AuditRow]:
        """Entries in the order of their keys."""
        return [self.entries[key] for key in sorted(self.entries)]

    @property
    def stored(self) -> list[tuple[str, bytes]]:
        """The same as bytes."""
        return [(key, core_rows.encode(self.entries[key])) for key in sorted(self.entries)]


def log_of(count: int) -> Log:
    """A sound log of so many entries."""
    return Log().write(*(entry(number) for number in range(1, count + 1)))


def begun(tail: Tail) -> Journal:
    """The journal of a gateway that was started on this."""
    journal = Journal(SIGNER)
    journal.restore(tail, ())
    return journal
