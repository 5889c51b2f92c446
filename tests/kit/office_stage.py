"""An office on a runtime whose rows are in memory, and somebody of each role."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from gateway.adapters.rehearsing import Rehearsing
from gateway.config import RehearsalSection
from gateway.core.access.roles import Role
from gateway.core.access.tokens import Asker
from gateway.core.audit import rows as audit
from gateway.core.audit.chain import verify
from gateway.core.audit.journal import Journal
from gateway.runtime.office import Office, Once
from gateway.runtime.operator import Operator
from gateway.runtime.verbs import VerbError
from tests_kit.agent_bundles import VERIFIER
from tests_kit.audit_logs import AUDITOR, SIGNER, START_MS
from tests_kit.runtime_stage import Stage

ADMIN, RELEASER = Asker("boss", Role.ADMIN), Asker("rita", Role.RELEASER)
SECURITY, VIEWER = Asker("sam", Role.SECURITY), Asker("vera", Role.VIEWER)
EU = Asker("eva", Role.OPERATOR, (("region", "eu"),))


def once(key: str, said: str = "x") -> Once:
    """An idempotency key and what was asked."""
    return Once(key, sha256(said.encode()).digest())


class Bureau(Stage):
    """The office."""

    def __init__(
        self, second: frozenset[str] = frozenset(), rules: RehearsalSection | None = None,
        rehearsing: Rehearsing | None = None, **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(**more)
        self.now_ms, self.drawn = START_MS, 0
        operator = Operator(self.runtime, self.blobs, VERIFIER)
        self.office = Office(
            self.runtime, operator, Journal(SIGNER), wall_ms=lambda: self.now_ms,
            entropy=self.entropy, second=second, rules=rules or RehearsalSection(),
            rehearsing=rehearsing,
        )  # fmt: skip

    def entropy(self, size: int) -> bytes:
        """Bytes that differ each time."""
        self.drawn += 1
        return sha256(b"%d" % self.drawn).digest()[:size]

    async def up(self, *kept: Any) -> None:
        """Start, or start again."""
        await super().up()
        await self.office.restore(AUDITOR, kept)

    async def again(self, *kept: Any) -> None:
        """kill -9 and start."""
        self.runtime.crash()
        await self.up(*kept)

    async def fails(self, work: Any) -> tuple[str, str]:
        """Code and words of what was refused."""
        try:
            found = await work
        except VerbError as error:
            return error.code, str(error)
        raise AssertionError(f"expected a refusal, found {found!r}")

    def table(self, table: str) -> dict[str, Any]:
        """Durable rows of a table."""
        durable = self.storage.durable
        return {key: durable[t, key] for t, key in sorted(durable) if t == table}

    @property
    def kills(self) -> int:
        """How often something was killed or revived."""
        return self.runtime.core.overview().kill_version

    @property
    def log(self) -> list[audit.AuditRow]:
        """The durable log, found sound."""
        rows = list(self.table(audit.ENTRY).values())
        assert verify(rows, self.table(audit.HEAD).get("head"), AUDITOR) == []
        return rows

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Actor, verb and outcome of each durable entry."""
        return [(row.actor, row.verb, row.outcome) for row in self.log]
