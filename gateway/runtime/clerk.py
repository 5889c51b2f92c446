"""Hands out tokens and takes them back.

Decides who may, and that it is written down. Leaves out what a token is (gateway/core/access/tokens.py).

Rules: the text of a token is returned once and never written anywhere; nobody hands out more than they have, and a
token with a scope hands out and takes back nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.core.access.roles import Permission, Role, allowed, covers
from gateway.core.access.tokens import (
    SECRET_BYTES,
    TOKEN,
    AccessError,
    Asker,
    TokenRow,
    Tokens,
    text_of,
)
from gateway.core.effects import Persist
from gateway.runtime.ledger import Ledger, plain_entry
from gateway.runtime.verbs import VerbError


class Clerk:
    """The tokens of a gateway.

    Args:
        ledger: where they become durable.
        entropy: gives so many unguessable bytes.
    """

    def __init__(self, ledger: Ledger, entropy: Callable[[int], bytes]) -> None:
        self._ledger, self._entropy = ledger, entropy
        self._tokens = Tokens()

    async def restore(self) -> None:
        """Take what is durable."""
        self._tokens.restore(await self._ledger.all_of(TOKEN))

    def who(self, token: str) -> Asker:
        """Whose token this is.

        Raises:
            AccessError: nobody's that may come in.
        """
        return self._tokens.who(token, self._ledger.wall_ms())

    def still(self, asker: str) -> None:
        """Raise `AccessError` if this is the name of a token that has ended."""
        if any(row.name == asker for row in self._tokens.rows()) and not self._tokens.living(
            asker, self._ledger.wall_ms()
        ):
            raise AccessError(
                "forbidden", f"the token {asker} has ended since it asked: ask again with another"
            )

    def rows(self) -> list[TokenRow]:
        """All tokens, ended ones too."""
        return self._tokens.rows()

    async def make(
        self, asker: Asker, name: str, role: Role, *, life_ms: int, labels: dict[str, str],
        before: Callable[[str], Awaitable[None]] | None = None,
    ) -> str:  # fmt: skip
        """Make a token; returns its text, which is not kept; `before` is told it before the token is good.

        Raises:
            VerbError: ``forbidden``, or `AccessError`'s codes.
        """
        told = {"role": role.value, "life_ms": life_ms, "labels": labels}
        if not covers(asker.role, role):
            why = f"{asker.name} may not make a token of the role {role}: it may do more"
            await self._refused(asker, "token.make", name, told, why)
        await self._only_unscoped(asker, "token.make", name, told)
        secret = self._entropy(SECRET_BYTES)
        scope = tuple(sorted(labels.items()))

        if before is not None:
            await before(text_of(name, secret))

        def work(at: int) -> list[Persist]:
            _, kept = self._tokens.make(
                name, role, secret, now_ms=at, life_ms=life_ms, by=asker.name, labels=scope
            )
            entry = plain_entry(asker, "token.make", name, told)
            return [*kept, *self._ledger.journal.write(entry, at)]

        await self._ledger.write(work)
        return text_of(name, secret)

    async def revoke(
        self, asker: Asker, name: str, remembered: Callable[[int], list[Persist]]
    ) -> None:
        """End a token.

        Args:
            asker: who asks.
            name: of the token.
            remembered: rows to make durable with it, of the answer, by the instant.

        Raises:
            VerbError: ``forbidden`` or ``unknown``.
        """
        await self._only_unscoped(asker, "token.revoke", name, {})

        def work(at: int) -> list[Persist]:
            kept = self._tokens.revoke(name, now_ms=at, by=asker.name)
            entry = plain_entry(asker, "token.revoke", name, {})
            return [*kept, *self._ledger.journal.write(entry, at), *remembered(at)]

        await self._ledger.write(work)

    async def _only_unscoped(
        self, asker: Asker, verb: str, name: str, told: dict[str, Any]
    ) -> None:
        if not allowed(asker.role, Permission.TOKENS):
            why = f"expected somebody who may {Permission.TOKENS}, found {asker.name} with the role {asker.role}"
            await self._refused(asker, verb, name, told, why)
        if asker.labels:
            why = f"{asker.name} has the scope {dict(asker.labels)}: tokens are the whole fleet's business"
            await self._refused(asker, verb, name, told, why)

    async def _refused(
        self, asker: Asker, verb: str, name: str, told: dict[str, Any], why: str
    ) -> None:
        entry = plain_entry(asker, verb, name[:200], told, why)
        await self._ledger.write(lambda at: self._ledger.journal.write(entry, at))
        raise VerbError("forbidden", why)
