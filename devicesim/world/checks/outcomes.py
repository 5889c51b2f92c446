"""Checks over measures: what must come to pass in time, hold at the end, or over the whole run.

Decides when a measure is compared and what its absence means: a percentile of nothing is not judged.
Leaves out the measures themselves (`devicesim.world.measures`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.wire.timebase import MINUTE, format_duration, to_seconds
from devicesim.report.record import CheckKind
from devicesim.scenario.checks import MEASURES, Eventually, Measured
from devicesim.scenario.values import Kind
from devicesim.world.checks import holdouts
from devicesim.world.checks.check import Check

if TYPE_CHECKING:
    from devicesim.world.measures import Meter
    from devicesim.world.world import World

COSTLY: Final = frozenset({"stuck", "versions", "bricked", "loss", "throttled_ratio"})
"""Measures for which the whole fleet is looked at; membership only."""
LOOK_COSTLY_NS: Final = 5 * MINUTE


Finder = Callable[[Measured], list[holdouts.Holdout]]
"""Finds who keeps a measure from what it should be."""


def _nobody(must: Measured) -> list[holdouts.Holdout]:
    """Nobody in particular."""
    del must
    return []


def spell(measure: str, value: float) -> str:
    """A value of a measure for people, in the unit of its kind."""
    kind = MEASURES[measure][0]
    if kind is Kind.DURATION:
        return format_duration(round(value))
    if kind is Kind.SHARE:
        return f"{100 * value:.2f} %"
    return f"{value:g}"


class MeasuredCheck(Check):
    """A measure compared once, at the end.

    Args:
        world: what is watched.
        meter: reads measures.
        must: the comparison.
    """

    def __init__(self, world: World, meter: Meter, must: Measured) -> None:
        super().__init__(world)
        self._meter, self._must = meter, must
        self.holdouts: Finder = _nobody
        self._read = ""

    @property
    def title(self) -> str:
        """The measure and its comparison."""
        return str(self._must)

    def ended(self, now: int) -> None:
        """Compare."""
        value = self._meter.read(self._must.measure)
        if value is None:
            self._read = "nothing to measure"
            return
        self.judged = 1
        self._read = spell(self._must.measure, value)
        late = self.world.stage.tolerance_ns
        if late and MEASURES[self._must.measure][0] is Kind.DURATION:
            value = max(0, value - late)
            self._read += f", of which {format_duration(late)} may be the machine's own"
        if not self._must.must.holds(value):
            self.fail(now, f"expected {self._must}, found {self._read}")
            found = self.holdouts(self._must)
            self.blame([one.who for one in found])
            self.since_ns = holdouts.since(self._must, found, len(self.world.hosts))

    def story(self) -> str:
        """What was found, whatever the verdict."""
        return super().story() or self._read


class Finally(MeasuredCheck):
    """Must hold at the end."""

    name: ClassVar[str] = "finally"
    kind: ClassVar[CheckKind] = "finally"


class ServiceLevel(MeasuredCheck):
    """A service level over the whole run."""

    name: ClassVar[str] = "slo"
    kind: ClassVar[CheckKind] = "slo"


class EventuallyCheck(Check):
    """A measure that must hold within a time after each end of an action, or after the start.

    Looked at every minute (costly measures: every five) and at the deadline. A wait that the end of
    the run cuts short is not judged.
    """

    name: ClassVar[str] = "eventually"
    kind: ClassVar[CheckKind] = "eventually"

    def __init__(self, world: World, meter: Meter, must: Eventually) -> None:
        super().__init__(world)
        self._meter, self._must = meter, must
        self.holdouts: Finder = _nobody
        after = must.after
        self._keys = [a.key for a in world.scenario.timeline if after in (a.key, a.verb, a.id)]
        self._waiting: list[int] = [0] if after is None else []
        self._slowest_ns = -1

    @property
    def title(self) -> str:
        """The measure, its comparison, and since when."""
        return str(self._must)

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """Time counts from here."""
        del devices
        if phase == "end" and verb in self._keys:
            self._waiting.append(now)

    def checkpoint(self, now: int) -> None:
        """Has it come to pass?"""
        if not self._waiting:
            return
        due = self._waiting[0] + self._must.within_ns <= now
        if due or self._must.measure not in COSTLY or now % LOOK_COSTLY_NS == 0:
            self._look(now)

    def ended(self, now: int) -> None:
        """The last look."""
        if self._waiting:
            self._look(now)

    def _look(self, now: int) -> None:
        value = self._meter.read(self._must.measure)
        if value is not None and self._must.must.holds(value):
            self.judged += len(self._waiting)
            self._slowest_ns = max(self._slowest_ns, now - self._waiting[0])
            self._waiting.clear()
            return
        while self._waiting and self._waiting[0] + self._must.within_ns <= now:
            since = self._waiting.pop(0)
            self.judged += 1
            found = "nothing to measure" if value is None else spell(self._must.measure, value)
            self.fail(
                now, f"expected {self._must}, found {found} after {to_seconds(now - since):.0f} s"
            )
            if self.failures == 1:
                must = Measured(self._must.measure, self._must.must)
                self.blame([one.who for one in self.holdouts(must)])

    def story(self) -> str:
        """How long it took, when it held."""
        if self.failures or self._slowest_ns < 0:
            return super().story()
        return f"held after {format_duration(self._slowest_ns)} at the latest"
