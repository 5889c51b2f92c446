"""Where verbs are asked for: may they, did they ask before, does a second person have to agree; and it is
written down.

Decides the order of these questions. Leaves out how verbs are done (operator.py), what is written (ledger.py), keys
(once.py), tokens (clerk.py), scopes (scopes.py), and by which door somebody came (door.py, gateway/api).

Rules: a mutation, its audit entry and the answer to its idempotency key become durable in one commit or not
at all, so a key that is asked again after a crash finds its answer exactly when the mutation is there; so do
an approval and what is done by it; who is not allowed to change something is written down too; questions are not.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, NoReturn

import msgspec

from devicesdk.bundle.trust import Verifier
from devicesdk.wire.timebase import MS, parse_duration
from gateway.adapters.rehearsing import Rehearsing
from gateway.config import RehearsalSection
from gateway.core.access.approvals import APPROVAL, ApprovalRow, Approvals
from gateway.core.access.roles import Permission, Role, allowed
from gateway.core.access.tokens import AccessError, Asker, TokenRow
from gateway.core.audit import rows as audit
from gateway.core.audit.chain import Finding, Head
from gateway.core.audit.journal import Journal
from gateway.core.audit.rows import AuditRow, HeadRow
from gateway.core.effects import Persist
from gateway.core.gateway import Gateway
from gateway.core.recovery import BY_RESTORE, RESTORED, RESTORED_KEY, RestoredRow
from gateway.ports import Tracing, Untraced
from gateway.runtime import verbs
from gateway.runtime.askable import Askable
from gateway.runtime.clerk import Clerk
from gateway.runtime.ledger import Ledger, entry_of, plain_entry
from gateway.runtime.life import Guard, GuardError, Notes, Record
from gateway.runtime.log_book import LogBook, entry_view
from gateway.runtime.once import KEY_CHARS_MAX, Keys, Once
from gateway.runtime.operator import Operator, Prepared
from gateway.runtime.permissions import (
    NEEDS,
    arguments_of,
    in_name_of,
    in_scope,
    second_person,
    tag_of,
)
from gateway.runtime.rehearsals import Rehearsals
from gateway.runtime.scopes import guard_within, look_within
from gateway.runtime.tracing import told as traced
from gateway.runtime.verbs import (
    PAGE_ENTRIES_MAX,
    AnyVerb,
    CancelRehearsal,
    Clerical,
    ListRehearsals,
    Mutation,
    Reading,
    RehearsalWish,
    RehearsePlan,
    RehearseRollout,
    ShowRehearsal,
    ShowShape,
    VerbError,
)

__all__ = ["KEY_CHARS_MAX", "Local", "Office", "Once"]
_TURNS: Final = re.compile(rb"\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
"""U+202A to U+202E and U+2066 to U+2069 in UTF-8 (Unicode, UAX #9): letters of any script need none of them."""
_VERBS: Final = msgspec.json.Decoder(AnyVerb)


class Office:
    """Does verbs for somebody.

    Args:
        runtime: where rows become durable.
        operator: does verbs on it.
        journal: writes the audit log.
        wall_ms: UTC now.
        entropy: gives so many unguessable bytes.
        second: verbs (such as ``rollout.create``) that a second person must approve.
        rules: whether rollouts must be rehearsed.
        rehearsing: runs rehearsals; None: there is no place for it.
        tracing: is told of each verb.

    Raises:
        ValueError: a name in `second` is no mutation's.
    """

    def __init__(
        self,
        runtime: Askable,
        operator: Operator,
        journal: Journal,
        *,
        wall_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        second: frozenset[str] = frozenset(),
        rules: RehearsalSection = RehearsalSection(),  # noqa: B008 - frozen
        rehearsing: Rehearsing | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._runtime, self._operator, self._journal = runtime, operator, journal
        self._wall_ms, self._second = wall_ms, second_person(second)
        self._ledger = Ledger(runtime, operator, journal, wall_ms)
        self._clerk, self._keys = Clerk(self._ledger, entropy), Keys(journal, wall_ms)
        self._approvals, self._book = Approvals(), LogBook(runtime, journal)
        self._tracing: Tracing = Untraced() if tracing is None else tracing
        self.rehearsals = Rehearsals(runtime, self._ledger, rules, rehearsing)

    async def restore(self, verifier: Verifier, kept: Sequence[Head] = ()) -> None:
        """Take what is durable; after each start of the runtime.

        Args:
            verifier: knows the audit keys.
            kept: heads of the audit log that were kept outside of the database.
        """
        await self._clerk.restore()
        self._approvals.restore(await self._ledger.all_of(APPROVAL))
        await self._ledger.restore(verifier, kept)
        await self.rehearsals.restore()
        for _, row in await self._ledger.all_of(RESTORED):
            await self._ledger.write(partial(self._told_restored, row))

    def _told_restored(self, row: RestoredRow, at: int) -> list[Persist]:
        """The log goes on where the backup's ends, and says why."""
        local = Asker(BY_RESTORE, Role.ADMIN)
        told = {"made_ms": row.made_ms, "restored_ms": row.restored_ms, "killed": row.killed}
        entry = plain_entry(local, "gateway.restore", "", told)
        return [*self._journal.write(entry, at), Persist(RESTORED, RESTORED_KEY, None)]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was wrong with the end of the audit log at the last start."""
        return self._ledger.findings

    def who(self, token: str) -> Asker:
        """Whose token this is.

        Raises:
            AccessError: nobody's that may come in.
        """
        return self._clerk.who(token)

    # -- verbs ----------------------------------------------------------------------------------

    async def do(
        self,
        asker: Asker,
        verb: AnyVerb,
        once: Once | None = None,
        guard: Guard | None = None,
    ) -> Any:
        """Do a verb for somebody; returns what can be written as JSON.

        Args:
            asker: for whom.
            verb: what.
            once: do it once for this key, however often it is asked.
            guard: looks at the core in the mutation's turn; a word of it stops the mutation.

        Raises:
            VerbError: it was not done: the codes of `verbs.VerbError`, and ``forbidden``, ``conflict`` (the
                same key is under way) or ``mismatch`` (the key was used for something else).
        """
        if not self._tracing.on:
            return await self._do(asker, verb, once, guard)
        return await traced(self._tracing, verb, lambda: self._do(asker, verb, once, guard))

    async def _do(self, asker: Asker, verb: AnyVerb, once: Once | None, guard: Guard | None) -> Any:
        if isinstance(verb, RehearsalWish):
            return await self._keys.once(
                asker.name, once, partial(self._rehearsed, asker, verb, once)
            )
        if isinstance(verb, verbs.RevokeToken):
            return await self._keys.once(
                asker.name, once, partial(self._revoked, asker, verb.name, once)
            )
        if isinstance(verb, Clerical):
            return await self._clerical(asker, verb)
        if isinstance(verb, Reading):
            self._may(asker, NEEDS[type(verb)])
            return await look_within(asker, verb, self._operator.look)
        verb = in_name_of(asker, verb)
        _refuse_unwritable(verb)
        if not (allowed(asker.role, NEEDS[type(verb)]) and in_scope(asker, verb)):
            await self._told_off(asker, verb)
        within = self.rehearsals.guarded(verb, guard_within(asker, verb, guard))
        return await self._keys.once(
            asker.name, once, lambda: self._done(asker, verb, once, within)
        )

    async def see(self, asker: Asker, verb: Reading) -> Any:
        """Answer a question for somebody, as values of the core: for those who write them down themselves.

        Raises:
            VerbError: ``forbidden``, or there is no answer.
        """
        self._may(asker, NEEDS[type(verb)])
        return await look_within(asker, verb, self._operator.see)

    def may(self, asker: Asker, permission: Permission) -> None:
        """Let somebody do what is no verb and changes nothing that the core knows, such as sending bytes.

        Raises:
            VerbError: ``forbidden``.
        """
        self._may(asker, permission)

    async def _done(
        self, asker: Asker, verb: Mutation, once: Once | None, guard: Guard | None
    ) -> Any:
        prepared = await self._operator.prepare(verb)
        if tag_of(verb) in self._second or self.rehearsals.overridden(verb):
            return await self._put_down(asker, verb, once, guard)
        record = self._record(asker, verb, prepared, once)
        return prepared.result(await self._ledger.submit(prepared, record, guard))

    def _record(
        self, asker: Asker, verb: Mutation, prepared: Prepared, once: Once | None, by: str = ""
    ) -> Record:
        """What becomes durable with a mutation."""

        def record(said: Notes, refusal: Exception | None) -> list[Persist]:
            at, told = self._wall_ms(), prepared.sentences(said)
            try:
                answer = {"ok": True, "result": prepared.result(said, refusal)}
                outcome = "done"
            except VerbError as error:
                outcome, told = "refused", told or [str(error)]
                answer = {"ok": False, "code": error.code, "error": str(error)}
            if by:
                told = [f"Approved by {by}.", *told]
            return [
                *self._journal.write(entry_of(asker, verb, outcome, tuple(told)), at),
                *self._keys.remembered(asker.name, once, answer, at),
            ]

        return record

    async def _told_off(self, asker: Asker, verb: AnyVerb) -> NoReturn:
        needed = NEEDS[type(verb)]
        scope = f" and the scope {dict(asker.labels)}" if asker.labels else ""
        why = f"expected somebody who may {needed}, found {asker.name} with the role {asker.role}{scope}"
        entry = entry_of(asker, verb, "refused", (why,))
        await self._ledger.write(lambda at: self._journal.write(entry, at))
        raise VerbError("forbidden", why)

    def _may(self, asker: Asker, permission: Permission, *, everywhere: bool = False) -> None:
        """Raise unless this may be asked, and, for what is the whole fleet's business, with no scope."""
        if not allowed(asker.role, permission) or (everywhere and asker.labels):
            scope = f" and the scope {dict(asker.labels)}" if asker.labels else ""
            raise VerbError(
                "forbidden",
                f"expected somebody who may {permission}, found {asker.name} with the role {asker.role}{scope}",
            )

    async def _clerical(self, asker: Asker, verb: Clerical) -> Any:
        match verb:
            case verbs.MakeToken():
                life_ms = _life_ms(verb.lasts)
                text = await self.make_token(
                    asker, verb.name, verb.role, life_ms=life_ms, labels=verb.labels
                )
                return {"token": text}
            case verbs.RevokeToken():
                return await self._revoked(asker, verb.name, None)
            case verbs.ListTokens():
                return [token_view(row) for row in self.tokens(asker)]
            case verbs.ListApprovals():
                return [approval_view(row) for row in self.approvals(asker)]
            case verbs.Decide():
                return await self.decide(asker, verb.number, approve=verb.approve, why=verb.why)
            case verbs.ReadLog():
                return [entry_view(row) for row in await self.log(asker, verb.after, verb.limit)]
            case ListRehearsals() | ShowRehearsal() | ShowShape():
                self._may(asker, NEEDS[type(verb)])
                return await self.rehearsals.look(verb)
            case RehearsePlan() | RehearseRollout() | CancelRehearsal():
                return await self._rehearsed(asker, verb, None)

    async def _rehearsed(self, asker: Asker, verb: RehearsalWish, once: Once | None) -> Any:
        _refuse_unwritable(verb)
        if not (allowed(asker.role, NEEDS[type(verb)]) and in_scope(asker, verb)):
            await self._told_off(asker, verb)

        def remembered(result: dict[str, Any], at: int) -> list[Persist]:
            return self._keys.remembered(asker.name, once, {"ok": True, "result": result}, at)

        if isinstance(verb, CancelRehearsal):
            return await self.rehearsals.cancel(asker, verb, remembered)
        return await self.rehearsals.ask(asker, verb, remembered)

    # -- a second person --------------------------------------------------------------------------

    async def _put_down(
        self, asker: Asker, verb: Mutation, once: Once | None, guard: Guard | None
    ) -> Any:
        found: dict[str, Any] = {}

        def work(at: int) -> list[Persist]:
            row, kept = self._approvals.ask(
                arguments_of(verb), asker.name, asker.role.value, at, asker.labels
            )
            said = (f"Request {row.number} waits for somebody else's approval.",)
            found.update(waits=row.number, said=list(said))
            return [
                *kept,
                *self._journal.write(entry_of(asker, verb, "waits", said), at),
                *self._keys.remembered(asker.name, once, {"ok": True, "result": found}, at),
            ]

        try:
            await self._ledger.write(work, guard)
        except VerbError as error:
            refused = entry_of(asker, verb, "refused", (str(error),))
            await self._ledger.write(lambda at: self._journal.write(refused, at))
            raise
        return found

    def approvals(self, asker: Asker) -> list[ApprovalRow]:
        """Requests for approval, the oldest first; of a token with a scope, its own."""
        self._may(asker, Permission.READ)
        found = self._approvals.rows(self._wall_ms())
        return [row for row in found if not asker.labels or row.asked_by == asker.name]

    @property
    def waiting(self) -> int:
        """How many requests wait for a second person."""
        return self._approvals.waiting(self._wall_ms())

    async def decide(self, asker: Asker, number: int, *, approve: bool, why: str) -> Any:
        """Approve (and do) or deny a request of somebody else.

        Raises:
            VerbError: it was not done; `AccessError`'s codes among them.
        """
        word = f"approval.{'approve' if approve else 'deny'}"
        if not allowed(asker.role, Permission.APPROVE) or asker.labels:
            scope = f" and the scope {dict(asker.labels)}" if asker.labels else ""
            role = f"{asker.name} with the role {asker.role}{scope}"
            reason = f"expected somebody who may {Permission.APPROVE}, found {role}"
            entry = plain_entry(asker, word, str(number), {"why": why}, reason)
            await self._ledger.write(lambda at: self._journal.write(entry, at))
            raise VerbError("forbidden", reason)

        def decided(at: int) -> list[Persist]:
            _, kept = self._approvals.decide(number, asker.name, at, approve=approve, why=why)
            entry = plain_entry(asker, word, str(number), {"why": why})
            return [*kept, *self._journal.write(entry, at)]

        if not approve:
            await self._ledger.write(decided)
            return {"said": [f"Request {number} is denied."]}
        return await self._approved(asker, number, why, decided)

    async def _approved(
        self, asker: Asker, number: int, why: str, decided: Callable[[int], list[Persist]]
    ) -> Any:
        """Do what was approved, in one commit with the approval."""

        def check() -> ApprovalRow:
            row = self._approvals.check(number, asker.name, self._wall_ms(), why)
            self._clerk.still(row.asked_by)
            return row

        def guard(core: Gateway) -> str:
            try:
                check()
            except AccessError as error:
                raise GuardError(str(error), error.code) from None
            return "" if within is None else within(core)

        try:
            row = check()
        except AccessError as error:
            raise VerbError(error.code, str(error)) from None
        verb = _VERBS.decode(row.verb)
        assert isinstance(verb, Mutation)
        author = Asker(row.asked_by, Role(row.role), row.labels)
        within = self.rehearsals.guarded(verb, guard_within(author, verb, None))
        prepared = await self._operator.prepare(verb)
        doing = self._record(author, verb, prepared, None, by=asker.name)

        def record(said: Notes, refusal: Exception | None) -> list[Persist]:
            if isinstance(refusal, GuardError):
                return []
            return [*decided(self._wall_ms()), *doing(said, refusal)]

        return prepared.result(await self._ledger.submit(prepared, record, guard))

    # -- tokens and the log -----------------------------------------------------------------------

    def tokens(self, asker: Asker) -> list[TokenRow]:
        """All tokens, ended ones too."""
        self._may(asker, Permission.TOKENS, everywhere=True)
        return self._clerk.rows()

    async def make_token(
        self, asker: Asker, name: str, role: Role, *, life_ms: int, labels: dict[str, str],
        before: Callable[[str], Awaitable[None]] | None = None,
    ) -> str:  # fmt: skip
        """Make a token; returns its text, which is not kept; `before` is told it before the token is good.

        Raises:
            VerbError: ``forbidden``, or `AccessError`'s codes.
        """
        return await self._clerk.make(
            asker, name, role, life_ms=life_ms, labels=labels, before=before
        )

    async def revoke_token(self, asker: Asker, name: str) -> None:
        """End a token.

        Raises:
            VerbError: ``forbidden`` or ``unknown``.
        """
        await self._revoked(asker, name, None)

    async def _revoked(self, asker: Asker, name: str, once: Once | None) -> Any:
        answer = {"ok": True, "result": {"said": [f"Token {name} has ended."]}}
        await self._clerk.revoke(
            asker, name, lambda at: self._keys.remembered(asker.name, once, answer, at)
        )
        return answer["result"]

    async def log(self, asker: Asker, after: int, limit: int) -> list[AuditRow]:
        """Up to `limit` entries of the audit log after number `after`."""
        return await self.book(asker).rows(after, min(limit, PAGE_ENTRIES_MAX))

    def book(self, asker: Asker) -> LogBook:
        """Pages of the audit log for somebody who may read it; raises `VerbError`."""
        self._may(asker, Permission.AUDIT, everywhere=True)
        return self._book

    async def head(self, asker: Asker) -> HeadRow | None:
        """The signed head of the audit log, for whoever keeps it elsewhere; None where nothing was done yet."""
        self._may(asker, Permission.AUDIT, everywhere=True)
        found = await self._runtime.page(audit.HEAD, "", 1)
        return found[0][1] if found else None


def token_view(row: TokenRow) -> dict[str, Any]:
    """A token as it is shown: nothing of its secret."""
    found = msgspec.structs.asdict(row)
    del found["secret_hash"]
    return {**found, "labels": dict(row.labels)}


def approval_view(row: ApprovalRow) -> dict[str, Any]:
    """A request as it is shown."""
    found = msgspec.structs.asdict(row)
    return {**found, "verb": msgspec.json.decode(row.verb), "labels": dict(row.labels)}


def _refuse_unwritable(verb: AnyVerb) -> None:
    """What cannot be written down, or reads otherwise than it is, cannot be done."""
    try:
        told = arguments_of(verb)
    except ValueError as error:
        raise VerbError("invalid", f"expected text that can be written, found: {error}") from None
    if _TURNS.search(told):
        raise VerbError(
            "invalid",
            "expected text that reads as it is, found a sign that turns the direction of writing: an approver "
            "would see something else than is done",
        )


def _life_ms(lasts: str) -> int:
    try:
        return parse_duration(lasts) // MS
    except ValueError as error:
        raise VerbError("invalid", str(error)) from None


class Local:
    """Does verbs for whoever came through the door: the owner of the state folder.

    Args:
        office: does them.
        name: what the audit log calls them.
    """

    def __init__(self, office: Office, name: str) -> None:
        self._office, self._asker = office, Asker(name, Role.ADMIN)

    async def do(self, verb: AnyVerb) -> Any:
        """Do it; raises `VerbError`."""
        return await self._office.do(self._asker, verb)
