"""Devices that are neither done nor making progress.

Decides what counts as progress and how long its absence may last. Leaves out why (a story tells).

A device that has power is stuck when, for too long,

* its path is clear and the broker listens, and it is not connected;
* it has an update in hand that nothing holds back, it is connected, and no state changed and no byte
  was written;
* it is connected and was sent a want that it has not heard, or has heard one that it does not report.

Waiting for a window, power or coolness is not being stuck, nor is being off, nor is resting: a staged
image waits for a flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import Have, UpdateState, Want
from devicesdk.wire.timebase import MINUTE
from devicesim.world.hearing import Listener

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

OFFLINE_NS: Final = 15 * MINUTE
STILL_NS: Final = 30 * MINUTE
UNHEARD_NS: Final = 60 * MINUTE
"""The gateway asks again after 30 minutes of silence, and looks every ten."""
_MOVING: Final = frozenset(
    {
        UpdateState.DOWNLOADING,
        UpdateState.DOWNLOADED,
        UpdateState.VERIFIED,
        UpdateState.TRIAL,
    }
)


class Stuck(Listener):
    """Follows every device's progress.

    Args:
        world: what is watched.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        count = len(world.hosts)
        self._moved_at = [0] * count
        self._linked_at = [0] * count
        self._state: list[int] = [UpdateState.IDLE] * count
        self._sent = [(0, 0)] * count
        self._heard = [(0, 0)] * count
        self._told = [0] * count

    def booted(self, host: DeviceHost, now: int) -> None:
        """A beginning."""
        self._moved_at[host.index] = self._linked_at[host.index] = now

    def connected(self, host: DeviceHost, now: int) -> None:
        """Back."""
        self._moved_at[host.index] = self._linked_at[host.index] = now

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """Away."""
        del reason
        self._linked_at[host.index] = now

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A state changed."""
        if effect.kind == NoteKind.UPDATE_STATE:
            self._state[host.index] = effect.a
            self._moved_at[host.index] = now
        elif effect.kind == NoteKind.TOLD_TO_WAIT:
            self._moved_at[host.index] = now

    def stored(self, host: DeviceHost, effect: ask.Write | ask.Save | ask.Delete, now: int) -> None:
        """Bytes were written."""
        del effect
        self._moved_at[host.index] = now

    def wanted(self, device: str, want: Want, now: int) -> None:
        """Something is wanted of a device."""
        index = self._world.numbers[device]
        if want.generation > self._sent[index][0]:
            self._sent[index] = (want.generation, now)

    def heard_want(self, host: DeviceHost, want: Want, now: int) -> None:
        """It knows."""
        if want.generation > self._heard[host.index][0]:
            self._heard[host.index] = (want.generation, now)

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """It says that it knows."""
        del now
        self._told[host.index] = max(self._told[host.index], have.generation)

    def is_moving(self, host: DeviceHost) -> bool:
        """Whether a device has an update in hand that nothing holds back."""
        return self._state[host.index] in _MOVING

    def find(self, now: int) -> list[DeviceHost]:
        """The devices that are stuck."""
        return [host for host in self._world.hosts if host.on and self._is_stuck(host, now)]

    def since(self, host: DeviceHost) -> int:
        """When a device last made progress."""
        index = host.index
        return max(self._linked_at[index], self._moved_at[index] if host.online else 0)

    def _is_stuck(self, host: DeviceHost, now: int) -> bool:
        index, path = host.index, host.path
        if not host.online:
            since = max(self._linked_at[index], path.cleared_at)
            free = not path.black and path.gates is None and self._world.broker.up
            return free and now - since > OFFLINE_NS
        if self._state[index] in _MOVING and now - self._moved_at[index] > STILL_NS:
            return True
        sent, heard, since = self._sent[index], self._heard[index], self._linked_at[index]
        if sent[0] > heard[0] and now - max(sent[1], since) > UNHEARD_NS:
            return True
        return heard[0] > self._told[index] and now - max(heard[1], since) > STILL_NS
