"""Checks over measures: what must come to pass in time, hold at the end, or over the whole run.

Decides when a measure is compared and what its absence means: a percentile of nothing is not judged.
Leaves out the measures themselves (`devicesim.world.measures`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from devicesdk.wire.timebase import format_duration
from devicesim.report.record import CheckKind
from devicesim.scenario import expression
from devicesim.scenario.checks import MEASURES, Eventually, Measured
from devicesim.scenario.values import Kind
from devicesim.world.checks import holdouts
from devicesim.world.checks.check import Check
from devicesim.world.checks.waiting import Waiting
from devicesim.world.readings import COSTLY

if TYPE_CHECKING:
    from devicesim.world.measures import Meter
    from devicesim.world.world import World


Finder = Callable[[Measured], list[holdouts.Holdout]]
"""Finds who keeps a measure from what it should be."""


def _nobody(must: Measured) -> list[holdouts.Holdout]:
    """Nobody in particular."""
    del must
    return []


def spell(measure: str, value: float) -> str:
    """A value of a measure for people, in the unit of its kind."""
    return expression.spell(MEASURES[measure][0], value)


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


class EventuallyCheck(Waiting):
    """A measure that must hold within a time after each end of an action, or after the start."""

    def __init__(self, world: World, meter: Meter, must: Eventually) -> None:
        super().__init__(world, must.wait, costly=must.measure in COSTLY)
        self._meter, self._must = meter, must
        self.holdouts: Finder = _nobody

    @property
    def title(self) -> str:
        """The measure, its comparison, and since when."""
        return str(self._must)

    def holds(self) -> bool | None:
        """Compare; of nothing to measure nobody knows."""
        value = self._meter.read(self._must.measure)
        return None if value is None else self._must.must.holds(value)

    def accuse(self) -> None:
        """Those who keep the measure from what it should be."""
        self.blame(
            [one.who for one in self.holdouts(Measured(self._must.measure, self._must.must))]
        )

    def found(self) -> str:
        """The value."""
        value = self._meter.read(self._must.measure)
        return "nothing to measure" if value is None else spell(self._must.measure, value)
