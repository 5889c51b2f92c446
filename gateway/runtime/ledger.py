"""Makes what is written down durable: audit entries, and rows of which the core knows nothing.

Decides what an entry says of a verb, and where the log goes on after a start. Leaves out who may do what (office.py).

Rules: entries are written in a turn of the runtime and nowhere else, so their order is the order of what they tell of;
what was made in memory for a life that has ended is never made durable in the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from devicesdk.bundle.trust import Verifier
from gateway.core.access.tokens import AccessError, Asker
from gateway.core.audit import rows as audit
from gateway.core.audit.chain import Finding, Head
from gateway.core.audit.journal import Entry, Journal
from gateway.core.audit.tail import Tail, tail_of
from gateway.core.effects import Persist
from gateway.runtime.askable import Askable
from gateway.runtime.life import Guard, Notes, Record
from gateway.runtime.logs import say
from gateway.runtime.operator import Operator, Prepared
from gateway.runtime.permissions import arguments_of, subject_of, tag_of
from gateway.runtime.verbs import AnyVerb, VerbError

PAGE_ROWS: Final = 1_000
OURSELVES: Final = "gateway"
"""Who found what is wrong with the log; no token has a role of that name."""


class Ledger:
    """Writes down.

    Args:
        runtime: where rows become durable.
        operator: hands mutations to it.
        journal: makes entries.
        wall_ms: UTC now.
    """

    def __init__(
        self, runtime: Askable, operator: Operator, journal: Journal, wall_ms: Callable[[], int]
    ) -> None:
        self._runtime, self._operator = runtime, operator
        self.journal, self.wall_ms = journal, wall_ms
        self._life = 0
        """Of which start of the runtime our memory is."""
        self.findings: tuple[Finding, ...] = ()
        """What was wrong with the end of the log at the last start."""

    async def restore(self, verifier: Verifier, kept: Sequence[Head]) -> None:
        """Take what is durable.

        Args:
            verifier: knows the audit keys.
            kept: heads that were kept outside of the database.
        """
        tail = await self._tail(verifier, max(kept, key=lambda head: head.number, default=None))
        self.journal.restore(tail, await self.all_of(audit.ANSWER))
        self._life, self.findings = self._runtime.counters.starts, tail.findings
        if not tail.findings:
            return
        stories = tuple(finding.story for finding in tail.findings)
        say(logging.CRITICAL, "the audit log is not what it was", found="; ".join(stories),
            hint="run `fleetdrill audit verify`, keep the database as it is, and find out who was there")  # fmt: skip
        entry = Entry(
            actor=OURSELVES, role=OURSELVES, verb="audit.broken", subject="", arguments=b"{}",
            outcome="found", said=stories,
        )  # fmt: skip
        await self.write(lambda at: self.journal.write(entry, at))

    async def submit(self, prepared: Prepared, record: Record, guard: Guard | None = None) -> Notes:
        """Hand a mutation to the core together with what is written down of it.

        Raises:
            VerbError: it was not done, or nobody knows.
        """
        if self._life != self._runtime.counters.starts:
            raise VerbError("stopped", "the gateway was started again and is not ready yet")
        return await self._operator.submit(prepared, record, guard)

    async def write(self, work: Callable[[int], list[Persist]], guard: Guard | None = None) -> None:
        """Make rows durable that the core knows nothing of; `work` makes them, in turn.

        Raises:
            VerbError: `work` raised an `AccessError`, the guard spoke, or the gateway ended.
        """
        wrong: list[AccessError] = []

        def record(_: Notes, refusal: Exception | None) -> list[Persist]:
            if refusal is not None:
                return []
            try:
                return work(self.wall_ms())
            except AccessError as error:
                wrong.append(error)
                return []

        await self.submit(Prepared(()), record, guard)
        if wrong:
            raise VerbError(wrong[0].code, str(wrong[0]))

    async def all_of(self, table: str) -> list[tuple[str, Any]]:
        """All durable rows of a table that is bounded."""
        found: list[tuple[str, Any]] = []
        after = ""
        while page := await self._runtime.page(table, after, PAGE_ROWS):
            found += page
            after = page[-1][0]
        return found

    async def _tail(self, verifier: Verifier, kept: Head | None) -> Tail:
        heads = await self.all_of(audit.HEAD)
        head: audit.HeadRow | None = heads[0][1] if heads else None
        # Nothing before the head's number is read, except where that is a lie.
        start = 0 if head is None else max(head.number - 1, 0)
        last = await self._last_after(start) or await self._last_after(0)
        at_kept = None if kept is None else await self._entry(kept.number)
        return tail_of(last, head, verifier, kept, at_kept)

    async def _last_after(self, number: int) -> audit.AuditRow | None:
        last: audit.AuditRow | None = None
        after = audit.entry_key(number)
        while page := await self._runtime.page(audit.ENTRY, after, PAGE_ROWS):
            after, last = page[-1]
        return last

    async def _entry(self, number: int) -> audit.AuditRow | None:
        page = await self._runtime.page(audit.ENTRY, audit.entry_key(number - 1), 1)
        found: audit.AuditRow | None = page[0][1] if page else None
        return found if found is not None and found.number == number else None


def entry_of(asker: Asker, verb: AnyVerb, outcome: str, said: tuple[str, ...]) -> Entry:
    """What is written of a verb."""
    return Entry(
        actor=asker.name, role=asker.role.value, verb=tag_of(verb), subject=subject_of(verb),
        arguments=arguments_of(verb), outcome=outcome, said=said,
    )  # fmt: skip


def plain_entry(
    asker: Asker,
    verb: str,
    subject: str,
    arguments: dict[str, Any],
    why: str = "",
) -> Entry:
    """The same of something that is no verb of the core; `why` it was refused, if it was."""
    return Entry(
        actor=asker.name, role=asker.role.value, verb=verb, subject=subject,
        arguments=msgspec.json.encode(arguments, order="deterministic"),
        outcome="refused" if why else "done", said=(why,) if why else (),
    )  # fmt: skip
