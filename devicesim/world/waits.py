"""How long each device waits for a session that it could have: what a back-off costs.

Decides when such a wait begins: with the loss of a session, or with the boot of a device that had one
before, and never before its path is clear *and* the broker is there. Leaves out what is made of it.

Rule: the first session of a device ends no wait: nothing was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicesim.scenario.faults import BrokerRestart

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World


class Waits:
    """Waits of all devices of a world; whoever has one tells it what happens.

    Args:
        world: whose devices.
    """

    __slots__ = ("_broker", "_broker_back_at", "_broker_keys", "_had_one", "_since")

    def __init__(self, world: World) -> None:
        count = len(world.hosts)
        self._broker = world.broker
        self._had_one = bytearray(count)
        self._since = [-1] * count
        self._broker_back_at = 0
        self._broker_keys = [a.key for a in world.scenario.timeline if isinstance(a, BrokerRestart)]

    def connected(self, host: DeviceHost, now: int) -> int | None:
        """A session: how long it took since it was possible, ns; None where nothing had been lost."""
        index = host.index
        since, self._since[index] = self._since[index], -1
        self._had_one[index] = 1
        return None if since < 0 else self._took(host, since, now)

    def disconnected(self, host: DeviceHost, now: int) -> None:
        """It wants back."""
        self._since[host.index] = now

    def went_off(self, host: DeviceHost) -> None:
        """Nobody waits without power."""
        self._since[host.index] = -1

    def booted(self, host: DeviceHost, now: int) -> None:
        """It wants back, if it has ever been there."""
        if self._had_one[host.index]:
            self._since[host.index] = now

    def faulted(self, key: str, now: int) -> None:
        """The broker goes, or comes back."""
        if key in self._broker_keys:
            self._broker_back_at = now

    def so_far(self, host: DeviceHost, now: int) -> int:
        """How long a device that is away at `now` could have been back already, ns."""
        since = self._since[host.index]
        if since < 0 or host.path.black or not self._broker.up:
            return 0
        return self._took(host, since, now)

    def since(self, index: int) -> int | None:
        """Since when a device has no session; None of one that has one, has no power, or never had one."""
        since = self._since[index]
        return None if since < 0 else since

    def _took(self, host: DeviceHost, since: int, now: int) -> int:
        return max(0, now - max(since, host.path.cleared_at, self._broker_back_at))
