"""Which faults of the timeline last at an instant.

Decides when a fault is over: at the end of its own time, or, for faults of links, when a heal that
aims at the same devices (or at all of them) is over. Leaves out what faults do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesim.scenario.faults import Bandwidth, Heal, Latency, Loss, Partition
from devicesim.scenario.network_faults import CaptivePortal, DnsGone, Hold, NatTimeout
from devicesim.scenario.selector import All

if TYPE_CHECKING:
    from devicesim.scenario.schema import Scenario

_LINK_FAULTS: Final = (
    Partition, Latency, Bandwidth, Loss, Hold, CaptivePortal, NatTimeout, DnsGone,
)  # fmt: skip


class Lasting:
    """Follows begins and ends; the same key may be on more than once.

    Args:
        scenario: whose timeline it is.
    """

    __slots__ = ("_ends", "_since", "_until_healed", "begun")

    def __init__(self, scenario: Scenario) -> None:
        self._since: dict[str, list[tuple[int, int]]] = {}
        self.begun: dict[str, int] = {}
        """How often each key began."""
        self._until_healed = frozenset(
            action.key
            for action in scenario.timeline
            if isinstance(action, _LINK_FAULTS) and action.for_ns is None
        )
        self._ends: dict[str, list[str]] = {}
        for heal in scenario.timeline:
            if isinstance(heal, Heal) and heal.target is not None:
                self._ends[heal.key] = [
                    action.key
                    for action in scenario.timeline
                    if isinstance(action, _LINK_FAULTS)
                    and action.for_ns is None
                    and (
                        isinstance(heal.target.node, All) or str(heal.target) == str(action.target)
                    )
                ]

    def lasts(self, key: str) -> bool:
        """Whether a fault lasts now."""
        return bool(self._since.get(key))

    def heals(self, key: str) -> bool:
        """Whether a fault is one of links, that lasts until it is healed."""
        return key in self._until_healed

    @property
    def active(self) -> int:
        """How many last now."""
        return sum(len(ones) for ones in self._since.values())

    def now(self, clear_since_ns: int | None = None) -> list[tuple[str, int, int]]:
        """All that last, as (key, began, devices), in the order in which their keys first began.

        Args:
            clear_since_ns: since when nobody lies under a link fault any more (`Heals.clear_since_ns`): those that
                were healed part by part, and of which no heal alone was the end, last no longer.
        """
        return [
            (key, *one)
            for key, ones in self._since.items()
            for one in ones
            if clear_since_ns is None or one[0] > clear_since_ns or not self.heals(key)
        ]

    def begins(self, key: str, devices: int, now: int) -> None:
        """A fault begins on so many devices."""
        self._since.setdefault(key, []).append((now, devices))
        self.begun[key] = self.begun.get(key, 0) + 1

    def ends(self, key: str) -> list[tuple[str, int, int]]:
        """A fault ends; returns all that are over with it, as (key, began, devices)."""
        over = []
        waiting = self._since.get(key)
        if waiting:
            over.append((key, *waiting.pop(0)))
        for other in self._ends.get(key, ()):
            over += [(other, *one) for one in self._since.pop(other, ())]
        return over

    def rest(self) -> list[tuple[str, int, int]]:
        """All that last still, as (key, began, devices); they are over now."""
        over = [(key, *one) for key, ones in self._since.items() for one in ones]
        self._since.clear()
        return over
