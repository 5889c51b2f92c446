"""Promises about what devices are told of drift.

Decides which devices a promise is about and when it is kept. Leaves out what is told (drifting.py).

Rules: a device is told what the cohort is told of which it is: what it runs, its hardware class, its region. A device
that is never part of a cohort that is judged is told nothing, which breaks a promise of a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from devicesdk.wire.timebase import format_duration
from devicesim.report.record import CheckKind
from devicesim.scenario.verdicts import Told
from devicesim.world.checks.check import Check
from gateway.core.collect import rows
from gateway.core.collect.cohorts import label
from gateway.core.collect.limits import CollectLimits

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.measures import Meter
    from devicesim.world.world import World
    from gateway.core import effects as gw


class VerdictCheck(Check):
    """Devices are told a verdict in time, or never any.

    Args:
        world: what is watched.
        meter: knows what is told.
        must: the promise.
    """

    name: ClassVar[str] = "verdict"
    kind: ClassVar[CheckKind] = "eventually"

    def __init__(self, world: World, meter: Meter, must: Told) -> None:
        super().__init__(world)
        self._drift, self._must = meter.drift, must
        labels = [host.parts.labels for host in world.hosts]
        self._about = [world.hosts[i] for i in must.who.select(labels, world.entropy, "verdict")]
        self._places = {host.device: _place(host.parts.labels) for host in self._about}
        self._waiting: dict[str, DeviceHost] = {}
        self._since_ns = -1
        self._slowest_ns = -1
        after = must.after
        self._keys = [a.key for a in world.scenario.timeline if after in (a.key, a.verb, a.id)]
        if after is None and must.within_ns is not None:
            self._begin(0)

    @property
    def title(self) -> str:
        """The promise."""
        return str(self._must)

    def _begin(self, now: int) -> None:
        if self._since_ns < 0:
            self._since_ns = now
            self._waiting = {host.device: host for host in self._about}

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """Time counts from the first beginning."""
        del devices
        if phase == "begin" and verb in self._keys:
            self._begin(now)

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """A telemetry window has closed: who is told what?"""
        if effect.table != rows.WINDOW or effect.row is None:
            return
        if self._must.within_ns is None:
            self._never(now)
        elif self._waiting:
            self._in_time(now)

    def _verdict_of(self, host: DeviceHost, told: dict[tuple[str, str], str]) -> str:
        name = f"{host.manifest[:8].hex()}/{self._places[host.device]}"
        return told.get((name, ""), "") or told.get((name, host.device), "none")

    def _told(self) -> dict[tuple[str, str], str]:
        return {(cohort, device): verdict for cohort, device, verdict in self._drift.told_now()}

    def _never(self, now: int) -> None:
        self.judged += 1
        told = self._told()
        if not told:
            return
        for host in self._about:
            verdict = self._verdict_of(host, told)
            if verdict != "none":
                self.fail(now, f"expected no verdict, found {verdict}", host)

    def _in_time(self, now: int) -> None:
        told = self._told()
        for host in list(self._waiting.values()):
            if self._verdict_of(host, told) == self._must.verdict:
                del self._waiting[host.device]
                self.judged += 1
                self._slowest_ns = now - self._since_ns
        assert self._must.within_ns is not None
        if now - self._since_ns >= self._must.within_ns:
            self._too_late(now, told)

    def _too_late(self, now: int, told: dict[tuple[str, str], str]) -> None:
        for host in self._waiting.values():
            self.judged += 1
            found = self._verdict_of(host, told)
            self.fail(now, f"expected {self._must.verdict}, found {found}", host)
        self._waiting.clear()

    def ended(self, now: int) -> None:
        """A wait that the end of the run cuts short is not judged."""
        if not self._about:
            self.judged = 1
            self.fail(now, f"expected devices of {self._must.who}, found none")

    def story(self) -> str:
        """How long the last one waited."""
        if self.failures or self._slowest_ns < 0:
            return super().story() or f"of {len(self._about)} devices"
        return (
            f"{len(self._about) - len(self._waiting)} of {len(self._about)} devices, the last "
            f"{format_duration(self._slowest_ns // 10**9 * 10**9)} after"
        )


def _place(labels: dict[str, str]) -> str:
    """Hardware class and region, as cohorts are named."""
    limits = CollectLimits()
    return f"{label(labels, limits.hardware_labels)}/{label(labels, limits.region_labels)}"
