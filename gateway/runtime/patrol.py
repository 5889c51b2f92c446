"""Reads the audit log again and again, a part at each look.

Decides how much is read at once and when a round begins. Leaves out what is wrong with a log (gateway/core/audit) and
what follows from it (probes.py).

Rule: what one round found stands until the next one has ended: a log that was broken once is told as broken as long
as it is.
"""

from __future__ import annotations

from typing import Final

from devicesdk.bundle.trust import Verifier
from devicesdk.wire.timebase import SECOND
from gateway.core.audit import rows as audit
from gateway.core.audit.walk import Walk
from gateway.runtime.runtime import Runtime

PAGE_ROWS: Final = 500
PAGES_EACH_MAX: Final = 4
"""Read at one look: the rest at the next."""


class Patrol:
    """Verifies one log.

    Args:
        runtime: has the durable log.
        verifier: knows the audit keys.
        every_s: between the end of a round and the next.
    """

    def __init__(self, runtime: Runtime, verifier: Verifier, every_s: float) -> None:
        self._runtime, self._verifier = runtime, verifier
        self._every_ns = round(every_s * SECOND)
        self._walk: Walk | None = None
        self._next_ns = 0
        self.stories: tuple[str, ...] = ()
        """What the last round found."""

    async def look(self, now: int) -> None:
        """Read on, if it is time; `now` in ns, of any origin.

        Raises:
            StorageError: the database does not answer, or an entry cannot be decoded.
        """
        if self._walk is None:
            if now < self._next_ns:
                return
            heads = await self._runtime.page(audit.HEAD, "", 1)
            self._walk = Walk(heads[0][1] if heads else None)
        walk = self._walk
        for _ in range(PAGES_EACH_MAX):
            page = await self._runtime.page(audit.ENTRY, audit.entry_key(walk.last), PAGE_ROWS)
            if not walk.take([row for _, row in page]):
                break
        else:
            return
        self.stories = tuple(finding.story for finding in walk.end(self._verifier))
        self._walk, self._next_ns = None, now + self._every_ns
