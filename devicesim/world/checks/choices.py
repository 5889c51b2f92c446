"""What devices decided for themselves: a lighter way of working, the way back, and a refusal.

Decides when each has been seen. Leaves out how often which rule decided (`devicesim.world.choices`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import Have, UpdateState
from devicesim.world.checks.sometimes import Sometimes

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

_REFUSED: Final = (UpdateState.REJECTED, UpdateState.FAILED)


class RuleSteppedDown(Sometimes):
    """A rule that stands before the one in force took over."""

    name: ClassVar[str] = "rule_stepped_down"

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """From which rule to which?"""
        if effect.kind == NoteKind.RULE_CHOSEN and effect.a < effect.b:
            self.see(now, host)


class RuleSteppedBack(Sometimes):
    """A rule let go, and one that stands behind it took over."""

    name: ClassVar[str] = "rule_stepped_back"

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """From which rule to which? The first choice of a boot is no step."""
        if effect.kind == NoteKind.RULE_CHOSEN and effect.a > effect.b >= 0:
            self.see(now, host)


class RefusedBeforeTrial(Sometimes):
    """A device refused a bundle that was not for it, or that its kit found wanting, and never ran it."""

    name: ClassVar[str] = "refused_before_trial"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._tried: dict[int, int] = {}
        self._seen: dict[int, int] = {}

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A trial begins: whatever comes of this generation, it is no refusal."""
        del now
        if effect.kind == NoteKind.UPDATE_STATE and effect.a == UpdateState.TRIAL:
            self._tried[host.index] = effect.b

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """It says so, once or again."""
        index, generation = host.index, have.generation
        reason = have.reason
        if have.state not in _REFUSED or not (
            reason == "hardware" or reason.startswith("validation")
        ):
            return
        if generation not in (self._tried.get(index), self._seen.get(index)):
            self._seen[index] = generation
            self.see(now, host)
