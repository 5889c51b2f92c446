"""Something that must come to pass in time, and may have to stay: the base of all `eventually` checks.

Decides from when a wait counts, when it is over and how it ended. Leaves out what is waited for.

It must *begin* to be true within the time, and then be true at each look for the quiet period; from then on
it is judged true, whatever comes later. It is looked at every minute (costly measures: every five), at
every deadline and at the end; what comes and goes between two looks is not seen. A wait that the end of
the run, or the freeze of the liveness mode, cuts short is not judged. With `quiet_after` a wait begins when no fault of the timeline has
lasted for so long, and a fault that begins takes it back: nobody is judged in the middle of hardship.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from devicesdk.wire.timebase import SECOND, format_duration
from devicesim.report.record import CheckKind
from devicesim.world.bands import Lasting
from devicesim.world.checks.check import Check
from devicesim.world.liveness import frozen_ns
from devicesim.world.readings import LOOK_COSTLY_NS, accept_ns

if TYPE_CHECKING:
    from devicesim.scenario.promises import Wait
    from devicesim.world.world import World

_NOT_YET = -1


class Waiting(Check, ABC):
    """Base: waits for `holds`.

    Args:
        world: what is watched.
        wait: for how long, since when.
        costly: whether a look goes over the whole fleet.
    """

    name: ClassVar[str] = "eventually"
    kind: ClassVar[CheckKind] = "eventually"

    def __init__(self, world: World, wait: Wait, *, costly: bool) -> None:
        super().__init__(world)
        self._costly, self._quiet_ns = costly, wait.quiet_ns
        self._within_ns = wait.within_ns + (accept_ns(world) if wait.accepts else 0)
        after, self._calm_ns = wait.after, wait.quiet_after_ns
        self._keys = [a.key for a in world.scenario.timeline if after in (a.key, a.verb, a.id)]
        self._lasting = Lasting(world.scenario)
        self._calm_at = _NOT_YET
        self._frozen_ns = frozen_ns(world)
        self._waiting: list[int] = [0] if after is None and self._calm_ns is None else []
        self._true_since = _NOT_YET
        self._slowest_ns = _NOT_YET

    @abstractmethod
    def holds(self) -> bool | None:
        """Whether it is true now; None: nobody knows."""

    @abstractmethod
    def found(self) -> str:
        """What is there instead, for the story of a failure."""

    def accuse(self) -> None:
        """Say who is to blame, at the first failure; whoever knows no names says nothing."""

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """Time counts from the end of the action, or of the last one."""
        if self._calm_ns is not None:
            self._calm(verb, phase, devices, now)
        elif phase == "end" and verb in self._keys:
            self._waiting.append(now)

    def _calm(self, verb: str, phase: str, devices: int, now: int) -> None:
        assert self._calm_ns is not None
        if phase == "begin":
            self._lasting.begins(verb, devices, now)
        else:
            self._lasting.ends(verb)
        if self._lasting.active:
            self._calm_at = self._true_since = _NOT_YET
            self._waiting.clear()
        else:
            self._calm_at = now + self._calm_ns

    def checkpoint(self, now: int) -> None:
        """Has it come to pass?"""
        if now >= self._frozen_ns:
            self._waiting.clear()
            return
        if 0 <= self._calm_at <= now:
            self._waiting.append(self._calm_at)
            self._calm_at = _NOT_YET
        if not self._waiting:
            return
        due = self._waiting[0] + self._within_ns <= now
        if due or not self._costly or now % LOOK_COSTLY_NS == 0:
            self._look(now)

    def ended(self, now: int) -> None:
        """The last look."""
        if self._waiting and now < self._frozen_ns:
            self._look(now)

    def _look(self, now: int) -> None:
        if self.holds() is not True:
            self._true_since = _NOT_YET
        elif self._true_since < 0:
            self._true_since = now
        self._waiting = [since for since in self._waiting if self._goes_on(since, now)]
        if not self._waiting:
            self._true_since = _NOT_YET

    def _goes_on(self, since: int, now: int) -> bool:
        """Whether one wait is not over yet; if it is, judge it."""
        began = max(self._true_since, since) if self._true_since >= 0 else _NOT_YET
        if began >= 0 and now - began >= self._quiet_ns:
            self.judged += 1
            self._slowest_ns = max(self._slowest_ns, began - since)
            return False
        late = since + self._within_ns <= now
        if late and (began < 0 or began > since + self._within_ns):
            self.judged += 1
            after = format_duration((now - since) // SECOND * SECOND)
            self.fail(now, f"expected {self.title}, found {self.found()} after {after}")
            if self.failures == 1:
                self.accuse()
            return False
        return True

    def story(self) -> str:
        """How long it took, when it held."""
        if self.failures or self._slowest_ns < 0:
            return super().story()
        return f"held after {format_duration(self._slowest_ns)} at the latest"
