"""How updates go: offers, transfers, commits, rollbacks, halts.

Decides what counts for which rollout: a device has committed when it reports that it runs the bundle
for good, and is exposed from the moment in which it runs it. Leaves out sessions (session_meter.py).
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from devicesdk.agent.notes import NoteKind
from devicesdk.wire.codec import Frame
from devicesdk.wire.messages import Event, Have, UpdateState, Want
from devicesim.world.arrivals import Arrivals
from devicesim.world.checks.releases import digest_of, targets_of
from devicesim.world.hearing import Listener
from devicesim.world.latencies import Latencies
from gateway.core import notes, rows
from gateway.core.rows import RolloutRow

if TYPE_CHECKING:
    from devicesdk.agent import effects as ask
    from devicesim.scenario.release import Rollout
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.session_meter import SessionMeter
    from devicesim.world.world import World
    from gateway.core import effects as gw


class Release:
    """One rollout of the scenario as the devices live through it.

    Args:
        plan: the scenario's.
        manifest: digest of its bundle.
        targets: indices of the devices that it is for.
        devices: how many there are in all.
    """

    __slots__ = ("_committed", "_exposed", "committed", "exposed", "manifest", "plan", "targets")

    def __init__(self, plan: Rollout, manifest: bytes, targets: list[int], devices: int) -> None:
        self.plan, self.manifest = plan, manifest
        self.targets = bytearray(devices)
        for index in targets:
            self.targets[index] = 1
        self._committed = bytearray(devices)
        self._exposed = bytearray(devices)
        self.committed = self.exposed = 0

    def those(self, what: str, *, who: bool) -> list[int]:
        """Targets that have ``committed`` or ``exposed`` themselves (`who`), or that have not."""
        marked = self._committed if what == "committed" else self._exposed
        return [i for i, target in enumerate(self.targets) if target and bool(marked[i]) is who]

    def commit(self, index: int) -> None:
        """A device runs it for good."""
        if self.targets[index] and not self._committed[index]:
            self._committed[index] = 1
            self.committed += 1

    def expose(self, index: int) -> None:
        """A device runs it."""
        if self.targets[index] and not self._exposed[index]:
            self._exposed[index] = 1
            self.exposed += 1


class UpdateMeter(Listener):
    """Follows updates.

    Args:
        world: whose updates.
        sessions: knows who could have heard what.
    """

    def __init__(self, world: World, sessions: SessionMeter) -> None:
        self._sessions = sessions
        count = len(world.hosts)
        self._state = bytearray(count)
        self.downloading = 0
        """Devices with a transfer in flight."""
        self._offered_at: dict[int, tuple[int, int]] = {}
        self._offers: dict[str, int] = {}
        self._wave_opened_at: dict[str, int] = {}
        self._rolled_back = bytearray(count)
        self.rollbacks = array("q", bytes(8 * count))
        """Updates taken back, by device."""
        self.update_ns = array("q", [-1]) * count
        """From the offer heard to the newest release run for good, by device; -1: none."""
        self.updated_at = array("q", [-1]) * count
        """When that was."""
        self.refetched_of = array("q", bytes(8 * count))
        """Chunk bytes that a device was sent again."""
        self._arrivals = Arrivals(count)
        self.refetched_chunks = self.refetched_bytes = 0
        """Chunks (and their bytes) that reached a device though they had before."""
        self.offers, self.updates = Latencies(), Latencies()
        self._blamed: dict[str, tuple[int, int]] = {}
        self.halt_delay_ns: int | None = None
        """Longest wait from the failure that tipped a gate to the halt; None: no gate was tipped."""
        self.halted: dict[str, int] = {}
        """Rollouts halted by a gate, and when."""
        self.rollouts: dict[str, RolloutRow] = {}
        """The newest durable row of each rollout."""
        self.population: dict[str, int] = {}
        """For how many devices each rollout was created."""
        self.releases = [
            Release(plan, digest_of(world, plan.bundle), targets_of(world, plan), count)
            for plan in world.scenario.rollouts
        ]

    @property
    def rolled_back(self) -> int:
        """Devices that ever rolled back."""
        return sum(self._rolled_back)

    def who_rolled_back(self) -> list[int]:
        """Their indices."""
        return [index for index, back in enumerate(self._rolled_back) if back]

    # -- devices --------------------------------------------------------------------------------

    def noted(self, host: DeviceHost, effect: ask.Note, now: int) -> None:
        """An agent's account of where its update stands."""
        del now
        if effect.kind == NoteKind.UPDATE_STATE:
            self._set_state(host.index, effect.a)

    def went_off(self, host: DeviceHost, now: int) -> None:
        """Nothing is fetched without power."""
        del now
        self._set_state(host.index, UpdateState.IDLE)

    def _set_state(self, index: int, state: int) -> None:
        old = self._state[index]
        self._state[index] = state
        self.rollbacks[index] += state == UpdateState.ROLLED_BACK != old
        fetching = UpdateState.DOWNLOADING
        self.downloading += (state == fetching) - (old == fetching)

    def heard_want(self, host: DeviceHost, want: Want, now: int) -> None:
        """An offer reaches a device: how long after its wave opened?"""
        index = host.index
        known = self._offered_at.get(index)
        if known is not None and known[0] >= want.generation:
            return
        new = not want.hold and want.manifest != host.manifest
        self._offered_at[index] = (want.generation, now if new else -1)
        opened_at = self._wave_opened_at.get(want.deployment)
        offered = self._offers.pop(host.device, None) == want.generation
        if offered and opened_at is not None and self._sessions.reached(host, opened_at):
            self.offers.add(now, now - opened_at)

    def said_have(self, host: DeviceHost, have: Have, now: int) -> None:
        """What runs for good, and what was rolled back."""
        index = host.index
        if have.state is UpdateState.ROLLED_BACK:
            self._rolled_back[index] = 1
        if have.trial or not have.running:
            return
        for release in self.releases:
            if release.manifest == have.running:
                release.commit(index)
        if have.state is UpdateState.COMMITTED:
            generation, offered_at = self._offered_at.get(index, (0, -1))
            if generation == have.generation and offered_at >= 0:
                self.updates.add(now, now - offered_at)
                self.update_ns[index], self.updated_at[index] = now - offered_at, now
                self._offered_at[index] = (generation, -1)

    def said_event(self, host: DeviceHost, event: Event, now: int) -> None:
        """A rollback may be over before a report tells of it."""
        del now
        if event.kind == "update" and event.state is UpdateState.ROLLED_BACK:
            self._rolled_back[host.index] = 1

    def activated(self, host: DeviceHost, effect: ask.Activate, now: int) -> None:
        """Somebody runs a release."""
        del now
        if effect.slot:
            for release in self.releases:
                if release.manifest == effect.manifest:
                    release.expose(host.index)

    def heard_chunk(self, host: DeviceHost, frame: Frame, nbytes: int, now: int) -> None:
        """Chunks that had arrived already."""
        del now
        if self._arrivals.take(host.index, frame.digest8, frame.chunk):
            self.refetched_chunks += 1
            self.refetched_bytes += nbytes
            self.refetched_of[host.index] += nbytes

    # -- the gateway ----------------------------------------------------------------------------

    def gateway_noted(self, effect: gw.Note, now: int) -> None:
        """Waves and offers."""
        kind = effect.kind
        if kind == notes.OFFER:
            self._offers[effect.subject] = effect.a
        elif kind == notes.WAVE_OPENED:
            self._wave_opened_at[effect.subject] = now
        elif kind == notes.ROLLOUT_CREATED:
            self.population[effect.subject] = effect.b

    def persisted(self, effect: gw.Persist, now: int) -> None:
        """The books of rollouts."""
        if effect.table != rows.ROLLOUT or effect.row is None or effect.row.plan.initial:
            return
        row: RolloutRow = effect.row
        self.rollouts[effect.key] = row
        blamed = sum(wave.blamed for wave in row.waves)
        known = self._blamed.get(effect.key, (0, now))
        if blamed != known[0]:
            known = self._blamed[effect.key] = (blamed, now)
        if row.phase is rows.Phase.HALTED and effect.key not in self.halted:
            self.halted[effect.key] = now
            if row.why.startswith("failures"):
                self.halt_delay_ns = max(now - known[1], self.halt_delay_ns or 0)
