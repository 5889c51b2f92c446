"""Checks that a user wrote: an expression over metrics and measures.

Decides when an expression is looked at: once a virtual minute (every five, if it reads what costs a look
at the whole fleet), whenever a fault has ended, and at the end. Leaves out the values (readings.py).

Rules: what cannot be known is not judged; a promise that breaks is one failure until it holds again, and
tells the values that it read. `always` begins when the fleet has booted, unless it says ``from``; what
comes and goes between two looks is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.wire.timebase import HOUR, MINUTE, NEVER
from devicesim.report.record import CheckKind
from devicesim.scenario.expression import Expression, spell
from devicesim.scenario.promises import Promise
from devicesim.world.checks.check import Check
from devicesim.world.checks.sometimes import Sometimes
from devicesim.world.checks.waiting import Waiting
from devicesim.world.liveness import frozen_ns
from devicesim.world.readings import LOOK_COSTLY_NS, Readings, is_costly

if TYPE_CHECKING:
    from devicesim.world.world import World

SETTLE_NS: Final = 5 * MINUTE
"""After the last first boot of a fleet: time to connect."""


def booted_ns(world: World) -> int:
    """When the whole fleet has booted and had time to connect: the first window, and a little."""
    windows = [host.parts.config.window_ns for host in world.hosts]
    return min(HOUR, max(windows, default=0)) + SETTLE_NS


def last_look_ns(world: World, must: Promise) -> int:
    """Until when something is looked at: as it says, and not beyond a freeze."""
    return min(NEVER if must.until_ns is None else must.until_ns, frozen_ns(world) - 1)


def values(expression: Expression, readings: Readings) -> str:
    """What the failing parts of an expression read, for people."""
    read = expression.failing(readings.read)
    return ", ".join(f"{one} {spell(one.kind, readings.read(one))}" for one in read)


class Looking(Check):
    """Base of those that look at an expression again and again.

    Args:
        world: what is watched.
        readings: its values.
        must: the promise.
        from_ns: when the first look is, unless the promise says so.
    """

    def __init__(self, world: World, readings: Readings, must: Promise, from_ns: int) -> None:
        super().__init__(world)
        self._readings, self._must = readings, must
        self._from_ns = from_ns if must.from_ns is None else must.from_ns
        self._until_ns = last_look_ns(world, must)
        self._costly = is_costly(must.expect)

    @property
    def title(self) -> str:
        """Its name, else the expression."""
        return str(self._must)

    def checkpoint(self, now: int) -> None:
        """A minute."""
        if not self._costly or now % LOOK_COSTLY_NS == 0:
            self._look(now)

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """The end of a fault: what it brought about is there until then, and what was promised after it."""
        del verb, devices
        if phase == "end":
            self._look(now)

    def ended(self, now: int) -> None:
        """The last look."""
        self._look(now)

    def _look(self, now: int) -> None:
        if self._from_ns <= now <= self._until_ns:
            self._seen(self._must.expect.holds(self._readings.read), now)

    def _seen(self, true: bool | None, now: int) -> None:  # noqa: FBT001 - an answer, not a switch
        """What the look found; None: it cannot be known."""
        raise NotImplementedError


class AlwaysPromise(Looking):
    """An expression that must be true at every look."""

    name: ClassVar[str] = "always"
    kind: ClassVar[CheckKind] = "always"

    def __init__(self, world: World, readings: Readings, must: Promise) -> None:
        super().__init__(world, readings, must, booted_ns(world))
        self._broken = False

    def _seen(self, true: bool | None, now: int) -> None:  # noqa: FBT001 - as in the base
        if true is None:
            return
        self.judged += 1
        if not true and not self._broken:
            found = values(self._must.expect, self._readings)
            self.fail(now, f"expected {self._must.expect}, found {found}")
        self._broken = not true


class SometimesPromise(Looking, Sometimes):
    """An expression that must be true at one look at least; counts how often it became true."""

    name: ClassVar[str] = "sometimes"

    def __init__(self, world: World, readings: Readings, must: Promise) -> None:
        super().__init__(world, readings, must, 0)
        self._true = False

    def _seen(self, true: bool | None, now: int) -> None:  # noqa: FBT001 - as in the base
        if true and not self._true:
            self.see(now)
        self._true = bool(true)


class EventuallyPromise(Waiting):
    """An expression that must become true in time.

    Args:
        world: what is watched.
        readings: its values.
        must: the promise, with its wait.
    """

    def __init__(self, world: World, readings: Readings, must: Promise) -> None:
        assert must.wait is not None
        super().__init__(world, must.wait, costly=is_costly(must.expect))
        self._readings, self._must = readings, must

    @property
    def title(self) -> str:
        """Its name, else the expression, and the wait."""
        return str(self._must)

    def holds(self) -> bool | None:
        """Ask the expression."""
        return self._must.expect.holds(self._readings.read)

    def found(self) -> str:
        """The values of what is not true."""
        return values(self._must.expect, self._readings)


class EndPromise(Check):
    """An expression that must be true at the end.

    Args:
        world: what is watched.
        readings: its values.
        must: the promise.
    """

    name: ClassVar[str] = "finally"
    kind: ClassVar[CheckKind] = "finally"

    def __init__(self, world: World, readings: Readings, must: Promise) -> None:
        super().__init__(world)
        self._readings, self._must = readings, must
        self._found = ""

    @property
    def title(self) -> str:
        """Its name, else the expression."""
        return str(self._must)

    def ended(self, now: int) -> None:
        """Compare."""
        expect = self._must.expect
        self._found = ", ".join(
            f"{one} {spell(one.kind, self._readings.read(one))}" for one in expect.readings()
        )
        true = expect.holds(self._readings.read)
        if true is not None:
            self.judged = 1
            if not true:
                self.fail(now, f"expected {expect}, found {values(expect, self._readings)}")

    def story(self) -> str:
        """What was found, whatever the verdict."""
        return super().story() or self._found


class LevelPromise(EndPromise):
    """A service level over the whole run, as an expression."""

    name: ClassVar[str] = "slo"
    kind: ClassVar[CheckKind] = "slo"
