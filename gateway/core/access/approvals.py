"""Mutations that wait for a second person.

Decides when one may be approved, and by whom. Leaves out what is done then: whoever asked for it is the one
whose verb is done, with the approver's name beside it.

Rules: nobody approves what they asked for; a request that nobody looked at in time has lapsed; what was decided
stays decided. Two names are not always two people: whoever may make tokens can make a second one. The log
says who made it.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

import msgspec

from devicesdk.wire import limits
from gateway.core.access.tokens import AccessError
from gateway.core.effects import Persist
from gateway.core.rows import Row

APPROVAL: Final = "access.approval"
WAITS, APPROVED, DENIED, LAPSED = "waits", "approved", "denied", "lapsed"
LIFE_MS: Final = 24 * 3600 * 1000
WAITING_MAX: Final = 100
"""Requests that wait. Full: the next is refused."""
WAITING_EACH_MAX: Final = 20
"""Of one name, so that nobody alone can keep all others from asking."""
KEPT_MAX: Final = 1_000
"""Requests kept, decided ones included. Full: the oldest that does not wait is forgotten; the audit log has it."""


class ApprovalRow(Row, frozen=True, array_like=True, gc=False):
    """One request; the key is its number, twelve digits. Instants are UTC, ms; 0: not yet."""

    number: int
    verb: bytes
    """What was asked for, as JSON."""
    asked_by: str
    role: str
    asked_ms: int
    state: str = WAITS
    decided_by: str = ""
    decided_ms: int = 0
    why: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """Scope of whoever asked."""


class Approvals:
    """Requests of a gateway, open and decided."""

    def __init__(self) -> None:
        self._by_number: dict[int, ApprovalRow] = {}
        self._next = 1

    def restore(self, stored: list[tuple[str, ApprovalRow]]) -> None:
        """Take durable rows."""
        self._by_number = {row.number: row for _, row in stored}
        self._next = max(self._by_number, default=0) + 1

    def rows(self, now_ms: int) -> list[ApprovalRow]:
        """All requests, the oldest first, with lapsed ones told as such."""
        return [self._as_of(row, now_ms) for row in self._by_number.values()]

    def waiting(self, now_ms: int) -> int:
        """How many wait; at most `WAITING_MAX`."""
        return sum(row.state == WAITS for row in self.rows(now_ms))

    def ask(
        self,
        verb: bytes,
        asked_by: str,
        role: str,
        now_ms: int,
        labels: tuple[tuple[str, str], ...] = (),
    ) -> tuple[ApprovalRow, list[Persist]]:
        """Put a request down.

        Raises:
            AccessError: ``invalid``: too many wait.
        """
        waiting = [row for row in self.rows(now_ms) if row.state == WAITS]
        own = sum(row.asked_by == asked_by for row in waiting)
        if len(waiting) >= WAITING_MAX or own >= WAITING_EACH_MAX:
            raise AccessError(
                "invalid",
                f"{len(waiting)} requests wait for approval already, {own} of them {asked_by}'s: have some "
                "decided first",
            )
        row = ApprovalRow(self._next, verb, asked_by, role, now_ms, labels=labels)
        self._next += 1
        return row, [*self._kept(row), *self._forgotten(now_ms)]

    def check(self, number: int, by: str, now_ms: int, why: str = "") -> ApprovalRow:
        """The request, if it may be decided by this one now, for this reason.

        Raises:
            AccessError: ``unknown``, ``forbidden`` (one's own), or ``invalid`` (decided or lapsed, or a
                reason that is too long).
        """
        row = self._by_number.get(number)
        if row is None:
            raise AccessError("unknown", f"expected the number of a request, found {number}")
        row = self._as_of(row, now_ms)
        if row.state != WAITS:
            raise AccessError("invalid", f"request {number} is {row.state} already")
        if row.asked_by == by:
            raise AccessError(
                "forbidden", f"request {number} is {by}'s own: somebody else must decide"
            )
        if len(why) > limits.REASON_CHARS_MAX:
            raise AccessError(
                "invalid", f"expected a reason of at most {limits.REASON_CHARS_MAX} characters"
            )
        return row

    def decide(
        self, number: int, by: str, now_ms: int, *, approve: bool, why: str
    ) -> tuple[ApprovalRow, list[Persist]]:
        """Approve or deny a request.

        Raises:
            AccessError: as `check`.
        """
        row = self.check(number, by, now_ms, why)
        state = APPROVED if approve else DENIED
        row = msgspec.structs.replace(row, state=state, decided_by=by, decided_ms=now_ms, why=why)
        return row, self._kept(row)

    def _kept(self, row: ApprovalRow) -> list[Persist]:
        self._by_number[row.number] = row
        return [Persist(APPROVAL, f"{row.number:012d}", row)]

    def _forgotten(self, now_ms: int) -> list[Persist]:
        out: list[Persist] = []
        over = len(self._by_number) - KEPT_MAX
        if over > 0:
            ended = (row.number for row in self.rows(now_ms) if row.state != WAITS)
            for number in islice(ended, over):
                del self._by_number[number]
                out.append(Persist(APPROVAL, f"{number:012d}", None))
        return out

    @staticmethod
    def _as_of(row: ApprovalRow, now_ms: int) -> ApprovalRow:
        if row.state == WAITS and row.asked_ms + LIFE_MS <= now_ms:
            return msgspec.structs.replace(row, state=LAPSED)
        return row
