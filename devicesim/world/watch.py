"""Where checks and observers look in: the moments at which the world calls them.

Decides the names of the moments. A check subclasses `Watcher` and overrides what it wants to see;
`Watch` keeps one list for each moment, with only those who override it, so that a moment that nobody
watches costs one empty loop. Watchers never change anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.broker.packets import Message
    from devicesim.world.device_host import DeviceHost
    from gateway.core import effects as gw

Moments = list[Callable[..., None]]


class Watcher:
    """One who looks; all methods do nothing unless overridden."""

    def booted(self, host: DeviceHost, now: int) -> None:
        """A device's agent was restored and is about to hear `Booted`."""

    def went_off(self, host: DeviceHost, now: int) -> None:
        """A device lost its power."""

    def attempted(self, host: DeviceHost, now: int) -> None:
        """A device tries to connect."""

    def connected(self, host: DeviceHost, now: int) -> None:
        """A device has its CONNACK."""

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """A device knows that its connection is gone."""

    def published(self, host: DeviceHost, effect: ask.Publish, now: int) -> None:
        """A device sends a message."""

    def received(self, host: DeviceHost, message: Message, now: int) -> None:
        """A message reached a device."""

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A device's agent says what happened."""

    def stored(self, host: DeviceHost, effect: ask.Write | ask.Save | ask.Delete, now: int) -> None:
        """A device writes, saves or deletes a file."""

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """A device runs another slot from now on."""

    def stood_by(self, host: DeviceHost, effect: ask.StandBy, now: int) -> None:
        """A device may run its inactive slot beside the active one from now on."""

    def tried(self, host: DeviceHost, effect: ask.RunModel, now: int) -> None:
        """A device begins a burst of, or shadowed by, what stands by."""

    def inferred(self, host: DeviceHost, frames: int, now: int) -> None:
        """A burst of this many inferences was executed on a device."""

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """The gateway asks for a row to be made durable."""

    def gateway_published(self, effect: gw.Publish, now: int) -> None:
        """The gateway publishes."""

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """The gateway says what it decided."""

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """A fault begins or ends (phase ``begin`` or ``end``)."""

    def checkpoint(self, now: int) -> None:
        """A virtual minute has passed."""

    def ended(self, now: int) -> None:
        """The run is over; nothing happens after this."""


MOMENTS: Final = tuple(
    name for name, value in vars(Watcher).items() if callable(value) and not name.startswith("_")
)


class Watch:
    """The watchers of one world, by moment."""

    __slots__ = ("watchers", *MOMENTS)

    activated: Moments
    attempted: Moments
    booted: Moments
    checkpoint: Moments
    connected: Moments
    disconnected: Moments
    ended: Moments
    faulted: Moments
    gateway_noted: Moments
    gateway_published: Moments
    inferred: Moments
    noted: Moments
    persisted: Moments
    published: Moments
    received: Moments
    stood_by: Moments
    stored: Moments
    tried: Moments
    went_off: Moments

    def __init__(self) -> None:
        self.watchers: list[Watcher] = []
        for moment in MOMENTS:
            setattr(self, moment, [])

    def add(self, watcher: Watcher) -> None:
        """Let `watcher` see the moments that its class overrides."""
        self.watchers.append(watcher)
        for moment in MOMENTS:
            method: Any = getattr(type(watcher), moment)
            if method is not getattr(Watcher, moment):
                getattr(self, moment).append(getattr(watcher, moment))
