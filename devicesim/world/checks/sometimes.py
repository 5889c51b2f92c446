"""What a run must have exercised: hardship that did occur, so that a green run proves something.

Decides when each of them has been seen. `judged` counts sightings, and the first one is kept as the
instant. Leaves out whether it went well: that is for the other checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.codec import Frame
from devicesdk.wire.messages import Get, Have, UpdateState
from devicesdk.wire.timebase import to_seconds
from devicesim.report.record import CheckKind, CheckRow
from devicesim.scenario.faults import BrokerRestart
from devicesim.world.arrivals import Arrivals
from devicesim.world.checks.check import Check
from devicesim.world.checks.images import ImageIndex
from gateway.core import rows

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.world import World
    from gateway.core import effects as gw

CLOCK_SET_MS: Final = 946_684_800_000
"""2000-01-01: a wall clock that shows less was never set."""
EMPTY_SOC_MAX: Final = 0.005
"""Less charge than this shows as 0 %."""
_MOVING: Final = frozenset(
    {UpdateState.DOWNLOADING, UpdateState.DOWNLOADED, UpdateState.VERIFIED, UpdateState.TRIAL}
)


class Sometimes(Check):
    """Base: seen at least once, or not exercised."""

    kind: ClassVar[CheckKind] = "sometimes"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.first_ns: int | None = None
        self.first_device = ""

    def see(self, now: int, host: DeviceHost | None = None) -> None:
        """It happened."""
        self.judged += 1
        if self.first_ns is None:
            self.first_ns = now
            self.first_device = host.device if host is not None else ""

    @property
    def held(self) -> bool:
        """Whether it was ever seen: what a scenario insists on having exercised must occur."""
        return self.judged > 0

    def story(self) -> str:
        """Who was first, or that nobody was."""
        if self.first_ns is None:
            return "expected the run to exercise this at least once, found that it never happened"
        return f"first on {self.first_device}" if self.first_device else ""

    def row(self) -> CheckRow:
        """This check as a line of the report."""
        at_s = None if self.first_ns is None else to_seconds(self.first_ns)
        return CheckRow(self.title, self.kind, self.held, self.story(), at_s, self.judged)


class DuringUpdate(Sometimes):
    """Base of those that need to know which devices are in the middle of an update."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._state: list[int] = [UpdateState.IDLE] * len(world.hosts)

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """The agent's own account of where the update stands; nothing is judged by it."""
        del now
        if effect.kind == NoteKind.UPDATE_STATE:
            self._state[host.index] = effect.a


class ResumedMidChunk(Sometimes):
    """A transfer of an image went on after a disconnect or a boot, with some of it here and some not."""

    name: ClassVar[str] = "resumed_mid_chunk"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._images = ImageIndex(world.bundles.values())
        self._arrivals = Arrivals(len(world.hosts))
        self._broken = bytearray(len(world.hosts))

    def heard_chunk(self, host: DeviceHost, frame: Frame, nbytes: int, now: int) -> None:
        """Some of it is here."""
        del nbytes, now
        self._arrivals.take(host.index, frame.digest8, frame.chunk)

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """The transfer, if there is one, is interrupted."""
        del now, reason
        self._broken[host.index] = 1

    def went_off(self, host: DeviceHost, now: int) -> None:
        """So it is."""
        del now
        self._broken[host.index] = 1

    def asked(self, host: DeviceHost, get: Get, now: int) -> None:
        """It goes on: with the same image, and not from its beginning."""
        if not self._broken[host.index] or not self._images.get(get.blob):
            return
        self._broken[host.index] = 0
        if self._arrivals.count(host.index, get.blob[:8]) and get.base:
            self.see(now, host)


class DuplicateDelivered(Sometimes):
    """The same chunk reached a device twice."""

    name: ClassVar[str] = "duplicate_delivered"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._arrivals = Arrivals(len(world.hosts))

    def heard_chunk(self, host: DeviceHost, frame: Frame, nbytes: int, now: int) -> None:
        """Had it come before?"""
        del nbytes
        if self._arrivals.take(host.index, frame.digest8, frame.chunk):
            self.see(now, host)


class RollbackRan(Sometimes):
    """A device ran a new bundle and went back to its old slot."""

    name: ClassVar[str] = "rollback_ran"

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """It says so, and runs something for good."""
        if have.state is UpdateState.ROLLED_BACK and not have.trial:
            self.see(now, host)


