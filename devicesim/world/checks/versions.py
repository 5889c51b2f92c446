"""The check that numbers only rise: generations, flag revisions, kill versions.

Decides whose numbers are followed: what the gateway publishes for each topic and device, and what each
device reports. Leaves out what the numbers stand for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire import topics
from devicesdk.wire.messages import Have, Want
from devicesim.world.checks.check import Check
from devicesim.world.hearing import Hearing

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World
    from gateway.core import effects as gw


_OPENED_BY: Final[dict[str, tuple[str, ...]]] = {
    NoteKind.DIRECTOR_REVOKED: ("generation",),
    NoteKind.FLAGS_REVOKED: ("flags_rev", "kill_version"),
}


class _Known:
    """The newest numbers of one device."""

    __slots__ = (
        "boot_id", "flags_rev", "generation", "kill_version", "open", "seq", "storage_failed",
    )  # fmt: skip

    def __init__(self) -> None:
        self.boot_id = self.seq = self.generation = self.flags_rev = self.kill_version = 0
        self.storage_failed = False
        self.open: dict[str, None] = {}
        """Numbers that may begin anew, because a key of whoever counts them was revoked."""


class VersionsRise(Check):
    """Generations, flag revisions and kill versions never go back, in what is published and in what
    devices report, also across boots and crashes.

    Excused is a device whose flash refused a write: after its next boot it knows what it knew; and one step
    back of what was signed by a key that the device has learnt to be revoked.
    """

    name: ClassVar[str] = "versions_rise"
    suspect: ClassVar[str] = "gateway"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._devices: dict[int, _Known] = {}
        self._wants: dict[str, tuple[int, bytes, bool]] = {}
        self._topics: dict[str, int] = {}

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A refused write, or a revoked key, excuses one step back."""
        del now
        if effect.kind == NoteKind.STORAGE_FAILED:
            self._devices.setdefault(host.index, _Known()).storage_failed = True
        elif effect.kind in _OPENED_BY:
            known = self._devices.setdefault(host.index, _Known())
            known.open.update(dict.fromkeys(_OPENED_BY[effect.kind]))

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """A device's numbers."""
        known = self._devices.setdefault(host.index, _Known())
        if (have.boot_id, have.seq) <= (known.boot_id, known.seq):
            return
        self.judged += 1
        excused = known.storage_failed and have.boot_id > known.boot_id
        for what in ("generation", "flags_rev", "kill_version"):
            before, after = getattr(known, what), getattr(have, what)
            if after < before and what in known.open:
                del known.open[what]
            elif after < before and not excused:
                word = what.replace("_", " ")
                self.fail(
                    now,
                    f"expected {word} {before} or newer, found the device back at {after}",
                    host,
                )
            setattr(known, what, after)
        if excused:
            known.storage_failed = False
        known.boot_id, known.seq = have.boot_id, have.seq

    def wanted(self, device: str, want: Want, now: int) -> None:
        """The gateway's generations of one device."""
        self.judged += 1
        old = self._wants.get(device)
        new = (want.generation, want.manifest, want.hold)
        if old is not None and want.generation < old[0]:
            host = self.world.host(device)
            self.fail(
                now, f"expected generation {old[0]} or newer to be wanted, found {new[0]}", host
            )
        elif old is not None and want.generation == old[0] and new != old:
            host = self.world.host(device)
            self.fail(now, f"expected generation {old[0]} to stand for one thing, found two", host)
        self._wants[device] = new

    def gateway_published(self, effect: gw.Publish, now: int) -> None:
        """Kill list and flags."""
        kind = effect.kind
        if kind not in (topics.KILL, topics.FLAGS):
            return
        _, version = Hearing.version(effect)
        self.judged += 1
        before = self._topics.get(effect.topic, 0)
        if version < before:
            self.fail(
                now, f"expected {effect.topic} at {before} or newer, found {version} published"
            )
        self._topics[effect.topic] = max(before, version)
