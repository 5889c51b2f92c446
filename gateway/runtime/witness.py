"""Keeps the newest head of the audit log outside of the database, minute by minute.

Decides when a head is kept and that it is logged, so that a log collector is a witness too. Leaves out the file
(gateway/adapters/heads.py).

Rules: only a head that is durable is kept, else a crash would make an honest log look cut; a file that cannot be
written is said and does not end the gateway.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from devicesdk.bundle.trust import Verifier
from devicesdk.wire.errors import ProtocolError
from gateway.adapters.heads import HeadFile
from gateway.core.audit import rows as audit
from gateway.core.audit.chain import Head, read_head
from gateway.core.audit.kept import line_of, read_lines
from gateway.ports import StorageError
from gateway.runtime.logs import say
from gateway.runtime.runtime import Runtime

EVERY_S: Final = 60.0


class Witness:
    """Keeps heads.

    Args:
        runtime: has the durable head.
        file: where they are kept.
        verifier: knows the audit keys.
    """

    def __init__(self, runtime: Runtime, file: HeadFile, verifier: Verifier) -> None:
        self._runtime, self._file, self.verifier = runtime, file, verifier
        self._last = -1
        self.stories: tuple[str, ...] = ()
        """What was found wrong since the start, for people."""

    def kept(self) -> list[Head]:
        """The heads kept so far; lines that are none of ours are said."""
        heads, found = read_lines(self._file.read(), self.verifier, str(self._file.path))
        for finding in found:
            say(logging.CRITICAL, "kept heads were changed", found=finding.story)
        self.stories += tuple(finding.story for finding in found)
        self._last = max((head.number for head in heads), default=-1)
        return heads

    async def run(self, every_s: float = EVERY_S) -> None:
        """Keep heads until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Keep the head, if there is a new one."""
        try:
            found = await self._runtime.page(audit.HEAD, "", 1)
            if not found or found[0][1].number == self._last:
                return
            row: audit.HeadRow = found[0][1]
            head = read_head(row.envelope, self.verifier)
        except (StorageError, ProtocolError) as error:
            say(logging.CRITICAL, "the audit head cannot be read", error=error)
            if isinstance(error, ProtocolError):
                self._tell(f"the head cannot be read: {error}")
            return
        if head.number < self._last:
            say(
                logging.CRITICAL,
                "the audit log was rolled back",
                kept=self._last,
                found=head.number,
            )
            self._tell(f"entry {self._last} was kept, the log ends at {head.number}")
            return
        try:
            await asyncio.to_thread(self._file.append, line_of(head, row.envelope))
        except OSError as error:
            say(logging.ERROR, "cannot keep the audit head", file=self._file.path, error=error)
            return
        self._last = head.number
        say(logging.INFO, "audit head", number=head.number, digest=head.digest.hex())

    def _tell(self, story: str) -> None:
        if story not in self.stories:
            self.stories += (story,)
