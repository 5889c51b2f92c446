"""A rehearsed gateway in a runtime's place: asked like one, and changed by nobody.

Decides how the questions of the API reach the simulated core, and its words for whoever would steer it. Leaves out when the world
runs (player.py).

Rules: what is answered is the state between two events of the run; the only rows that are not the run's are those of the token
with which the page comes in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import nsmallest
from typing import Any, Final, TypeVar

from devicesim.console.player import Player
from devicesim.console.take import Take
from gateway.core import stimuli as hear
from gateway.core.access.roles import Role
from gateway.core.access.tokens import LIFE_MS_MAX, TOKEN, Tokens
from gateway.core.gateway import TABLES, Gateway
from gateway.ports import Counters
from gateway.runtime.life import Answer, Guard, GuardError, Record

T = TypeVar("T")

NAME: Final = "rehearsal"
REFUSAL: Final = (
    "a rehearsal cannot be steered here: it is a run that has happened, shown again. Change its scenario and rehearse that "
    "(`fleetdrill run`), or steer a gateway (`fleetdrill gateway serve`)"
)


class RehearsedRuntime:
    """Answers for the gateway of a run.

    Args:
        player: plays it.
        secret: 32 unguessable bytes, for the page's token.
    """

    def __init__(self, player: Player, secret: bytes) -> None:
        self._player = player
        self._none = Counters(starts=1)
        self.token, rows = Tokens().make(
            NAME, Role.VIEWER, secret, now_ms=player.run.start_ms, life_ms=LIFE_MS_MAX, by=NAME
        )
        self._tokens = [(row.key, row.row) for row in rows]

    @property
    def counters(self) -> Counters:
        """What the simulated gateway counted."""
        take = self._player.take
        return self._none if take is None else take.counters

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return self._player.running

    @property
    def connected(self) -> bool:
        """Whether the simulated gateway is connected to the simulated broker."""
        return self.running and bool(self.counters.connected_now)

    def submit(
        self,
        *stimuli: hear.AnyStimulus,
        record: Record | None = None,
        guard: Guard | None = None,
    ) -> Answer:
        """Refuse.

        Raises:
            GuardError: always.
        """
        del stimuli, record, guard
        raise GuardError(REFUSAL, "refused")

    def read(self, look: Callable[[Gateway], T]) -> asyncio.Future[T]:
        """Ask the core between two events.

        Raises:
            NotRunningError: the rehearsal was closed, or cannot be played.
            BusyError: too much waits already.
        """
        return self._player.look(lambda take: look(take.gateway.core))

    def wall_ns(self) -> int:
        """UTC in the run, nanoseconds."""
        return self.wall_ms() * 1_000_000

    def wall_ms(self) -> int:
        """UTC in the run, milliseconds."""
        return self._player.info().now_ms

    async def page(self, table: str, after: str, limit: int) -> list[tuple[str, Any]]:
        """Rows of the simulated gateway's store."""
        if table == TOKEN:
            return [pair for pair in self._tokens if pair[0] > after][:limit]
        if table not in TABLES:
            return []  # of the office, which nobody had in the run
        return await self._player.look(lambda take: _page(take, table, after, limit))


def _page(take: Take, table: str, after: str, limit: int) -> list[tuple[str, Any]]:
    mine = ((key, row) for kind, key, row in take.gateway.store.rows() if kind == table)
    return nsmallest(limit, (pair for pair in mine if pair[0] > after), key=lambda pair: pair[0])
