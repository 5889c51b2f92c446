"""How each group of a fleet comes back: its online curve, its attempts, what they cost and gained.

Decides what is counted where groups come back in ways of their own, or a check asks. Leaves out the
waiting itself (`devicesdk.agent.backoff`) and what the fleet as a whole did (session_meter.py).

Rules: looking adds no event and draws nothing; an attempt is *wasted* when no session came of it; a point
of a curve of attempts is the busiest second of its stretch, because a herd is a matter of seconds; peaks are counted while the broker is there
to be hit. Other scenarios do not listen: `wanted` says who does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesdk.wire.timebase import SECOND, to_seconds
from devicesim.report.record import ReturnRow, Series
from devicesim.scenario.promises import Promise
from devicesim.world.latencies import Latencies
from devicesim.world.waits import Waits
from devicesim.world.watch import Watcher

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

MEASURES: Final = ("connects_peak", "connects_wasted", "reconnect_worst_group")
POINTS_MAX: Final = 1_440
STEP_NS_MIN: Final = 10 * SECOND
TOGETHER_MAX: Final = 6
"""Groups that one panel tells apart; more are shown in two, those without jitter in their own."""


def wanted(world: World) -> bool:
    """Whether groups come back in ways of their own, or a check asks about it."""
    scenario = world.scenario
    checks = scenario.checks
    said = (*checks.eventually, *checks.at_end, *checks.slo)
    asked = {one.measure for one in said if not isinstance(one, Promise)}
    own = any(group.backoff is not None for group in scenario.fleet)
    return own or not asked.isdisjoint(MEASURES)


class Group:
    """What is counted of one group."""

    __slots__ = (
        "attempts", "busiest", "connects", "count", "established", "in_second", "name",
        "online", "peak", "policy", "reconnects", "second", "shares", "steady",
    )  # fmt: skip

    def __init__(self, name: str, policy: str, *, steady: bool) -> None:
        self.name, self.policy, self.steady = name, policy, steady
        self.count = self.online = self.attempts = self.established = 0
        self.second = self.in_second = 0
        self.peak = self.busiest = 0
        self.reconnects = Latencies()
        self.shares: list[float] = []
        self.connects: list[float] = []

    def row(self) -> ReturnRow:
        """The group's line of the table."""

        def seconds(share: float) -> float | None:
            value = self.reconnects.percentile(share)
            return None if value is None else to_seconds(value)

        return ReturnRow(
            group=self.name, policy=self.policy, devices=self.count, attempts=self.attempts,
            wasted=self.attempts - self.established, peak_per_s=self.peak,
            p50_s=seconds(0.5), p99_s=seconds(0.99), last_s=seconds(1.0),
        )  # fmt: skip


class Returns(Watcher):
    """Follows the groups of one run; does nothing unless it is added to the world's watch.

    Args:
        world: whose groups.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        scenario = world.scenario
        self.groups: dict[str, Group] = {}
        for group in scenario.fleet:
            config = scenario.backoff_of(group)
            policy = config.policy or f"{config.growth}, {config.jitter}"
            steady = config.jitter == "none"
            self.groups[group.group] = Group(group.group, policy, steady=steady)
        self._of = [self.groups[host.parts.labels["group"]] for host in world.hosts]
        for one in self._of:
            one.count += 1
        self._online = bytearray(len(world.hosts))
        self._waits = Waits(world)
        self._step_ns = max(STEP_NS_MIN, -(-scenario.clock.duration_ns // POINTS_MAX))
        self._edge_ns = self._step_ns
        self._t_s: list[float] = []
        self._second = self._in_second = 0
        self.peak = 0
        """Most connects of the fleet that began in one second, while the broker was there."""

    # -- moments --------------------------------------------------------------------------------

    def attempted(self, host: DeviceHost, now: int) -> None:
        """One more CONNECT."""
        if now >= self._edge_ns:
            self._catch_up(now)
        second, group = now // SECOND, self._of[host.index]
        group.attempts += 1
        if second != group.second:
            group.second, group.in_second = second, 0
        group.in_second += 1
        group.busiest = max(group.busiest, group.in_second)
        if not self._world.broker.up:
            return
        group.peak = max(group.peak, group.in_second)
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        self.peak = max(self.peak, self._in_second)

    def connected(self, host: DeviceHost, now: int) -> None:
        """It led to a session."""
        if now >= self._edge_ns:
            self._catch_up(now)
        index = host.index
        group = self._of[index]
        group.established += 1
        if not self._online[index]:
            self._online[index] = 1
            group.online += 1
        took = self._waits.connected(host, now)
        if took is not None:
            group.reconnects.add(now, took)

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """Away, and wants back."""
        del reason
        self._away(host, now)
        self._waits.disconnected(host, now)

    def went_off(self, host: DeviceHost, now: int) -> None:
        """Away, without power."""
        self._away(host, now)
        self._waits.went_off(host)

    def booted(self, host: DeviceHost, now: int) -> None:
        """Power is back: now it wants back, too."""
        self._waits.booted(host, now)

    def _away(self, host: DeviceHost, now: int) -> None:
        if now >= self._edge_ns:
            self._catch_up(now)
        if self._online[host.index]:
            self._online[host.index] = 0
            self._of[host.index].online -= 1

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """The broker goes, or comes back."""
        del phase, devices
        self._waits.faulted(verb, now)

    def ended(self, now: int) -> None:
        """The rest of the curves."""
        self._catch_up(now + self._step_ns)

    def _catch_up(self, now: int) -> None:
        """A point for each stretch that is over: nothing has changed since the last moment."""
        while now >= self._edge_ns:
            self._t_s.append(to_seconds(self._edge_ns - self._step_ns))
            for group in self.groups.values():
                group.shares.append(group.online / max(1, group.count))
                group.connects.append(float(group.busiest))
                group.busiest = 0
            self._edge_ns += self._step_ns

    # -- what came of it ------------------------------------------------------------------------

    @property
    def wasted_per_device(self) -> float:
        """Connects of which no session came, for each device."""
        groups = self.groups.values()
        wasted = sum(group.attempts - group.established for group in groups)
        return wasted / max(1, len(self._of))

    @property
    def worst_group_ns(self) -> int | None:
        """The 99th percentile of reconnects, of the group that has the largest."""
        found = [group.reconnects.percentile(0.99) for group in self.groups.values()]
        known = [value for value in found if value is not None]
        return max(known, default=None)

    def rows(self) -> list[ReturnRow]:
        """The table, in the order of the file; empty where nobody listened."""
        return [group.row() for group in self.groups.values()] if self._t_s else []

    def series(self) -> dict[str, Series]:
        """The curves, by the names that the report's catalogue knows."""
        if not self._t_s:
            return {}
        groups = list(self.groups.values())
        parts = {"": groups}
        if len(groups) > TOGETHER_MAX:
            parts = {
                "": [group for group in groups if not group.steady],
                "_steady": [group for group in groups if group.steady],
            }
        made: dict[str, Series] = {}
        for suffix, some in parts.items():
            if some:
                shares = {group.name: group.shares for group in some}
                connects = {group.name: group.connects for group in some}
                made[f"groups_online{suffix}"] = Series("share", self._t_s, shares)
                made[f"groups_connects{suffix}"] = Series("1/s", self._t_s, connects)
        return made
