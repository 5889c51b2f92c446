"""Devices that follow a recording: who follows whom, and how well they do.

Decides which device of a group plays which one of the recording, what its link's availability is then,
how it backs off, and what of its presence is measured. Leaves out the recording itself
(`devicesim.recordings`) and the curves' comparison (its curve.py).

Theory of operation. The recording takes the place of the link's own availability: where it says *up*
there is a carrier, elsewhere there is none. A carrier that comes wakes the agent, which waits its
back-off and connects. So that recorded presence is what is rehearsed, devices that follow a recording
back off for `EAGER` at most, unless their group says ``reconnect: agent``.

Rules: by id when the recording has every id of the group, in its own order otherwise, over again when
there are more devices than it has; nothing is drawn. What no scenario asks for costs nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from devicesdk.agent.config import BackoffConfig
from devicesdk.wire.timebase import MINUTE, MS
from devicesim.models.availability import Outages
from devicesim.recordings.curve import Deviation, compare, online_curve
from devicesim.recordings.intervals import Recording, RecordingError, pairs
from devicesim.world.watch import Watcher

if TYPE_CHECKING:
    from devicesim.scenario.population import DeviceSpec
    from devicesim.scenario.schema import Scenario
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

EAGER: Final = BackoffConfig(50 * MS, 250 * MS, 0, "decorrelated")
"""The back-off of a device whose recording says when it was back."""
BOOT_SPREAD_NS: Final = 100 * MS
"""Those who were connected when the recording began boot within so long."""


class Followed(msgspec.Struct, frozen=True):
    """What the devices of one world follow."""

    edges: dict[int, array[int]]
    """For each device, by its index: up, down, up, down, ... in ns from the start."""
    until: int
    """The end of the run, ns."""
    unknown: tuple[tuple[int, int], ...] = ()

    def availability(self, index: int) -> Outages | None:
        """The availability of a device's link; None of one that follows nothing."""
        edges = self.edges.get(index)
        return None if edges is None else outages_of(edges, self.until)


def outages_of(edges: array[int], until: int) -> Outages:
    """The availability of a link that is there when `edges` say so.

    Args:
        edges: up, down, up, down, ... rising, ns.
        until: until when there is none after the last of them, ns.
    """
    gaps: list[tuple[int, int]] = []
    end = 0
    for up, down in pairs(edges):
        if up > end:
            gaps.append((end, up))
        end = down
    if end < until:
        gaps.append((end, until + MINUTE))
    return Outages(tuple(gaps))


def follow(
    scenario: Scenario, recordings: Mapping[str, Recording], fleet: Sequence[DeviceSpec]
) -> Followed:
    """What each device follows.

    Args:
        scenario: whose groups name recordings.
        recordings: by path.
        fleet: all devices.

    Raises:
        RecordingError: a group follows nobody, or its recording is missing.
    """
    until = scenario.clock.duration_ns
    specs: dict[str, list[DeviceSpec]] = {group.group: [] for group in scenario.fleet}
    for spec in fleet:
        specs[spec.group].append(spec)
    found: dict[int, array[int]] = {}
    unknown: dict[tuple[int, int], None] = {}
    for group in scenario.fleet:
        if group.presence is None:
            continue
        recording = recordings.get(group.presence.file)
        if recording is None:
            raise RecordingError(
                f"expected the recording {group.presence.file} of group {group.group}, "
                "found no such one in the stock"
            )
        models = _models(recording, group.presence.of, group.group, group.presence.file)
        known = frozenset(models)  # membership only
        named = all(spec.id in known for spec in specs[group.group])
        for number, spec in enumerate(specs[group.group]):
            model = spec.id if named else models[number % len(models)]
            found[spec.index] = _held(recording.edges[model], recording.length_ns, until)
        unknown.update(dict.fromkeys(recording.unknown))
    return Followed(found, until, tuple(unknown))


def _held(edges: array[int], length_ns: int, until: int) -> array[int]:
    """Presence in a run that may last longer than the recording: its last state holds."""
    if until <= length_ns or not edges or edges[-1] < length_ns:
        return edges
    return edges[:-1] + array("q", [until])


def _models(recording: Recording, wanted: str | None, group: str, file: str) -> list[str]:
    """The devices of the recording that a group may play."""
    groups = recording.groups
    name = group if wanted is None else wanted
    mine = [device for device in recording.edges if groups.get(device) == name]
    if mine or wanted is not None:
        if not mine:
            there = ", ".join(dict.fromkeys(groups.values())) or "none"
            raise RecordingError(
                f"expected a group {name} in {file}, found {there}; correct presence.of"
            )
        return mine
    return list(recording.edges)


class Replay(Watcher):
    """Measures how well a world follows its recording.

    Args:
        world: whose devices; `followed` says which.
        followed: what they follow.
    """

    def __init__(self, world: World, followed: Followed) -> None:
        self._world, self._followed = world, followed
        self._found = {index: array("q") for index in followed.edges}
        self._since: dict[int, int] = {}
        self._steps = sorted(
            (at, 1 - 2 * (number % 2))
            for edges in followed.edges.values()
            for number, at in enumerate(edges)
        )
        self._step = self._up = 0

    def recorded_at(self, now: int) -> int:
        """How many were online in the recording at `now`, which never goes back."""
        while self._step < len(self._steps) and self._steps[self._step][0] <= now:
            self._up += self._steps[self._step][1]
            self._step += 1
        return self._up

    def connected(self, host: DeviceHost, now: int) -> None:
        """There."""
        if host.index in self._found:
            self._since.setdefault(host.index, now)

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """Away."""
        del reason
        self._left(host.index, now)

    def went_off(self, host: DeviceHost, now: int) -> None:
        """Away, and off."""
        self._left(host.index, now)

    def _left(self, index: int, now: int) -> None:
        since = self._since.pop(index, None)
        if since is not None:
            self._found[index].extend((since, now))

    def deviation(self, now: int) -> Deviation:
        """Both curves up to `now`, by minute, and how far they are apart."""
        for index in list(self._since):
            since = self._since[index]
            self._left(index, now)
            self._since[index] = max(since, now)
        length = max(1, now)
        recorded = online_curve(self._followed.edges.values(), length)
        found = online_curve(self._found.values(), length)
        return compare(recorded, found, len(self._found), unknown=self._followed.unknown)

    def worst(self) -> float | None:
        """The greatest distance in any minute so far, as a share of the devices."""
        return self.deviation(self._world.now).worst