class SessionLostMidTransfer(DuringUpdate):
    """A connection was lost while a transfer ran."""

    name: ClassVar[str] = "session_lost_mid_transfer"

    def disconnected(self, host: DeviceHost, now: int, reason: str) -> None:
        """In the middle of one?"""
        del reason
        if self._state[host.index] == UpdateState.DOWNLOADING:
            self.see(now, host)


class ThrottledWhileUpdating(DuringUpdate):
    """Heat slowed a device down during an update."""

    name: ClassVar[str] = "throttled_while_updating"

    def asked(self, host: DeviceHost, get: Get, now: int) -> None:
        """While it fetches."""
        del get
        if host.parts.body.processor.p_state > 0:
            self.see(now, host)

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """While it validates or tries."""
        super().noted(host, effect, now)
        moving = effect.kind == NoteKind.UPDATE_STATE and effect.a in _MOVING
        if moving and host.parts.body.processor.p_state > 0:
            self.see(now, host)

    def inferred(self, host: DeviceHost, frames: int, now: int) -> None:
        """During the trial."""
        del frames
        if self._state[host.index] == UpdateState.TRIAL and host.parts.body.processor.p_state > 0:
            self.see(now, host)


class DiedMidFlash(DuringUpdate):
    """Power went while an image was being written to its slot."""

    name: ClassVar[str] = "died_mid_flash"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._writing = bytearray(len(world.hosts))

    def stored(self, host: DeviceHost, effect: ask.Write | ask.Save | ask.Delete, now: int) -> None:
        """The slot is being written."""
        del now
        if effect.file.startswith("slot-"):
            self._writing[host.index] = 1

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """The download is over, one way or another."""
        super().noted(host, effect, now)
        if effect.kind == NoteKind.UPDATE_STATE and effect.a != UpdateState.DOWNLOADING:
            self._writing[host.index] = 0

    def went_off(self, host: DeviceHost, now: int) -> None:
        """In the middle of it?"""
        if self._writing[host.index]:
            self._writing[host.index] = 0
            self.see(now, host)


class DiedEmptyMidFlash(DiedMidFlash):
    """The battery was empty while an image was being written to its slot."""

    name: ClassVar[str] = "died_empty_mid_flash"

    def went_off(self, host: DeviceHost, now: int) -> None:
        """In the middle of it, and with nothing left?"""
        body = host.parts.body
        cell = body.battery
        if cell is not None and cell.usable_soc(body.thermal.body_c) < EMPTY_SOC_MAX:
            super().went_off(host, now)
        else:
            self._writing[host.index] = 0


class Clock1970AtConnect(Sometimes):
    """A device connected with a clock that was never set."""

    name: ClassVar[str] = "clock_1970_at_connect"

    def connected(self, host: DeviceHost, now: int) -> None:
        """What does its clock say?"""
        if host.parts.clock.wall_ms(now) < CLOCK_SET_MS:
            self.see(now, host)


class BrokerRestartMidWave(Sometimes):
    """The broker restarted while a wave was open."""

    name: ClassVar[str] = "broker_restart_mid_wave"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        actions = world.scenario.timeline
        self._keys = [a.key for a in actions if isinstance(a, BrokerRestart)]
        self._open: dict[str, bool] = {}

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """Follow the waves."""
        del now
        if effect.table == rows.ROLLOUT and effect.row is not None:
            waves = effect.row.waves
            self._open[effect.key] = bool(waves) and not effect.row.phase.ended

    def faulted(self, verb: str, phase: str, devices: int, now: int) -> None:
        """A restart begins."""
        del devices
        if phase == "begin" and verb in self._keys and any(self._open.values()):
            self.see(now)


class WaveHaltedByItself(Sometimes):
    """A gate halted a rollout; nobody was asked."""

    name: ClassVar[str] = "wave_halted_by_itself"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._halted: dict[str, None] = {}

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """The gateway halts; the scenario language has no verb for people to do so."""
        if effect.table != rows.ROLLOUT or effect.row is None or effect.key in self._halted:
            return
        if effect.row.phase is rows.Phase.HALTED:
            self._halted[effect.key] = None
            self.see(now)
