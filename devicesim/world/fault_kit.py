"""What the functions of all faults share.

Decides the form of a fault (a function that begins it and returns what undoes it) and how faults of one
kind that lie over the world at the same time count together. Leaves out the faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

Undo = Callable[[int], None]
Begin = Callable[["World", Any, "list[DeviceHost]", int], Undo | None]


def each(hosts: list[DeviceHost], action: Callable[[DeviceHost, int], None]) -> Undo:
    """Undo device by device."""

    def undo(now: int) -> None:
        for host in hosts:
            action(host, now)

    return undo


class Layers:
    """Values that faults have laid over the world, by kind; the order in which they end is free."""

    __slots__ = ("_laid", "_number")

    def __init__(self) -> None:
        self._laid: dict[str, dict[int, Any]] = {}
        self._number = 0

    def lay(self, kind: str, value: Any, changed: Callable[[list[Any]], None]) -> Undo:
        """Lay one more; `changed` hears all values that lie there, now and when this one is lifted."""
        laid = self._laid.setdefault(kind, {})
        self._number += 1
        number = self._number
        laid[number] = value
        changed(list(laid.values()))

        def undo(now: int) -> None:
            del now
            del laid[number]
            changed(list(laid.values()))

        return undo
