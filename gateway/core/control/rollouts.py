"""The life of a rollout: waves, quorum, soak, gate, and the stop.

Decides when the next wave opens and when everything stops. Leaves out who comes first (planning.py,
strata.py), whether the evidence is enough (judging.py, gates.py), what a device is told (offers.py), how its report is
read (progress.py) and the verbs of people (steering.py).

Theory of operation. A rollout waits for its bundle and a first device, then runs wave by wave. A wave
has a cap: its cumulative share of the population as it is when the wave opens. Its members are offered
in pages; once a quorum of them has ended the wave soaks; then it is judged and the next one opens.
The gate is looked at after every batch in which a member failed, so a halt needs no deadline and is
decided in the batch of the tipping failure.

Rules: a rollout always ends (COMPLETED, HALTED, ABORTED) or waits with a reason in `why`; stopping
reaches devices in flight: transfers pause at once, wants follow in pages; a newer rollout of the same
bundle for the same devices ends the older one; whoever is enrolled late joins the newest rollout that
has reached everybody.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from gateway.core import notes
from gateway.core.control import strata
from gateway.core.control.catalog import Catalog
from gateway.core.control.judging import Judging
from gateway.core.control.members import REST, Members, Rollout, ended
from gateway.core.control.offers import Offers
from gateway.core.control.outbox import Batch
from gateway.core.control.pacing import Pacing
from gateway.core.control.planning import Population, covers, refusal, selects
from gateway.core.control.twins import Twin, Twins
from gateway.core.effects import Note
from gateway.core.internal import Judged, Paused, Watching
from gateway.core.limits import ControlLimits
from gateway.core.pace import refusal as pace_refusal
from gateway.core.pace import utc_text
from gateway.core.rows import Brake, DesiredRow, Outcome, Phase, Purpose, RolloutRow, WaveRow
from gateway.core.stimuli import RolloutPlan
from gateway.core.zones import Zones

Due = tuple[int, str]
_CREATED: Final = "created"


class Rollouts:
    """All rollouts of a tenant.

    Args:
        limits: bounds and pages.
    """

    def __init__(
        self,
        limits: ControlLimits,
        twins: Twins,
        catalog: Catalog,
        members: Members,
        offers: Offers,
        zones: Zones,
    ) -> None:
        self._limits, self._zones = limits, zones
        self._twins = twins
        self._catalog = catalog
        self._members = members
        self._offers = offers
        self._judging = Judging(limits)
        self.population = Population(twins, members)
        self.pacing = Pacing(limits, twins, self.population, offers, zones)
        self._active: list[Rollout] = []

    # -- beginning -----------------------------------------------------------------------------

    def create(self, plan: RolloutPlan, at: int, out: Batch) -> None:
        """Start a rollout, or let it wait for its bundle or its first device."""
        known = self._members.by_name.get(plan.id)
        if known is not None and known.plan == plan:
            return
        why = self.refusal(plan)
        if why:
            out.append(Note(notes.ROLLOUT_REFUSED, why))
            return
        ordinals = (rollout.row.ordinal for rollout in self._members.by_name.values())
        row = RolloutRow(plan, max(ordinals, default=0) + 1, Phase.WAITING, _CREATED, b"")
        self._start(self._members.created(row), at, out)

    def refusal(self, plan: RolloutPlan) -> str:
        """Why a plan cannot be run here; empty when it can."""
        if plan.id in self._members.by_name:
            return f"the id {plan.id} is taken by another plan; choose a new id"
        if len(self._members.by_name) >= self._limits.rollouts_max:
            return f"there are {self._limits.rollouts_max} rollouts already; raise rollouts_max"
        why = refusal(plan, self._limits)
        if not why and plan.pace is not None:
            why = pace_refusal(plan.pace, len(plan.waves), self._zones)
        return why

    def bundle_registered(self, at: int, out: Batch) -> None:
        """Start what waited for a bundle."""
        for rollout in list(self._members.by_name.values()):
            if rollout.row.phase is Phase.WAITING and rollout.bundle is None:
                self._start(rollout, at, out)

    def enrolled(self, twin: Twin, out: Batch) -> None:
        """Find the place of a device that is new or has new labels."""
        newest: Rollout | None = None
        for rollout in self._members.by_name.values():
            if rollout.plan.initial:
                self._believe(rollout, twin, out)
            elif self._open_to_all(rollout) and self.population.candidate(rollout, twin):
                newest = rollout
            elif rollout.plan.pace is not None and rollout.active:
                rollout.look_again()
        if newest is not None and newest.plan.pace is not None:
            self.pacing.join_late(newest, twin, out)
        elif newest is not None:
            last = len(newest.row.waves) - 1
            newest.change_wave(last, size=newest.row.waves[last].size + 1)
            self._offers.offer(twin, newest, out)

    def _open_to_all(self, rollout: Rollout) -> bool:
        row = rollout.row
        paced = rollout.plan.pace is not None
        running = row.phase is Phase.RUNNING and (paced or not rollout.offering)
        waits = paced and row.phase is Phase.PAUSED
        if not running and not waits and row.phase is not Phase.COMPLETED:
            return False
        return rollout.at_last_share and rollout.plan.waves[-1] == 1.0 and bool(row.waves)

    def _start(self, rollout: Rollout, at: int, out: Batch) -> None:
        plan = rollout.plan
        rollout.looked_ns = at
        rollout.bundle = self._catalog.by_name.get(plan.bundle)
        if rollout.bundle is None:
            # Said once: every bundle and device that comes leads here.
            if rollout.row.why in ("", _CREATED):
                self._wait(rollout, self._catalog.unpublished(plan.bundle), out)
            return
        if rollout.row.manifest != rollout.bundle.digest:
            rollout.change(manifest=rollout.bundle.digest)
        starts_ns = 0 if plan.pace is None else plan.pace.start_at_ns
        if at < starts_ns:
            self._wait(rollout, f"starts at {utc_text(starts_ns)}", out)
        elif plan.initial:
            rollout.change(phase=Phase.COMPLETED, why="factory state")
            for twin in self._twins.by_name.values():
                self._believe(rollout, twin, out)
        elif not self.population.exists(rollout):
            self._wait(rollout, "no enrolled device is selected and fits", out)
        elif rollout.awaits is not None:
            self._await(rollout, out)
        else:
            self._run(rollout, at, out)

    def _wait(self, rollout: Rollout, why: str, out: Batch) -> None:
        if rollout.row.why != why:
            rollout.change(why=why)
            out.append(Note(notes.ROLLOUT_WAITING, f"{rollout.name}: {why}"))

    def _await(self, rollout: Rollout, out: Batch) -> None:
        """Wait for somebody to approve the next wave."""
        index = rollout.row.next_share
        percent = math.ceil(100 * rollout.plan.waves[index])
        why = f"wave {index}, to {percent} %, waits for approval"
        if rollout.row.why != why:
            rollout.change(why=why)
            out.append(Note(notes.WAVE_AWAITS, rollout.name, index, percent))

    def _run(self, rollout: Rollout, at: int, out: Batch) -> None:
        for other in self._members.by_name.values():
            older = other.row.ordinal < rollout.row.ordinal and not other.row.phase.ended
            if older and covers(rollout.plan, other.plan):
                self.finish(other, Phase.ABORTED, f"superseded by {rollout.name}", at, out)
                out.append(Paused(other.name, paused=False))
        baseline = self.population.baseline(rollout)
        rollout.change(phase=Phase.RUNNING, why="", baseline=baseline)
        self.watch(rollout, out)
        taken, order = self.population.order(rollout)
        out.append(
            Note(notes.ROLLOUT_CREATED, rollout.name, len(rollout.plan.waves), taken + len(order))
        )
        self.open_wave(rollout, at, out)

    def watch(self, rollout: Rollout, out: Batch) -> None:
        """Have the telemetry of the candidate compared."""
        row = rollout.row
        gate = row.plan.gate
        drain = gate.drain_ratio is not None
        asked = (rollout.name, row.manifest[:8], row.baseline[:8], drain, gate.drift_raw)
        out.append(Watching(*asked))

    def _believe(self, rollout: Rollout, twin: Twin, out: Batch) -> None:
        if twin.desired is not None or rollout.bundle is None or not selects(rollout.plan, twin):
            return
        if self._twins.fits(twin, rollout.bundle.manifest):
            desired = DesiredRow(
                generation=0,
                manifest=rollout.row.manifest,
                rollout=rollout.name,
                purpose=Purpose.FACTORY,
                outcome=Outcome.COMMITTED,
            )
            self._members.join(twin, desired, out)

    # -- waves ---------------------------------------------------------------------------------

    def open_wave(self, rollout: Rollout, at: int, out: Batch) -> None:
        """Open the next wave that has anybody in it; without one the rollout is complete."""
        taken, order = self.population.order(rollout)
        plan = rollout.plan
        while rollout.row.next_share < len(plan.waves):
            share = plan.waves[rollout.row.next_share]
            size = strata.cap(share, taken + len(order)) - taken
            if size > 0 and rollout.awaits is not None:
                self._await(rollout, out)
                return
            rollout.change(next_share=rollout.row.next_share + 1)
            if size > 0:
                wave = WaveRow(share, size, at, timeout_ns=at + plan.wave_timeout_ns)
                rollout.change(waves=(*rollout.row.waves, wave), why="")
                rollout.queue = deque(order[:size])
                out.append(Note(notes.WAVE_OPENED, rollout.name, len(rollout.row.waves) - 1, size))
                self._offer_page(rollout, at, out)
                return
        self.finish(rollout, Phase.COMPLETED, "", at, out)

    def _offer_page(self, rollout: Rollout, at: int, out: Batch) -> None:
        if rollout.plan.pace is not None:
            self.pacing.run(rollout, at, out)
            return
        index = len(rollout.row.waves) - 1
        wave = rollout.row.waves[index]
        if rollout.queue is None:
            _, order = self.population.order(rollout)
            rollout.queue = deque(order[: wave.size - wave.offered])
        by_name, candidate = self._twins.by_name, self.population.candidate
        for _ in range(min(self._limits.page_devices, len(rollout.queue))):
            twin = by_name[rollout.queue.popleft()]
            if candidate(rollout, twin):
                self._offers.offer(twin, rollout, out)
        wave = rollout.row.waves[index]
        if not rollout.queue and wave.offered < wave.size:
            # Some were taken by others since the wave opened.
            rollout.change_wave(index, size=wave.offered)

    def next_wave(self, rollout: Rollout, at: int, out: Batch) -> None:
        """Judge the open wave now, by those who have ended; whoever was not offered yet joins a later one."""
        index, wave = len(rollout.row.waves) - 1, rollout.row.waves[-1]
        if wave.offered < wave.size:
            rollout.change_wave(index, size=wave.offered)
            rollout.queue = None
        self._close_wave(rollout, at, out)

    def decided(self, rollout: Rollout, at: int, out: Batch) -> None:
        """A person let the next wave open."""
        rollout.change(approved=rollout.row.next_share + 1, why="")
        if rollout.row.phase is Phase.WAITING:
            self._start(rollout, at, out)
        elif rollout.row.phase is Phase.RUNNING:
            self.open_wave(rollout, at, out)

    def _close_wave(self, rollout: Rollout, at: int, out: Batch) -> None:
        index = len(rollout.row.waves) - 1
        wave = rollout.row.waves[index]
        why = self._judging.wave(rollout)
        if why:
            self.halt(rollout, why, at, out)
            return
        if not wave.committed + wave.staged and wave.superseded < wave.size:
            timeout = at + rollout.plan.wave_timeout_ns
            rollout.change_wave(index, timeout_ns=timeout, quorum_ns=0)
            rollout.change(why=f"waiting: nobody of wave {index} has committed")
            out.append(Note(notes.WAVE_SILENT, rollout.name, index))
            return
        value = self._judging.evidence(rollout)
        rollout.change_wave(index, closed_ns=at, verdict="passed", e_value=value)
        out.append(Note(notes.WAVE_PASSED, rollout.name, index, wave.committed))
        self.open_wave(rollout, at, out)

    # -- the gate ------------------------------------------------------------------------------

    def review(self, at: int, out: Batch) -> None:
        """Look at the gate and the quorum of every rollout whose books changed in this batch."""
        for rollout in self._members.changed():
            if rollout.row.phase in (Phase.RUNNING, Phase.PAUSED):
                why = self._judging.failures(rollout)
                if why:
                    self.halt(rollout, why, at, out)
            if rollout.row.phase is Phase.RUNNING:
                self._quorum(rollout, at, out)
        self._active = [r for r in self._members.by_name.values() if r.active]

    def judged(self, verdict: Judged, at: int, out: Batch) -> None:
        """Take in what telemetry says of a candidate."""
        for rollout in list(self._members.by_name.values()):
            running = rollout.row.phase in (Phase.RUNNING, Phase.PAUSED)
            if running and rollout.row.manifest[:8] == verdict.subject:
                why = self._judging.telemetry(rollout, verdict, out)
                if why:
                    self.halt(rollout, why, at, out)

    def _quorum(self, rollout: Rollout, at: int, out: Batch) -> None:
        wave = rollout.wave
        if wave is None or rollout.offering or wave.quorum_ns or wave.closed_ns:
            return
        if ended(wave) >= math.ceil(rollout.plan.gate.quorum * wave.size - 1e-9):
            index = len(rollout.row.waves) - 1
            rollout.change_wave(index, quorum_ns=at)
            out.append(Note(notes.WAVE_QUORUM, rollout.name, index, ended(wave)))

    # -- the end -------------------------------------------------------------------------------

    def halt(self, rollout: Rollout, why: str, at: int, out: Batch) -> None:
        """Stop by itself, and begin to stop or revert the members."""
        row = rollout.row
        counted = row.waves[row.first_wave :]
        judged, blamed = sum(w.judged for w in counted), sum(w.blamed for w in counted)
        self.finish(rollout, Phase.HALTED, why, at, out)
        out.append(Note(notes.ROLLOUT_HALTED, f"{rollout.name}: {why}", blamed, judged))
        reverting = rollout.plan.on_halt == "revert"
        self.brake(rollout, Brake.REVERT if reverting else Brake.HOLD, out)

    def staging_over(self, name: str, why: str, at: int, out: Batch) -> None:
        """An experiment was stopped: nobody more is given its candidate."""
        rollout = self._members.by_name.get(name)
        if rollout is None or not rollout.plan.stage:
            return
        if rollout.row.phase.ended:
            self.brake(rollout, Brake.HOLD, out)
        else:
            self.halt(rollout, f"experiment: {why}", at, out)

    def brake(self, rollout: Rollout, brake: Brake, out: Batch) -> None:
        """Begin to hold or revert all members: serving stops now, wants follow in pages."""
        out.append(Paused(rollout.name, paused=True))
        rollout.change(brake=brake)
        rollout.queue = None
        self._brake_page(rollout, out)

    def _brake_page(self, rollout: Rollout, out: Batch) -> None:
        if rollout.queue is None:
            rollout.queue = self.population.of(rollout)
        reverting = rollout.row.brake is Brake.REVERT
        act = self._offers.revert if reverting else self._offers.hold
        for _ in range(min(self._limits.page_devices, len(rollout.queue))):
            twin = self._twins.by_name[rollout.queue.popleft()]
            desired = twin.desired
            if desired is not None and desired.rollout == rollout.name:
                act(twin, out)
        if not rollout.queue:
            rollout.queue = None
            rollout.change(brake=Brake.NONE)
            out.append(Paused(rollout.name, paused=False))

    def finish(self, rollout: Rollout, phase: Phase, why: str, at: int, out: Batch) -> None:
        """End a rollout, and its open wave with it."""
        wave = rollout.wave
        if wave is not None and not wave.closed_ns:
            rollout.change_wave(len(rollout.row.waves) - 1, closed_ns=at, verdict=why or "closed")
        rollout.change(phase=phase, why=why)
        rollout.queue = None
        if phase is not Phase.COMPLETED:
            rollout.late.clear()
            rollout.again.clear()
        rollout.rest = REST
        if phase is Phase.COMPLETED:
            offered = sum(w.offered for w in rollout.row.waves)
            committed = sum(w.committed for w in rollout.row.waves)
            out.append(Note(notes.ROLLOUT_COMPLETED, rollout.name, committed, offered))
        elif phase is Phase.ABORTED:
            out.append(Note(notes.ROLLOUT_ABORTED, f"{rollout.name}: {why}"))

    # -- deadlines -----------------------------------------------------------------------------

    def due(self, now: int) -> Due | None:
        """The next instant at which a rollout has something to do by itself."""
        nearest: Due | None = None
        for rollout in self._active:
            due = self._due_of(rollout, now)
            if rollout.plan.pace is not None:
                due = self._paced_due(rollout, due)
            if due is not None and (nearest is None or due[0] < nearest[0]):
                nearest = due
        return nearest

    def _due_of(self, rollout: Rollout, now: int) -> Due | None:
        row, wave = rollout.row, rollout.wave
        if row.brake is not Brake.NONE:
            return now, f"{rollout.name}: next page of members to stop"
        if row.phase is Phase.WAITING:
            pace = row.plan.pace
            if pace is not None and rollout.looked_ns < pace.start_at_ns:
                return pace.start_at_ns, f"{rollout.name}: scheduled start"
            if rollout.bundle is None or rollout.awaits is not None:
                return None
            retry_ns = self._limits.start_retry_ns
            return rollout.looked_ns + retry_ns, f"{rollout.name}: look for devices"
        if row.phase is not Phase.RUNNING:
            return None
        assert wave is not None, f"{rollout.name} runs without a wave"
        if wave.closed_ns:
            return None
        if rollout.offering:
            if row.plan.pace is not None:
                return None
            return now, f"{rollout.name}: next page of offers"
        if wave.quorum_ns:
            return wave.quorum_ns + row.plan.soak_ns, f"{rollout.name}: soak ends"
        return wave.timeout_ns, f"{rollout.name}: wave timeout"

    def _paced_due(self, rollout: Rollout, due: Due | None) -> Due | None:
        """What is due first of a rollout with a pace."""
        if rollout.row.brake is not Brake.NONE:
            return due
        next_ns = self.pacing.due(rollout)
        if next_ns is None or (due is not None and due[0] <= next_ns):
            return due
        return next_ns, f"{rollout.name}: look who may be offered it"

    def run(self, at: int, out: Batch) -> None:
        """Do what is due."""
        for rollout in list(self._active):
            if rollout.plan.pace is not None and rollout.row.brake is Brake.NONE:
                next_ns = self.pacing.due(rollout)
                if next_ns is not None and next_ns <= at:
                    self.pacing.run(rollout, at, out)
            due = self._due_of(rollout, at)
            if due is None or due[0] > at:
                continue
            if rollout.row.brake is not Brake.NONE:
                self._brake_page(rollout, out)
            elif rollout.row.phase is Phase.WAITING:
                self._start(rollout, at, out)
            elif rollout.offering:
                self._offer_page(rollout, at, out)
            else:
                self._close_wave(rollout, at, out)

    def restored(self, at: int) -> None:
        """Rows were read: find the bundles again, and what is still to be done."""
        for rollout in self._members.by_name.values():
            rollout.bundle = self._catalog.by_digest.get(rollout.row.manifest)
            rollout.looked_ns = at
            rollout.rest = REST
        self._late_again()
        self._active = [r for r in self._members.by_name.values() if r.active]

    def _late_again(self) -> None:
        """Find those again who came late to a rollout with a pace and still wait."""
        open_to_all = [
            rollout
            for rollout in self._members.by_name.values()
            if rollout.plan.pace is not None and self._open_to_all(rollout)
        ]
        for twin in self._twins.by_name.values() if open_to_all else ():
            for rollout in reversed(open_to_all):
                if not rollout.offering and self.population.candidate(rollout, twin):
                    rollout.late[twin.name] = None
                    break
