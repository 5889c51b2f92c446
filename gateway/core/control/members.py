"""The books of each rollout: who belongs to it, and how many of each wave ended how.

Decides how a change of one device's want shows in the counts. Leaves out why anything changes
(progress.py, rollouts.py).

Rules: a device belongs to the rollout of its newest want and to no other; counts change only here,
together with the device's row, so that books and twins agree after any crash; a rollout's row is
made durable once a batch, however many devices it counted.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.core import notes, rows
from gateway.core.control.catalog import Bundle
from gateway.core.control.outbox import Batch
from gateway.core.control.twins import Twin
from gateway.core.effects import Note, Persist
from gateway.core.rows import Brake, DesiredRow, Outcome, Phase, Purpose, RolloutRow, WaveRow
from gateway.core.stimuli import RolloutPlan

_COUNTERS: Final = {
    Outcome.COMMITTED: "committed",
    Outcome.FAILED: "failed",
    Outcome.ROLLED_BACK: "rolled_back",
    Outcome.REJECTED: "rejected",
    Outcome.SUPERSEDED: "superseded",
    Outcome.STOPPED: "stopped",
    Outcome.STAGED: "staged",
}


class Rest(msgspec.Struct, frozen=True, gc=False):
    """Why devices of an open wave were not offered it, and when to look again (UTC, ns)."""

    next_ns: int = 0
    opens_ns: int = 0
    """When the next window opens (UTC); 0: none is waited for."""
    windows: int = 0
    """Devices whose window is closed."""
    budgets: int = 0
    """Devices whose budget is used up."""
    zones: int = 0
    """Devices that name a zone which nobody knows."""
    example: str = ""
    """Of a budget that is used up."""


REST: Final = Rest()


class Rollout:
    """One rollout: its durable row, and what can be found again after a crash.

    `queue` holds the devices still to be offered in the open wave, or still to be stopped; None means
    that they have to be looked up.
    """

    __slots__ = (
        "_dirty", "again", "blamed_seen", "bundle", "late", "looked_ns", "queue", "rest", "row", "strikes",
    )  # fmt: skip

    def __init__(self, row: RolloutRow, dirty: dict[str, Rollout]) -> None:
        self.row = row
        self._dirty = dirty
        self.bundle: Bundle | None = None
        self.queue: deque[str] | None = None
        self.strikes: dict[str, int] = {}
        self.blamed_seen = 0
        """Blamed failures that the gate has weighed."""
        self.looked_ns = 0
        """When it last looked for its first device, while waiting for one."""
        self.rest = REST
        """Of a rollout with a pace: who could not be offered it when last looked."""
        self.late: dict[str, None] = {}
        """Of the same: devices that came late and wait, in order."""
        self.again: dict[str, None] = {}
        """Of the same: members that have to be offered it again, once they may be."""

    @property
    def plan(self) -> RolloutPlan:
        """What was asked for."""
        return self.row.plan

    @property
    def name(self) -> str:
        """Its id."""
        return self.row.plan.id

    @property
    def wave(self) -> WaveRow | None:
        """The newest wave."""
        return self.row.waves[-1] if self.row.waves else None

    @property
    def at_last_share(self) -> bool:
        """Whether everybody it is for may have been offered by now."""
        return self.row.next_share >= len(self.plan.waves)

    @property
    def active(self) -> bool:
        """Whether it still has something to do by itself."""
        row = self.row
        if row.phase is Phase.COMPLETED and (self.late or self.again):
            return True
        return row.phase is Phase.RUNNING or row.phase is Phase.WAITING or row.brake != Brake.NONE

    @property
    def awaits(self) -> int | None:
        """Index into the plan's shares of the wave that waits for approval; None when none does."""
        row, pace = self.row, self.row.plan.pace
        if pace is None or row.next_share not in pace.approvals or row.next_share < row.approved:
            return None
        if row.phase is Phase.WAITING:
            return row.next_share
        between = self.wave is not None and self.wave.closed_ns and not row.phase.ended
        return row.next_share if between else None

    @property
    def offering(self) -> bool:
        """Whether devices of the open wave are still to be offered."""
        wave = self.wave
        if wave is None or self.row.phase is not Phase.RUNNING or wave.closed_ns:
            return False
        return wave.offered < wave.size

    def look_again(self) -> None:
        """Something changed that may let a device be offered it."""
        self.rest = REST
        self._dirty[self.name] = self

    def change(self, **fields: Any) -> None:
        """Change the row; it is made durable at the end of the batch."""
        self.row = replace(self.row, **fields)
        self._dirty[self.name] = self

    def change_wave(self, index: int, **fields: Any) -> None:
        """Change one wave."""
        waves = list(self.row.waves)
        waves[index] = replace(waves[index], **fields)
        self.change(waves=tuple(waves))


def ended(wave: WaveRow) -> int:
    """How many of a wave's members ended, one way or another."""
    done = wave.committed + wave.failed + wave.rolled_back
    return done + wave.rejected + wave.superseded + wave.stopped + wave.staged


