"""Who is online, how long it took to come back, and how fast kills and flags reach those who are.

Decides when a latency begins: with the path clear *and* the broker listening *and* the device awake,
for devices that could have been quicker. Leaves out updates (update_meter.py).

Rule: *online* is what the device believes, as a live session is one that its owner uses; whoever is off
is not online.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire import topics
from devicesim.world.hearing import Hearing, Listener
from devicesim.world.latencies import Latencies, nearest_rank
from devicesim.world.waits import Waits

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World
    from gateway.core import effects as gw

_KILL: Final = "kill"
_WAITS, _NOT_MEANT = -1, -2
SPREADS_TOLD_MAX: Final = 200
"""Kill lists and flags, from the first one on, that a report tells of."""


class Part:
    """A named part of the fleet (a group, a region): how many there are, how many are online."""

    __slots__ = ("count", "online")

    def __init__(self) -> None:
        self.count = self.online = 0

    @property
    def ratio(self) -> float:
        """Share online; 0 of nobody."""
        return self.online / self.count if self.count else 0.0


class Spread:
    """One version of the kill list, or one revision of a segment's flags, on its way to the fleet."""

    __slots__ = ("at_ns", "latencies", "told", "what")

    def __init__(self, at_ns: int, what: str, *, told: bool) -> None:
        self.at_ns, self.what = at_ns, what
        self.told = told
        """Whether it is among those that are reported; of the others no latencies are kept."""
        self.latencies = Latencies()


class Believed:
    """One kill list, and those who believed that they were online when it set out."""

    __slots__ = ("_at_ns", "_took")

    def __init__(self, at_ns: int, online: bytearray) -> None:
        self._at_ns = at_ns
        # Eight bytes a device, whoever is meant: a long run has many kill lists.
        self._took = array("q", [_WAITS if on else _NOT_MEANT for on in online])

    def obeyed(self, index: int, took: int) -> None:
        """It got there; of a device the first time counts."""
        if self._took[index] == _WAITS:
            self._took[index] = took

    def waits(self, now: int) -> list[int]:
        """How long each took, ns; who has not obeyed yet waits until `now`."""
        waited = now - self._at_ns
        return [took if took >= 0 else waited for took in self._took if took != _NOT_MEANT]


class SessionMeter(Listener):
    """Follows sessions.

    Args:
        world: whose sessions.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        count = len(world.hosts)
        self.online = bytearray(count)
        self.online_count = 0
        self.connected_at = [0] * count
        self._away = Waits(world)
        self.waits = array("q", bytes(8 * count))
        """Time each device spent away while it could have been back, the waits that are over."""
        self.wait_longest = array("q", bytes(8 * count))
        self.returns = array("q", bytes(8 * count))
        """How often each device came back."""
        self.kill_ns = array("q", [-1]) * count
        """Longest time from a kill to the device that obeyed; -1: none."""
        self.reconnects, self.kills = Latencies(), Latencies()
        self._believed: dict[str, Believed] = {}
        self.spreads: dict[str, Spread] = {}
        """Kill lists and flags by name and version, in the order in which they were published."""
        self.groups, self.regions = self._parts("group"), self._parts("region")
        self._part_of = [
            (self.groups[h.parts.labels["group"]], self.regions[h.parts.labels["region"]])
            for h in world.hosts
        ]

    def _parts(self, label: str) -> dict[str, Part]:
        parts: dict[str, Part] = {}
        for host in self._world.hosts:
            parts.setdefault(host.parts.labels[label], Part()).count += 1
        return parts

    @property
    def online_ratio(self) -> float:
        """Share of all devices."""
        return self.online_count / max(1, len(self.online))

    def offline(self) -> list[tuple[int, int | None]]:
        """Devices without a session, and since when; None of one that has no power, or never had one."""
        return [(i, self._away.since(i)) for i, on in enumerate(self.online) if not on]

    def reached(self, host: DeviceHost, since: int) -> bool:
        """Whether a device has been online on a clear path since an instant."""
        index, path = host.index, host.path
        if not self.online[index] or self.connected_at[index] > since:
            return False
        return path.cleared_at <= since and not path.black

    def connected(self, host: DeviceHost, now: int) -> None:
        """Online; how long was that possible before?"""
        index = host.index
        self.connected_at[index] = now
        if not self.online[index]:
            self.online[index] = 1
            self._count(index, 1)
        took = self._away.connected(host, now)
        if took is not None:
            self.reconnects.add(now, took)
            self.returns[index] += 1
            self.waits[index] += took
            self.wait_longest[index] = max(took, self.wait_longest[index])

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """Offline, and wants back."""
        del reason
        self._offline(host.index)
        self._away.disconnected(host, now)

    def went_off(self, host: DeviceHost, now: int) -> None:
        """Offline, and waiting for power."""
        del now
        self._offline(host.index)
        self._away.went_off(host)

    def booted(self, host: DeviceHost, now: int) -> None:
        """Power is back: now it wants back, too."""
        self._away.booted(host, now)

    def _offline(self, index: int) -> None:
        if self.online[index]:
            self.online[index] = 0
            self._count(index, -1)

    def _count(self, index: int, step: int) -> None:
        self.online_count += step
        for part in self._part_of[index]:
            part.online += step

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """The broker goes, or comes back."""
        del phase, devices
        self._away.faulted(verb, now)

    def gateway_published(self, effect: gw.Publish, now: int) -> None:
        """A kill list or flags set out; what is published again is not counted anew."""
        if effect.kind not in (topics.KILL, topics.FLAGS):
            return
        segment, number = Hearing.version(effect)
        name = f"{segment or _KILL}:{number}"
        if name not in self.spreads:
            what = f"flags of {segment}, revision {number}" if segment else f"kill list {number}"
            told = len(self.spreads) < SPREADS_TOLD_MAX
            self.spreads[name] = Spread(now, what, told=told)
            if not segment:
                self._believed[name] = Believed(now, self.online)

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """An agent obeys a kill list, or takes flags."""
        if effect.kind == NoteKind.KILL_OBEYED:
            self._obeyed(f"{_KILL}:{effect.a}", host, now)
        elif effect.kind == NoteKind.FLAGS_TAKEN:
            self._obeyed(f"{host.parts.config.segment}:{effect.a}", host, now)

    def _obeyed(self, name: str, host: DeviceHost, now: int) -> None:
        spread = self.spreads.get(name)
        if spread is None:
            return
        took = now - spread.at_ns
        if spread.told:
            spread.latencies.add(now, took)
        if name.startswith(f"{_KILL}:"):
            self.kill_ns[host.index] = max(took, self.kill_ns[host.index])
            self._believed[name].obeyed(host.index, took)
            if self.reached(host, spread.at_ns):
                self.kills.add(now, took)

    def kill_believed_ns(self, share: float) -> int | None:
        """A percentile over all kills and all who believed they would hear of them; None of nobody."""
        now = self._world.now
        return nearest_rank(
            sorted(took for kill in self._believed.values() for took in kill.waits(now)), share
        )

    def waiting_ns(self, host: DeviceHost, now: int) -> int:
        """How long a device that is away at `now` could have been back already."""
        return self._away.so_far(host, now)
