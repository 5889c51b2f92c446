"""How late this process's event loop was: what a bound in real time must forgive.

A bound says what a program does, and is measured by a process that wants a processor like everybody
else. `measured` sums the time that the loop did not have, so that the bound can stay as narrow as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

BEAT_S = 0.02
TIMER_S = 0.005
"""A beat is never to the millisecond, on a machine with nothing to do either."""


class Lateness:
    """Sums by how much each beat was late."""

    def __init__(self) -> None:
        self.late_s = 0.0

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            late_s = loop.time() - due
            if late_s > TIMER_S:
                self.late_s += late_s


@asynccontextmanager
async def measured() -> AsyncIterator[Lateness]:
    """Measure inside."""
    made = Lateness()
    task = asyncio.get_running_loop().create_task(made._beat())
    try:
        yield made
    finally:
        task.cancel()
