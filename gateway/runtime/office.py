"""Where verbs are asked for: may they, did they ask before, does a second person have to agree; and it is
written down.

Decides the order of these questions and what the audit log says. Leaves out how verbs are done (operator.py),
and by which door somebody came (door.py, gateway/api).

Rules: a mutation, its audit entry and the answer to its idempotency key become durable in one commit or not
at all, so a key that is asked again after a crash finds its answer exactly when the mutation is there; who is
not allowed is written down too; questions are not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from gateway.core.access.approvals import APPROVAL, ApprovalRow, Approvals
from gateway.core.access.roles import Permission, Role, allowed, covers
from gateway.core.access.tokens import SECRET_BYTES, TOKEN, AccessError, Asker, TokenRow, Tokens
from gateway.core.audit import rows as audit
from gateway.core.audit.journal import Entry, Journal
from gateway.core.audit.rows import AnswerRow, AuditRow
from gateway.core.effects import Persist
from gateway.core.recovery import BY_RESTORE, RESTORED, RESTORED_KEY, RestoredRow
from gateway.runtime.life import Guard, Notes, Record
from gateway.runtime.operator import Operator, Prepared
from gateway.runtime.permissions import NEEDS, arguments_of, in_scope, subject_of, tag_of
from gateway.runtime.runtime import Runtime
from gateway.runtime.verbs import AnyVerb, Mutation, Reading, VerbError

PAGE_ROWS: Final = 1_000
KEY_CHARS_MAX: Final = 200
OK, NOT_OK = 200, 409
_VERBS: Final = msgspec.json.Decoder(AnyVerb)


class Once(msgspec.Struct, frozen=True):
    """An idempotency key and what was asked under it."""

    key: str
    fingerprint: bytes
    """SHA-256 of the request."""


class Office:
    """Does verbs for somebody.

    Args:
        runtime: where rows become durable.
        operator: does verbs on it.
        journal: writes the audit log.
        wall_ms: UTC now.
        entropy: gives so many unguessable bytes.
        second: verbs (such as ``rollout.create``) that a second person must approve.
    """

    def __init__(
        self,
        runtime: Runtime,
        operator: Operator,
        journal: Journal,
        *,
        wall_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        second: frozenset[str] = frozenset(),
    ) -> None:
        self._runtime, self._operator, self._journal = runtime, operator, journal
        self._wall_ms, self._entropy, self._second = wall_ms, entropy, second
        self._tokens, self._approvals = Tokens(), Approvals()
        self._under_way: set[tuple[str, str]] = set()

    async def restore(self) -> None:
        """Take what is durable; after each start of the runtime."""
        heads = await self._all(audit.HEAD)
        self._journal.restore(heads[0][1] if heads else None, await self._all(audit.ANSWER))
        self._tokens.restore(await self._all(TOKEN))
        self._approvals.restore(await self._all(APPROVAL))
        self._under_way.clear()
        for _, row in await self._all(RESTORED):
            await self._submitted(partial(self._told_restored, row))

    def _told_restored(self, row: RestoredRow, at: int) -> list[Persist]:
        """The log goes on where the backup's ends, and says why."""
        local = Asker(BY_RESTORE, Role.ADMIN)
        told = {"made_ms": row.made_ms, "restored_ms": row.restored_ms, "killed": row.killed}
        entry = _plain_entry(local, "gateway.restore", "", told)
        return [*self._journal.write(entry, at), Persist(RESTORED, RESTORED_KEY, None)]

    def who(self, token: str) -> Asker:
        """Whose token this is.

        Raises:
            AccessError: nobody's that may come in.
        """
        return self._tokens.who(token, self._wall_ms())

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
        if isinstance(verb, Reading):
            self._may(asker, NEEDS[type(verb)])
            return await self._operator.look(verb)
        if not (allowed(asker.role, NEEDS[type(verb)]) and in_scope(asker, verb)):
            await self._told_off(asker, verb)
        return await self._once(asker, once, lambda: self._done(asker, verb, once, guard))

    async def _done(
        self, asker: Asker, verb: Mutation, once: Once | None, guard: Guard | None
    ) -> Any:
        prepared = await self._operator.prepare(verb)
        if tag_of(verb) in self._second:
            return await self._put_down(asker, verb, once)
        record = self._record(asker, verb, prepared, once)
        said = await self._operator.submit(prepared, record, guard)
        return prepared.result(said)

    def _record(
        self, asker: Asker, verb: Mutation, prepared: Prepared, once: Once | None, by: str = ""
    ) -> Record:
        """What becomes durable with a mutation."""

        def record(said: Notes, refusal: str) -> list[Persist]:
            at = self._wall_ms()
            try:
                result = prepared.result(said, refusal)
                outcome, told, answer = (
                    "done",
                    tuple(result["said"]),
                    {"ok": True, "result": result},
                )
            except VerbError as error:
                outcome, told = "refused", (str(error),)
                answer = {"ok": False, "code": error.code, "error": str(error)}
            if by:
                told = (f"Approved by {by}.", *told)
            return [
                *self._journal.write(_entry(asker, verb, outcome, told), at),
                *self._remembered(asker, once, answer, at),
            ]

        return record

    async def _told_off(self, asker: Asker, verb: AnyVerb) -> None:
        needed = NEEDS[type(verb)]
        scope = f" and the scope {dict(asker.labels)}" if asker.labels else ""
        why = f"expected somebody who may {needed}, found {asker.name} with the role {asker.role}{scope}"
        entry = _entry(asker, verb, "refused", (why,))
        await self._submitted(lambda at: self._journal.write(entry, at))
        raise VerbError("forbidden", why)

    def _may(self, asker: Asker, permission: Permission) -> None:
        if not allowed(asker.role, permission):
            raise VerbError(
                "forbidden",
                f"expected somebody who may {permission}, found {asker.name} with the role {asker.role}",
            )

    # -- once -----------------------------------------------------------------------------------

    async def _once(self, asker: Asker, once: Once | None, work: Callable[[], Any]) -> Any:
        if once is None:
            return await work()
        if not 0 < len(once.key) <= KEY_CHARS_MAX:
            raise VerbError(
                "invalid", f"expected an idempotency key of 1 to {KEY_CHARS_MAX} characters"
            )
        before = self._journal.answered(asker.name, once.key)
        if before is not None:
            return _again(before, once)
        name = (asker.name, once.key)
        if name in self._under_way:
            raise VerbError(
                "conflict", "the same idempotency key is under way: wait for its answer"
            )
        self._under_way.add(name)
        try:
            return await work()
        finally:
            self._under_way.discard(name)

    def _remembered(self, asker: Asker, once: Once | None, answer: Any, at: int) -> list[Persist]:
        if once is None:
            return []
        body = msgspec.json.encode(answer)
        status = OK if answer["ok"] else NOT_OK
        return self._journal.remember(
            asker.name, once.key, AnswerRow(at, once.fingerprint, status, body)
        )

    # -- a second person --------------------------------------------------------------------------

    async def _put_down(self, asker: Asker, verb: Mutation, once: Once | None) -> Any:
        found: dict[str, Any] = {}

        def work(at: int) -> list[Persist]:
            row, kept = self._approvals.ask(arguments_of(verb), asker.name, asker.role.value, at)
            said = (f"Request {row.number} waits for somebody else's approval.",)
            found.update(waits=row.number, said=list(said))
            answer = {"ok": True, "result": found}
            entry = _entry(asker, verb, "waits", said)
            return [
                *kept,
                *self._journal.write(entry, at),
                *self._remembered(asker, once, answer, at),
            ]

        await self._submitted(work)
        return found

    def approvals(self, asker: Asker) -> list[ApprovalRow]:
        """All requests for approval, the oldest first."""
        self._may(asker, Permission.READ)
        return self._approvals.rows(self._wall_ms())

    async def decide(self, asker: Asker, number: int, *, approve: bool, why: str) -> Any:
        """Approve (and do) or deny a request of somebody else.

        Raises:
            VerbError: it was not done; `AccessError`'s codes among them.
        """
        self._may(asker, Permission.APPROVE)
        found: list[ApprovalRow] = []
        word = "approve" if approve else "deny"

        def work(at: int) -> list[Persist]:
            row, kept = self._approvals.decide(number, asker.name, at, approve=approve, why=why)
            found.append(row)
            entry = _plain_entry(asker, f"approval.{word}", str(number), {"why": why})
            return [*kept, *self._journal.write(entry, at)]

        await self._submitted(work)
        row = found[0]
        if not approve:
            return {"said": [f"Request {number} is denied."]}
        verb = _VERBS.decode(row.verb)
        assert isinstance(verb, Mutation)
        prepared = await self._operator.prepare(verb)
        author = Asker(row.asked_by, Role(row.role))
        record = self._record(author, verb, prepared, None, by=asker.name)
        return prepared.result(await self._operator.submit(prepared, record))

    # -- tokens and the log -----------------------------------------------------------------------

    def tokens(self, asker: Asker) -> list[TokenRow]:
        """All tokens, ended ones too."""
        self._may(asker, Permission.TOKENS)
        return self._tokens.rows()

    async def make_token(
        self, asker: Asker, name: str, role: Role, *, life_ms: int, labels: dict[str, str]
    ) -> str:
        """Make a token; returns its text, which is not kept.

        Raises:
            VerbError: ``forbidden``, or `AccessError`'s codes.
        """
        self._may(asker, Permission.TOKENS)
        if not covers(asker.role, role) or asker.labels:
            raise VerbError(
                "forbidden", f"{asker.name} may not make a token of the role {role}: it may do more"
            )
        secret = self._entropy(SECRET_BYTES)
        found: list[str] = []
        scope = tuple(sorted(labels.items()))

        def work(at: int) -> list[Persist]:
            text, kept = self._tokens.make(
                name, role, secret, now_ms=at, life_ms=life_ms, by=asker.name, labels=scope
            )
            found.append(text)
            told = {"role": role.value, "life_ms": life_ms, "labels": labels}
            return [*kept, *self._journal.write(_plain_entry(asker, "token.make", name, told), at)]

        await self._submitted(work)
        return found[0]

    async def revoke_token(self, asker: Asker, name: str) -> None:
        """End a token.

        Raises:
            VerbError: ``forbidden`` or ``unknown``.
        """
        self._may(asker, Permission.TOKENS)

        def work(at: int) -> list[Persist]:
            kept = self._tokens.revoke(name, now_ms=at, by=asker.name)
            return [*kept, *self._journal.write(_plain_entry(asker, "token.revoke", name, {}), at)]

        await self._submitted(work)

    async def log(self, asker: Asker, after: int, limit: int) -> list[AuditRow]:
        """Up to `limit` entries of the audit log after number `after`."""
        self._may(asker, Permission.AUDIT)
        found = await self._runtime.page(audit.ENTRY, audit.entry_key(after), limit)
        return [row for _, row in found]

    # -- rows -------------------------------------------------------------------------------------

    async def _submitted(self, work: Callable[[int], list[Persist]]) -> None:
        """Make rows durable that the core knows nothing of; `work` makes them, in turn."""
        wrong: list[AccessError] = []

        def record(_: Notes, __: str) -> list[Persist]:
            try:
                return work(self._wall_ms())
            except AccessError as error:
                wrong.append(error)
                return []

        await self._operator.submit(Prepared(()), record)
        if wrong:
            raise VerbError(wrong[0].code, str(wrong[0]))

    async def _all(self, table: str) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        after = ""
        while page := await self._runtime.page(table, after, PAGE_ROWS):
            found += page
            after = page[-1][0]
        return found


def _entry(asker: Asker, verb: AnyVerb, outcome: str, said: tuple[str, ...]) -> Entry:
    return Entry(
        actor=asker.name, role=asker.role.value, verb=tag_of(verb), subject=subject_of(verb),
        arguments=arguments_of(verb), outcome=outcome, said=said,
    )  # fmt: skip


def _plain_entry(asker: Asker, verb: str, subject: str, arguments: dict[str, Any]) -> Entry:
    return Entry(
        actor=asker.name, role=asker.role.value, verb=verb, subject=subject,
        arguments=msgspec.json.encode(arguments, order="deterministic"), outcome="done", said=(),
    )  # fmt: skip


def _again(before: AnswerRow, once: Once) -> Any:
    """The answer that was given to this key."""
    if before.fingerprint != once.fingerprint:
        raise VerbError(
            "mismatch", "this idempotency key was used for another request: take a new one"
        )
    answer = msgspec.json.decode(before.body)
    if answer["ok"]:
        return answer["result"]
    raise VerbError(answer["code"], answer["error"])


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
