"""What expressions read: every metric and measure now, and as it was before the first fault.

Decides how the metrics of `devicesim.scenario.expression.MORE` are computed and what *before* means: the
mean of one look a minute (costly measures: five) over at most half an hour up to the beginning of the
first fault. Leaves out measures and the metrics of triggers (measures.py), and the comparisons
(checks/promises.py).

Rules: made only where a scenario has an expression, and counts only what its expressions read, so that
every other scenario pays nothing. A baseline that no minute went into is unknown, not zero.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import MINUTE, SECOND
from devicesim.scenario.checks import MEASURES
from devicesim.scenario.promises import Promise
from devicesim.scenario.services import UNLIMITED_PER_S
from devicesim.world.bands import Lasting
from devicesim.world.watch import Watcher

if TYPE_CHECKING:
    from devicesim.scenario.checks import Checks
    from devicesim.scenario.expression import Expression, Reading
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.measures import Meter
    from devicesim.world.session_meter import Part
    from devicesim.world.world import World

Number = float | int
COSTLY: Final = frozenset(
    {
        "stuck",
        "versions",
        "bricked",
        "loss",
        "throttled_ratio",
        "fleet.throttled_ratio",
        "inference_p95",
    }
)
"""For these the whole fleet is looked at; membership only."""
LOOK_COSTLY_NS: Final = 5 * MINUTE
BEFORE_LOOKS_MAX: Final = 30
_CONNECTS: Final = "fleet.connects_per_minute"


def promises_of(checks: Checks) -> list[Promise]:
    """All promises with an expression, in the order of the parts."""
    parts = (checks.always, checks.sometimes, checks.eventually, checks.at_end, checks.slo)
    return [item for part in parts for item in part if isinstance(item, Promise)]


def is_costly(expression: Expression) -> bool:
    """Whether reading it looks at the whole fleet."""
    return any(reading.metric.pattern in COSTLY for reading in expression.readings())


def accept_ns(world: World) -> int:
    """How long the broker takes to accept the whole fleet; 0 where it accepts at once."""
    rate = world.scenario.broker.accept_rate_per_s
    return 0 if rate >= UNLIMITED_PER_S else int(len(world.hosts) / rate * SECOND)


class Readings(Watcher):
    """Reads for the expressions of one run.

    Args:
        world: what is measured.
        meter: reads measures and the metrics of triggers.
        expressions: all that there are.
    """

    def __init__(self, world: World, meter: Meter, expressions: Iterable[Expression]) -> None:
        self._world, self._meter = world, meter
        self._lasting = Lasting(world.scenario)
        self._begun = False
        read = [reading for one in expressions for reading in one.readings()]
        self._past: dict[str, tuple[Reading, deque[Number]]] = {
            reading.metric.text: (reading, deque(maxlen=BEFORE_LOOKS_MAX))
            for reading in read
            if reading.before
        }
        self._tries = self._tries_last_minute = 0
        self._more: dict[str, Callable[[], Number]] = {
            "fleet.devices": lambda: len(world.hosts),
            "fleet.offline": lambda: len(world.hosts) - meter.sessions.online_count,
            _CONNECTS: lambda: self._tries_last_minute,
            "broker.accept_time": lambda: accept_ns(world),
            "gateway.inbox": world.gateway.on_the_wire,
            "faults.active": lambda: self._lasting.active,
        }
        if any(reading.metric.pattern == _CONNECTS for reading in read):
            world.watch.attempted.append(self._tried)

    def read(self, reading: Reading) -> Number | None:
        """The value of a reading, in the unit of its kind; None: nobody knows.

        Raises:
            KeyError: no such metric.
        """
        if reading.before:
            known = self._past[reading.metric.text][1]
            return sum(known) / len(known) if known else None
        return self._now(reading)

    def _now(self, reading: Reading) -> Number | None:
        pattern, subject = reading.metric.pattern, reading.metric.subject
        if pattern in MEASURES:
            return self._meter.read(pattern)
        if pattern in self._more:
            return self._more[pattern]()
        what = pattern.rpartition(".")[2]
        if subject is not None and subject[0] in ("group", "region") and what != "online_ratio":
            part = self._part(*subject)
            return part.count if what == "devices" else part.online
        return self._meter.read_metric(reading.metric)

    def _part(self, family: str, name: str) -> Part:
        sessions = self._meter.sessions
        return (sessions.groups if family == "group" else sessions.regions)[name]

    # -- moments --------------------------------------------------------------------------------

    def _tried(self, host: DeviceHost, now: int) -> None:
        del host, now
        self._tries += 1

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """What was before is over with the first fault."""
        if phase == "begin":
            self._begun = True
            self._lasting.begins(verb, devices, now)
        else:
            self._lasting.ends(verb)

    def checkpoint(self, now: int) -> None:
        """A look at what is compared with later."""
        self._tries_last_minute, self._tries = self._tries, 0
        if self._begun:
            return
        for reading, known in self._past.values():
            if reading.metric.pattern in COSTLY and now % LOOK_COSTLY_NS:
                continue
            value = self._now(reading)
            if value is not None:
                known.append(value)
