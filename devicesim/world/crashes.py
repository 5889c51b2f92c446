"""Devices that crash again and again: because of what they run, of a flag, or of a fault.

Decides when a device goes down, how often before it stays down, and who is out of the loop. Leaves out
who rescues it: the agent's boot counter and the other slot (devicesdk/agent/update.py), a revert or a kill
that is heard in time, or somebody who is sent there (`device.repair`).
Made for every world; it looks on only in one that has something to crash.

Rules: a crash is a power cut, so whatever was not synced is torn; nothing of it is told to the agent. A
cause goes with the bundle that runs, not with the slot, so that a rollback ends it. A crash that was due is looked
at again when it comes: it does not happen when its cause has gone, or the boot that it was for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devicesdk.agent.notes import NoteKind
from devicesim.scenario.faults import BootLoop
from devicesim.world.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicesdk.agent import effects as ask
    from devicesim.scenario.costs import Crashes
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World

_FLAGS_MOVED: Final = frozenset({NoteKind.FLAGS_TAKEN, NoteKind.KILL_OBEYED})


class _Cause:
    """Why some devices crash."""

    __slots__ = ("after_ns", "counts", "flag", "gives_up_after", "healed", "manifest", "uptime_ns")

    def __init__(self, said: Crashes | BootLoop, manifest: bytes | None) -> None:
        self.uptime_ns, self.gives_up_after = said.uptime_ns, said.gives_up_after
        self.after_ns = 0 if isinstance(said, BootLoop) else said.after_ns
        self.flag = None if isinstance(said, BootLoop) else said.flag
        self.manifest = manifest
        """Digest of the bundle that it comes with; None: whatever runs."""
        self.counts: dict[int, int] = {}
        """Crashes in a row, by device."""
        self.healed: dict[int, None] = {}

    def holds(self, host: DeviceHost, manifest: bytes) -> bool:
        """Whether it makes this device crash, which runs this bundle."""
        if host.index in self.healed or self.manifest not in (None, manifest):
            return False
        return self.flag is None or (host.agent is not None and host.agent.flags.on(self.flag))


class CrashLoops(Watcher):
    """Takes devices down.

    Args:
        world: whose devices.
    """

    def __init__(self, world: World) -> None:
        self._kernel, self._trace = world.kernel, world.trace
        self._everybody: list[_Cause] = []
        """What bundles cost: on any device."""
        self._loops: dict[int, list[_Cause]] = {}
        """Faults, by device."""
        for digest, bundle in world.bundles.items():
            said = world.scenario.bundle(bundle.name).costs.crashes
            if said is not None:
                self._everybody.append(_Cause(said, digest))
        self._first: dict[tuple[int, bytes], int] = {}
        self._runs: dict[int, tuple[int, bytes]] = {}
        """Boot and bundle of each device."""
        self._down: dict[int, _Cause] = {}
        self.crashes = 0

    # -- when -----------------------------------------------------------------------------------

    def booted(self, host: DeviceHost, now: int) -> None:
        """A boot begins, whatever it will run."""
        for cause in self._loops.get(host.index, ()):
            if cause.manifest is None:
                self._due(host, cause, now)

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """Another bundle runs, or the same one in another boot."""
        index, manifest = host.index, effect.manifest if effect.slot else b""
        if self._runs.get(index) == (host.boot_id, manifest):
            return
        self._runs[index] = (host.boot_id, manifest)
        if manifest:
            self._first.setdefault((index, manifest), now)
        for cause in (*self._everybody, *self._loops.get(index, ())):
            if cause.manifest is not None and cause.holds(host, manifest):
                self._due(host, cause, now)

    def flags_moved(self, host: DeviceHost, now: int) -> None:
        """Flags or kills have changed on a device that runs already."""
        manifest = self._running(host)
        for cause in self._everybody:
            if cause.flag is not None and cause.holds(host, manifest):
                self._due(host, cause, now)

    def _running(self, host: DeviceHost) -> bytes:
        return self._runs.get(host.index, (0, b""))[1]

    def _due(self, host: DeviceHost, cause: _Cause, now: int) -> None:
        first = self._first.get((host.index, cause.manifest or b""), now)
        at = max(now + cause.uptime_ns, first + cause.after_ns)
        self._kernel.at(at, self._crash, (host, host.boot_id, cause))

    def _crash(self, now: int, argument: tuple[DeviceHost, int, _Cause]) -> None:
        host, boot_id, cause = argument
        if not host.on or host.boot_id != boot_id or not cause.holds(host, self._running(host)):
            return
        self.crashes += 1
        count = cause.counts[host.index] = cause.counts.get(host.index, 0) + 1
        self._trace.row(now, host.index, "crash", count)
        if cause.gives_up_after is not None and count >= cause.gives_up_after:
            self._down[host.index] = cause
            host.wanted_on = False
            host.power_off(now)
        else:
            host.reboot(now, tear=True)

    # -- faults ---------------------------------------------------------------------------------

    def loop(
        self, action: BootLoop, manifest: bytes | None, hosts: list[DeviceHost], now: int
    ) -> Callable[[int], None]:
        """Let devices crash from now on; returns what ends it."""
        cause = _Cause(action, manifest)
        for host in hosts:
            self._loops.setdefault(host.index, []).append(cause)
            if host.on and cause.holds(host, self._running(host)):
                self._due(host, cause, now)

        def undo(at: int) -> None:
            for host in hosts:
                self._loops[host.index].remove(cause)
                self._heal(host, cause, at)

        return undo

    def repair(self, now: int, host: DeviceHost) -> None:
        """Take out what makes a device crash: every fault, and the flaw of what it runs."""
        running = self._running(host)
        for cause in (*self._loops.get(host.index, ()), *self._everybody):
            if cause.manifest in (None, running) or self._down.get(host.index) is cause:
                self._heal(host, cause, now)

    def _heal(self, host: DeviceHost, cause: _Cause, now: int) -> None:
        cause.healed[host.index] = None
        if self._down.get(host.index) is cause:
            del self._down[host.index]
            host.wanted_on = True
            host.power_on(now)


class _FlagEar(Watcher):
    """Hears of flags, in a world where one can crash a device."""

    def __init__(self, loops: CrashLoops) -> None:
        self._loops = loops

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """A flag document or a kill list came into force."""
        if effect.kind in _FLAGS_MOVED:
            self._loops.flags_moved(host, now)


def attach(world: World) -> None:
    """Let crashes look on where there is something to crash."""
    said = [bundle.costs.crashes for bundle in world.scenario.bundles if bundle.costs.crashes]
    if said or any(isinstance(action, BootLoop) for action in world.scenario.timeline):
        world.watch.add(world.crashes)
    if any(one.flag is not None for one in said):
        world.watch.add(_FlagEar(world.crashes))
