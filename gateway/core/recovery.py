"""What becomes of rows when they come back from a backup that is older than what devices have seen.

Decides, row by row, what a gateway may still say after it went back in time. Leaves out where rows come from.

Theory of operation. Devices remember the newest number they were told in each matter and ignore what is not
newer: a want's generation, a segment's revision, the kill list's version, the version of a TUF timestamp and
snapshot. A gateway that goes back in time would count through numbers that devices have seen with another
content, and would be ignored. So after a restore all of them go on from the instant of the restore (UTC,
milliseconds), which no count of changes ever reaches, as grants of debug mode always do. What was signed
under old numbers is dropped and signed anew.

What a restored gateway knows is old, so it does nothing by itself that only old knowledge asks for: rollouts that
ran are paused, experiments are frozen, requests that waited for a second person have lapsed (they may have
been approved since), tokens are revoked unless they are kept on purpose (some may have been revoked since). A device that took a newer
want since the backup keeps what it runs until somebody rolls something out.

What cannot be known is asked of people: a feature that was killed after the backup was made would run again,
so they name it.

Rule: pure; the same rows and the same instant give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from devicesdk.wire.timebase import MS
from gateway.core import rows
from gateway.core.access import approvals
from gateway.core.access.tokens import TOKEN
from gateway.core.control import trust
from gateway.core.control.flags import KILL_KEY
from gateway.core.experiments import rows as experiments
from gateway.core.internal import ALARM_KIND
from gateway.core.tenure import TENURE

RESTORED: Final = "service.restored"
RESTORED_KEY: Final = "last"
BY_RESTORE: Final = "restore"
"""Who ended a token that a restore ended, and who wrote in the audit log that there was one."""
PAUSED_WHY: Final = "the gateway was restored from a backup: look, then resume"
FROZEN_WHY: Final = "the gateway was restored from a backup"
LAPSED_WHY: Final = "the gateway was restored from a backup; ask again"

Stored = tuple[str, str, Any]


class RestoredRow(rows.Row, frozen=True, array_like=True, gc=False):
    """That this database came from a backup; there until the audit log says so. Instants are UTC, ms."""

    made_ms: int
    """When the backup was made."""
    restored_ms: int
    killed: tuple[str, ...] = ()
    """Features that were named at the restore."""


class Recovery:
    """Turns the rows of a backup into those to begin with.

    Args:
        made_ms: when the backup was made, UTC.
        restored_ms: now, UTC; greater than all numbers of the backup.
        kills: features to kill besides those that the backup knows.
        keep_tokens: let the tokens of the backup be good again.
    """

    def __init__(
        self,
        made_ms: int,
        restored_ms: int,
        kills: Iterable[str] = (),
        *,
        keep_tokens: bool = False,
    ) -> None:
        self._made_ms, self._base = made_ms, restored_ms
        self._kills = tuple(sorted(set(kills)))
        self._keep_tokens = keep_tokens
        self._killed = rows.KillRow(0, ())

    def rows(self, stored: Iterable[Stored]) -> Iterator[Stored]:
        """The rows to begin with."""
        for table, key, row in stored:
            if table == rows.KILL:
                self._killed = row
                continue
            after = self._row(table, key, row)
            if after is not None:
                yield table, key, after
        yield from self._besides()

    def _row(self, table: str, key: str, row: Any) -> Any:
        """What becomes of one row; None: it goes."""
        base = self._base
        if table == rows.DESIRED:
            return replace(row, generation=max(base, row.generation + 1))
        if table == rows.SEGMENT:
            return replace(row, rev=max(base, row.rev + 1))
        if table == rows.OUTBOX:
            return row if row.kind == ALARM_KIND else None
        if table == TOKEN and not self._keep_tokens and not row.revoked_ms:
            return replace(row, revoked_ms=base, revoked_by=BY_RESTORE)
        if table == rows.ROLE and key in (trust.SNAPSHOT, trust.TIMESTAMP, trust.FLOOR):
            return None
        if table == rows.ROLLOUT and row.phase is rows.Phase.RUNNING and not row.plan.initial:
            paused = base * MS
            return replace(row, phase=rows.Phase.PAUSED, why=PAUSED_WHY, paused_ns=paused)
        if table == experiments.EXPERIMENT and row.phase is experiments.Phase.RUNNING:
            return replace(row, frozen=True, held=True, why=row.why or FROZEN_WHY)
        if table == approvals.APPROVAL and row.state == approvals.WAITS:
            return replace(row, state=approvals.LAPSED, decided_ms=base, why=LAPSED_WHY)
        return None if table in (RESTORED, TENURE) else row

    def _besides(self) -> Iterator[Stored]:
        old = self._killed
        features = tuple(sorted({*old.features, *self._kills}))
        version = max(self._base, old.version + 1)
        yield rows.KILL, KILL_KEY, rows.KillRow(version, features)
        yield rows.ROLE, trust.FLOOR, rows.RoleRow(b"%d" % self._base)
        mark = RestoredRow(self._made_ms, self._base, self._kills)
        yield RESTORED, RESTORED_KEY, mark