class Members:
    """All rollouts with their books."""

    __slots__ = ("_dirty", "by_name", "changes")

    def __init__(self) -> None:
        self.by_name: dict[str, Rollout] = {}
        self._dirty: dict[str, Rollout] = {}
        self.changes = 0
        """How often a twin's want was replaced here."""

    def add(self, row: RolloutRow) -> Rollout:
        """Open the books of a rollout, new or restored."""
        rollout = self.by_name[row.plan.id] = Rollout(row, self._dirty)
        return rollout

    def created(self, row: RolloutRow) -> Rollout:
        """Open the books of a new rollout; its row becomes durable with this batch."""
        rollout = self.add(row)
        self._dirty[rollout.name] = rollout
        return rollout

    def changed(self) -> list[Rollout]:
        """The rollouts whose books changed since the last flush."""
        return list(self._dirty.values())

    def flush(self, out: Batch) -> None:
        """Ask for the rows that changed in this batch to be made durable."""
        if self._dirty:
            for name, rollout in self._dirty.items():
                out.append(Persist(rows.ROLLOUT, name, rollout.row))
            self._dirty.clear()

    def join(self, twin: Twin, desired: DesiredRow, out: Batch) -> None:
        """Give a device a new want; a want of another rollout that was open is superseded by it."""
        old = twin.desired
        if old is not None and old.rollout != desired.rollout and twin.wants_open():
            self.settle(twin, out, outcome=Outcome.SUPERSEDED)
        self.changes += 1
        twin.desired = desired
        out.append(Persist(rows.DESIRED, twin.name, desired))

    def offered(self, rollout: Rollout, wave_index: int) -> None:
        """Count an offer (a retry of the same device is not another one)."""
        wave = rollout.row.waves[wave_index]
        rollout.change_wave(wave_index, offered=wave.offered + 1)

    def settle(self, twin: Twin, out: Batch, **fields: Any) -> None:
        """Change how a device's newest want went, in its row and in the books."""
        old = twin.desired
        assert old is not None, f"{twin.name} has no want that could change"
        new = replace(old, **fields)
        if new == old:
            return
        self.changes += 1
        twin.desired = new
        out.append(Persist(rows.DESIRED, twin.name, new))
        rollout = self.by_name.get(old.rollout)
        if rollout is None or new.purpose is Purpose.FACTORY:
            return
        deltas = _deltas(old, new)
        if deltas:
            wave = rollout.row.waves[old.wave]
            counts = {name: getattr(wave, name) + delta for name, delta in deltas.items()}
            rollout.change_wave(old.wave, **counts)
        if new.exposed and not old.exposed:
            out.append(Note(notes.EXPOSED, twin.name, new.generation, new.wave))

    def validate(self, twins: dict[str, Twin]) -> None:
        """Check the books against themselves and against the twins.

        Raises:
            AssertionError: they disagree.
        """
        assert not self._dirty, f"rows were changed and not made durable: {list(self._dirty)}"
        for name, rollout in self.by_name.items():
            for index, wave in enumerate(rollout.row.waves):
                where = f"wave {index} of {name}"
                assert ended(wave) <= wave.offered, f"{where} ended more than it offered: {wave}"
                assert wave.offered <= wave.size, f"{where} offered more than its cap: {wave}"
                assert wave.blamed <= wave.judged <= wave.offered, f"{where} judged: {wave}"
                assert wave.exposed <= wave.offered, f"{where} exposed: {wave}"
            if rollout.row.phase is Phase.RUNNING:
                assert rollout.bundle is not None, f"{name} runs without its bundle"
                assert rollout.wave is not None, f"{name} runs without a wave"
        for twin in twins.values():
            desired = twin.desired
            if desired is None or desired.purpose is Purpose.FACTORY:
                continue
            known = self.by_name.get(desired.rollout)
            assert known is not None, f"{twin.name} belongs to {desired.rollout}, which is unknown"
            assert desired.wave < len(known.row.waves), f"{twin.name} is in a wave that is not"


def _deltas(old: DesiredRow, new: DesiredRow) -> dict[str, int]:
    """How the counts of a wave change with one member."""
    deltas: dict[str, int] = {}
    if new.exposed is not old.exposed:
        deltas["exposed"] = 1 if new.exposed else -1
    if new.purpose is Purpose.REVERT:
        gone = (new.outcome is Outcome.COMMITTED) - (old.outcome is Outcome.COMMITTED)
        if gone:
            deltas["reverted"] = gone
        return deltas
    if new.judged is not old.judged:
        deltas["judged"] = 1 if new.judged else -1
    if new.blamed is not old.blamed:
        deltas["blamed"] = 1 if new.blamed else -1
    if new.outcome is not old.outcome:
        for outcome, delta in ((old.outcome, -1), (new.outcome, 1)):
            counter = _COUNTERS.get(outcome)
            if counter is not None:
                deltas[counter] = delta
    return deltas
