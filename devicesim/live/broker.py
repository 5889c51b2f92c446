"""The real broker of a live run, as the world's faults and measures see it.

Decides what of the world's view of a broker a real one can answer, and how an outage is made of a
process. Leaves out starting it for the first time (gateway/adapters/brokers).

Rules: what cannot be seen from outside (queues) is reported empty and never judged: the checks that
would need it are listed as unseen by the stage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from devicesim.live.intruder import LiveIntruder
from devicesim.world.broker.limits import BrokerLimits
from devicesim.world.ledger import BROKER, RETAINED, Leg
from gateway.adapters.brokers.running import RunningBroker


class LiveBrokerView:
    """What can be seen of a broker from its clients.

    Args:
        limits: how it was set up.
    """

    queue_peak = 0

    def __init__(self, limits: BrokerLimits) -> None:
        self.limits = limits
        self.connected: Callable[[str], object | None] = _nobody

    def outlet(self, client_id: str) -> object | None:
        """The connection of a device that believes to be connected."""
        return self.connected(client_id)

    def held_copies(self) -> dict[Leg, int]:
        """Nothing of its own two legs: nobody outside can count a broker's queues. The others are the paths'."""
        return {BROKER: 0, RETAINED: 0}

    def most_in_flight(self) -> int:
        """Nothing, for the same reason."""
        return 0

    def waiting_for(self, client_id: str) -> int:
        """Nothing, for the same reason."""
        del client_id
        return 0

    def set_queue_max(self, messages: int) -> None:
        """Not here, as above."""
        raise RuntimeError(f"a real broker reads its bounds when it starts, not {messages} now")

    def eat(self, eats: Callable[[str], bool] | None) -> None:
        """Not here, as above."""
        raise RuntimeError(f"a real broker keeps what it has acknowledged, whatever {eats} says")

    def set_accept_rate(self, rate_per_s: float | None) -> float | None:
        """Not here: the stage lists the verb among those that cannot be done."""
        raise RuntimeError(f"a real broker accepts as fast as it can, not {rate_per_s}/s")


def _nobody(client_id: str) -> object | None:
    del client_id
    return None


class LiveBroker:
    """A broker process that faults can kill and bring back.

    Args:
        running: the process.
        limits: how it was set up.
        tasks: where a restart runs.
        standing: entered while the process is being started.
    """

    def __init__(
        self,
        running: RunningBroker,
        limits: BrokerLimits,
        tasks: asyncio.TaskGroup,
        standing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.running, self._tasks, self._standing = running, tasks, standing
        self.core = LiveBrokerView(limits)
        self.up = True
        self.restarts = 0
        self._forget = False
        self._restarting: asyncio.Task[None] | None = None
        self.intruder: Callable[[str], LiveIntruder] | None = None
        """Makes a second client under this id; set by the stage."""
        self.intruders: list[LiveIntruder] = []

    @property
    def log(self) -> Path | None:
        """What the process has said."""
        return self.running.log

    def stop(self, now: int, *, lose_sessions: bool) -> None:
        """Kill it (-9)."""
        del now
        self.up = False
        self.restarts += 1
        self._forget = lose_sessions
        self.running.kill()

    def start(self) -> None:
        """Bring it back on the same port; it listens a few milliseconds from now."""
        self._restarting = self._tasks.create_task(self._restart())

    def intrude(self, now: int, client_id: str) -> Callable[[int], None]:
        """A second client connects under this id; returns what ends it."""
        del now
        assert self.intruder is not None, "the stage makes intruders"
        intruder = self.intruder(client_id)
        self.intruders.append(intruder)
        intruder.come()
        return intruder.leave

    async def _restart(self) -> None:
        with self._standing():
            await self.running.restart(forget=self._forget)
        self.up = True
