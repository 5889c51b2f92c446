"""The audit log read a page at a time, for as long as it takes.

Decides how far a round goes: to the head that was signed when it began, however the log grows meanwhile. Leaves out
reading (gateway/runtime/patrol.py) and what is right and wrong (chain.py).

Rule: a round holds a number and a digest, never entries, so a log of any length can be read beside everything else.
"""

from __future__ import annotations

from collections.abc import Iterable

from devicesdk.bundle.trust import Verifier
from gateway.core.audit.chain import GENESIS, Finding, digest_of, link, verify_end
from gateway.core.audit.rows import AuditRow, HeadRow

FINDINGS_MAX = 8
"""Kept of a round: one is enough to worry."""


class Walk:
    """One round.

    Args:
        head: the durable head when it begins; None where nothing was done yet.
    """

    __slots__ = ("_digest", "_head", "findings", "last")

    def __init__(self, head: HeadRow | None) -> None:
        self._head = head
        self._digest = GENESIS
        self.last = 0
        """Number of the last entry that was read."""
        self.findings: list[Finding] = []

    def take(self, page: Iterable[AuditRow]) -> bool:
        """Read on; True while there is more up to the head.

        Args:
            page: entries after number `last`, in order; none at the end of the log.
        """
        end = 0 if self._head is None else self._head.number
        read = False
        for entry in page:
            if entry.number > end:
                return False
            read = True
            self._found(link(entry, self.last, self._digest))
            self.last, self._digest = max(entry.number, self.last + 1), digest_of(entry)
        return read and self.last < end

    def end(self, verifier: Verifier) -> list[Finding]:
        """All is read: what is wrong with the log."""
        self._found(verify_end(self.last, self._digest, self._head, verifier))
        return self.findings

    def _found(self, findings: list[Finding]) -> None:
        self.findings += findings[: FINDINGS_MAX - len(self.findings)]
