"""What is asked of a running gateway, whatever runs it.

Decides the calls that questions and mutations stand on. The runtime (runtime.py) answers them for a gateway that serves devices;
whoever has a core and its rows from elsewhere may answer them too, and then the office, the API and the console
work on it unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gateway.core import stimuli as hear
from gateway.core.gateway import Gateway
from gateway.ports import Counters
from gateway.runtime.life import Answer, Guard, Record

T = TypeVar("T")


class Askable(Protocol):
    """A gateway that can be asked."""

    @property
    def counters(self) -> Counters:
        """What was counted; ``commits`` changes whenever anything durable did."""
        ...

    @property
    def running(self) -> bool:
        """Whether it answers."""
        ...

    @property
    def connected(self) -> bool:
        """Whether it is connected to its broker."""
        ...

    def submit(
        self,
        *stimuli: hear.AnyStimulus,
        record: Record | None = None,
        guard: Guard | None = None,
    ) -> Answer:
        """Hand in a mutation, as `Runtime.submit` does.

        Raises:
            NotRunningError: it does not run.
            BusyError: too much waits already.
            GuardError: nothing can be changed here.
        """
        ...

    def read(self, look: Callable[[Gateway], T]) -> asyncio.Future[T]:
        """Ask the core something when all that it knows is durable.

        Raises:
            NotRunningError: it does not run.
            BusyError: too much waits already.
        """
        ...

    def wall_ns(self) -> int:
        """UTC now, nanoseconds, as the core counts it."""
        ...

    async def page(self, table: str, after: str, limit: int) -> list[tuple[str, Any]]:
        """Up to `limit` durable rows of a table whose keys sort after `after`."""
        ...
