"""Choices of a run: which rule of its policy decided for whom, and who has stepped down.

Decides how decisions are counted, by rule and hardware class, and when a device counts as stepped down.
Leaves out the choosing (`devicesdk.agent.choosing`) and the panel (`devicesim.report.choices`).

Rules: a decision is counted once, however often its telemetry window is sent; a device has stepped down
while a rule other than the last of its policy is in force: the last one has no condition, it is how the
device works when nothing is in its way. A device that is off has no rule in force.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from devicesdk.agent.notes import NoteKind
from devicesim.scenario.choosing import PolicySource
from devicesim.world.hearing import Listener, Window

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World


class Decisions:
    """Decisions by rule and hardware class.

    Args:
        world: whose devices.
    """

    __slots__ = ("_classes", "_newest", "by_rule", "total")

    def __init__(self, world: World) -> None:
        self._classes = [host.parts.profile.hardware.hardware_class for host in world.hosts]
        self._newest: dict[int, tuple[int, int]] = {}
        self.by_rule: dict[str, dict[str, int]] = {}
        """How often each rule decided, by hardware class."""
        self.total = 0

    def take(self, host: DeviceHost, window: Window) -> dict[str, int]:
        """Count what a window says, and give what of it was new: of one that is sent again, nothing."""
        named, index = (window.boot_id, window.seq), host.index
        if window.rules is None or named <= self._newest.get(index, (0, 0)):
            return {}
        self._newest[index] = named
        hardware = self._classes[index]
        for rule, count in window.rules.items():
            row = self.by_rule.setdefault(rule, {})
            row[hardware] = row.get(hardware, 0) + count
            self.total += count
        return window.rules


class Stepped(Listener):
    """Who has stepped down; listens where a scenario has policies.

    Args:
        world: whose devices.
    """

    def __init__(self, world: World) -> None:
        count = len(world.hosts)
        self._last = array("q", [0]) * count
        self._down = bytearray(count)
        self.devices = 0
        """Devices that have stepped down."""

    @property
    def ratio(self) -> float:
        """`devices`, of all."""
        return self.devices / max(1, len(self._down))

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A policy comes or goes, or another of its rules is in force."""
        del now
        kind = effect.kind
        if kind == NoteKind.RULE_CHOSEN:
            self._set(host.index, down=effect.a < self._last[host.index])
        elif kind == NoteKind.POLICY_TAKEN:
            self._last[host.index] = effect.a - 1
            self._set(host.index, down=False)
        elif kind == NoteKind.POLICY_OFF:
            self._set(host.index, down=False)

    def went_off(self, host: DeviceHost, now: int) -> None:
        """No power, no rule."""
        del now
        self._set(host.index, down=False)

    def _set(self, index: int, *, down: bool) -> None:
        self.devices += down - self._down[index]
        self._down[index] = down


def wanted(world: World) -> bool:
    """Whether any policy is ever in force in this world."""
    scenario = world.scenario
    steps = any(isinstance(step.policy, PolicySource) for step in scenario.flags)
    return steps or any(scenario.choosing_of(group).policy for group in scenario.fleet)
