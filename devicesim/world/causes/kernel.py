"""A kernel that remembers who put what into the queue.

Decides the cause with which each step begins. Everything else, above all the order of steps, is the
kernel's: with it or without it a run has the same digest (a test compares).

Rules: an alarm has the cause of its present instant: whoever arms it anew for the same instant changes
nothing. A device's deadline is the earliest of what several parts of its agent wait for, and each of these
has a cause of its own: that of the part whose time has come counts.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from devicesim.world.broker_host import BrokerHost
from devicesim.world.causes.book import NOTHING, CauseBook
from devicesim.world.connection import Connection
from devicesim.world.device_host import DeviceHost
from devicesim.world.faults import Heals
from devicesim.world.gateway_host import GatewayHost
from devicesim.world.kernel import Alarm, Entry, Kernel, _Drawer, _Once
from devicesim.world.path import Path
from devicesim.world.timeline import Timeline
from devicesim.world.trace import BROKER, GATEWAY, WORLD
from devicesim.world.world import World

DEADLINE: Final = "_deadline_comes"


class CausalAlarm(Alarm):
    """An alarm that knows why it rings."""

    __slots__ = ("_book", "_host", "_owner", "cause")

    def __init__(self, kernel: CausalKernel, action: Callable[[int], None]) -> None:
        super().__init__(kernel, action)
        self._book = kernel.book
        self._owner = getattr(action, "__self__", None)
        deadline = getattr(action, "__name__", "") == DEADLINE
        self._host = self._owner if deadline and isinstance(self._owner, DeviceHost) else None
        self.cause = NOTHING

    def arm(self, at: int) -> None:
        """Ring at this instant; whoever changes it is the cause."""
        if self._host is not None:
            self._look(self._host)
        if at != self.at:
            self.cause = self._book.cause_of(actor_of(self._owner))
        super().arm(at)

    def _look(self, host: DeviceHost) -> None:
        """What does the agent wait for, and since which moment?"""
        agent, dues, index = host.agent, self._book.dues, host.index
        if agent is None:
            return
        for due, part in agent.dues():
            known = dues.get((index, part))
            if known is None or known[0] != due:
                dues[index, part] = due, self._book.cause_of(index)

    def why(self, now: int) -> int:
        """The cause with which a step begins that this alarm has brought about."""
        host = self._host
        if host is None or host.agent is None:
            return self.cause
        dues, index = self._book.dues, host.index
        over = [dues[index, part] for due, part in host.agent.dues() if due <= now]
        return min(over)[1] if over else self.cause


class CausalKernel(Kernel):
    """The kernel with a book of causes.

    Args:
        book: where causes are kept.
    """

    __slots__ = ("after", "book")

    def __init__(self, book: CauseBook) -> None:
        super().__init__()
        self.book = book
        self.after: Callable[[int], None] | None = None
        """Called after each step."""

    def alarm(self, action: Callable[[int], None]) -> Alarm:
        """Make an alarm that is not armed yet."""
        return CausalAlarm(self, action)

    def at(self, instant: int, action: Callable[[int, Any], None], argument: Any = None) -> None:
        """Call ``action(instant, argument)`` then; it has the cause of now."""
        cause = self.book.cause_of(actor_of(getattr(action, "__self__", None)))
        super().at(instant, self._recall, (cause, action, argument))

    def _recall(self, now: int, call: tuple[int, Callable[[int, Any], None], Any]) -> None:
        cause, action, argument = call
        self.book.begin(cause)
        action(now, argument)

    def idle_until(self, until: int) -> None:
        """Let time pass; what is judged at the end has no cause."""
        super().idle_until(until)
        self.book.begin(NOTHING)

    def _execute(self, until: int, most: int) -> int:
        queue, env = self.queue, self.env
        while most and queue and queue[0][0] <= until:
            entry = heappop(queue)
            now = entry[0]
            if isinstance(entry[3], _Drawer):
                self._empty(now)
            else:
                env._now = self.now = now  # noqa: SLF001 - as the kernel itself does
                self._do(entry, now)
                if self.after is not None:
                    self.after(now)
            most -= 1
        return most

    def _do(self, entry: Entry, now: int) -> None:
        event = entry[3]
        if isinstance(event, CausalAlarm):
            self.book.begin(event.why(now))
            event.ring(entry[2], now)
        elif isinstance(event, _Once):
            self.events += 1
            event.action(now, event.argument)
        else:
            heappush(self.queue, entry)
            self.env.step()


def actor_of(owner: object) -> int | None:
    """The actor whose doing a callback is; None when that cannot be told."""
    if isinstance(owner, DeviceHost):
        return owner.index
    if isinstance(owner, Path):
        return getattr(owner.station, "index", None)
    if isinstance(owner, Connection):
        return getattr(owner._path.station, "index", None)  # noqa: SLF001 - nobody else asks whose it is
    if isinstance(owner, GatewayHost):
        return GATEWAY
    if isinstance(owner, BrokerHost):
        return BROKER
    return WORLD if isinstance(owner, World | Timeline | Heals) else None
