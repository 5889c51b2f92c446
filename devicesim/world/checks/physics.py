"""Checks of what devices do by themselves: energy, and frames against telemetry.

Decides when a battery's accounts and a device's windows are believed. Leaves out messages under way.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.world.checks.check import Check

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.hearing import Window
    from devicesim.world.world import World

SAMPLED_DEVICES_MAX: Final = 500
RESIDUAL_MAX: Final = 0.01
QUIET_NS: Final = 5 * MINUTE
"""How long a connected device may take to send the windows that it kept."""
REPEATED_WINDOWS_MAX: Final = 256
"""How many windows newer than an unacknowledged one may be sent before that one is sent again."""


def sample(world: World, devices_max: int) -> list[DeviceHost]:
    """At most so many devices, evenly spaced by index: always the same ones."""
    hosts = world.hosts
    step = -(-len(hosts) // devices_max) if hosts else 1
    return hosts[::step]


class Energy(Check):
    """The energy integral of each device closes within 1 %, and no battery is charged below 0 C."""

    name: ClassVar[str] = "energy"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._sample = sample(world, SAMPLED_DEVICES_MAX)

    def checkpoint(self, now: int) -> None:
        """Look at a sample once an hour."""
        if now % HOUR == 0:
            for host in self._sample:
                self._judge(host, now)

    def ended(self, now: int) -> None:
        """Look at everybody."""
        for host in self.world.hosts:
            self._judge(host, now)

    @property
    def looked_every_ns(self) -> int:
        """From look to look."""
        return HOUR

    def look(self, now: int, hosts: list[DeviceHost]) -> None:
        """Look at those in question."""
        for host in hosts:
            self._judge(host, now)

    def _judge(self, host: DeviceHost, now: int) -> None:
        self.judged += 1
        body = host.parts.body
        residual = body.energy_residual()
        if not residual <= RESIDUAL_MAX:
            self.fail(
                now, f"expected the energy to close within 1 %, found {100 * residual:.2f} %", host
            )
        reading = body.read()
        if reading.charging and reading.body_c < 0.0:
            self.fail(
                now, f"expected no charging below 0 C, found it at {reading.body_c:.1f} C", host
            )


class _Boot:
    """The bursts of a device's present boot: frames of its latest windows; negative once it was sent."""

    __slots__ = (
        "boot_id", "dropped", "forgotten", "quiet_since", "unsent", "unsent_frames", "windows",
    )  # fmt: skip

    def __init__(self, boot_id: int, now: int) -> None:
        self.boot_id = boot_id
        self.windows = array("q")
        self.forgotten = 0
        """Windows before the first of `windows`."""
        self.unsent = self.unsent_frames = 0
        """Those of them that were never sent, and their frames."""
        self.dropped = 0
        self.quiet_since = now

    def forget(self, kept: int) -> None:
        """Keep the latest windows only: no outbox holds an older one."""
        for frames in self.windows[:-kept]:
            self.forgotten += 1
            if frames > 0:
                self.unsent += 1
                self.unsent_frames += frames
        del self.windows[:-kept]

    def frames_untold(self) -> int:
        """Frames of windows that were never sent."""
        return self.unsent_frames + sum(frames for frames in self.windows if frames > 0)


class TelemetryCounts(Check):
    """Each burst that ran is one window with as many frames, sent once or more, or its loss is known.

    The n-th burst with frames of a boot must be window n of that boot. Windows that were never sent
    died with the power, were dropped by a full outbox (and counted), or still wait; with a connection
    of some minutes nothing waits any more. What no outbox can hold any more is forgotten, in blocks: memory
    is bounded by the fleet, however long a boot lasts.
    """

    name: ClassVar[str] = "telemetry_counts"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._boots: list[_Boot | None] = [None] * len(world.hosts)
        configs = [host.parts.config for host in world.hosts]
        self._kept = REPEATED_WINDOWS_MAX + max(
            (c.telemetry_outbox_windows_max + c.publishes_in_flight_max for c in configs), default=0
        )
        """Windows of a boot that may still be sent."""
        self.frames_ran = self.frames_told = self.frames_lost = self.windows = 0
        """Inferences executed; in distinct windows sent; gone with the power; and distinct windows."""

    def booted(self, host: DeviceHost, now: int) -> None:
        """Windows are numbered from 1 in each boot."""
        self._boots[host.index] = _Boot(host.boot_id, now)

    def went_off(self, host: DeviceHost, now: int) -> None:
        """What was not sent is lost with the RAM."""
        del now
        boot, self._boots[host.index] = self._boots[host.index], None
        if boot is not None:
            self.frames_lost += boot.frames_untold()

    def connected(self, host: DeviceHost, now: int) -> None:
        """From now on windows can be sent."""
        boot = self._boots[host.index]
        if boot is not None:
            boot.quiet_since = now

    def inferred(self, host: DeviceHost, frames: int, now: int) -> None:
        """A burst ran."""
        boot = self._boots[host.index]
        self.frames_ran += frames
        if boot is not None and frames:
            windows = boot.windows
            windows.append(frames)
            if len(windows) == 1:
                boot.quiet_since = now
            elif len(windows) >= 2 * self._kept:
                boot.forget(self._kept)

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A full outbox counts what it drops."""
        if effect.kind == NoteKind.WINDOW_DROPPED:
            boot = self._boots[host.index]
            if boot is not None:
                boot.dropped = effect.a
                boot.quiet_since = now

    def said_window(self, host: DeviceHost, window: Window, now: int) -> None:
        """A window is sent: does it say what ran?"""
        self.judged += 1
        boot = self._boots[host.index]
        seq = window.seq
        place = seq - 1 if boot is None else seq - 1 - boot.forgotten
        if boot is None or window.boot_id != boot.boot_id or not 0 <= place < len(boot.windows):
            self.fail(
                now,
                f"expected window {seq} of boot {window.boot_id} to have run lately, found no such "
                "burst",
                host,
            )
            return
        ran = boot.windows[place]
        if ran > 0:
            boot.windows[place] = -ran
            self.frames_told += ran
            self.windows += 1
        if abs(ran) != window.frames:
            self.fail(
                now,
                f"expected window {seq} to tell of the {abs(ran)} frames that ran, found "
                f"{window.frames}",
                host,
            )

    def ended(self, now: int) -> None:
        """Nothing is missing without a reason, and the sums agree."""
        waiting = 0
        for host in self.world.hosts:
            boot = self._boots[host.index]
            if boot is not None:
                waiting += self._close(host, boot, now)
        told = self.frames_told + self.frames_lost + waiting
        if told != self.frames_ran:
            self.fail(
                now, f"expected {self.frames_ran} frames to be told, lost or waiting, found {told}"
            )

    def _close(self, host: DeviceHost, boot: _Boot, now: int) -> int:
        missing = boot.unsent + sum(frames > 0 for frames in boot.windows)
        config, path = host.parts.config, host.path
        allowed = config.telemetry_outbox_windows_max + config.publishes_in_flight_max
        since = max(boot.quiet_since, path.cleared_at)
        if host.online and not path.black and now - since > QUIET_NS and not path.on_the_wire()[0]:
            allowed = 0
        if missing - boot.dropped > allowed:
            self.fail(
                now,
                f"expected at most {allowed} windows to wait for a connection, found {missing} "
                f"never sent and {boot.dropped} dropped",
                host,
            )
        return boot.frames_untold()
