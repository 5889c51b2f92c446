"""The experiments machine: windows in, allocations, stops and promotions out.

Decides when an allocation changes and when an experiment ends. Leaves out what a window says (outcomes.py),
the arithmetic of allocation (bandit.py) and of evidence (eprocess.py), the words of the flag
(definitions.py), how a candidate gets into the inactive slots (a rollout of the control machine that
stages only), and what devices do (devicesdk/agent/experiments.py).

Theory of operation. Control resolves the names of a new experiment and says `ExperimentBegins`; collect is
asked to say `WindowSeen` for each window of the two bundles, once. After every window of the candidate,
and of production where the two are compared, the brake is looked at; at each look the allocation is made anew, and a candidate that has shown to be
better than what is tolerated is promoted. All of it reaches devices as one flag.

=============  =========================================================================
shadow         half the stake on "bad too often", half on the paired test
interleaved    half on "bad too often", half on "worse than production"
bandit         all on "bad too often"; the allocation follows bandit.py
=============  =========================================================================

Rules: a stake that is divided is one e-process, so a good candidate is stopped with probability at most
1 / brake, in every mode; freezing takes the share back to where it began at once and thaws only at a
look; a candidate is not promoted on the word of those devices that did not fall back: where more fell back
than is tolerated it is stopped instead; a candidate that is frozen or starved and that no device runs any more is stopped, because nothing
would ever change that (this end is not the brake's, and its bound is not claimed for it); an experiment that ended stays ended; what ended it is in its row, with evidence and counts. Rows
are handed out by `checkpoint` alone, together with collect's: the host commits both or neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from devicesdk.wire.timebase import MS
from gateway.core import eprocess
from gateway.core.effects import Note, Persist
from gateway.core.experiments import bandit, definitions, notes, outcomes, rows
from gateway.core.experiments.bandit import Brakes, Tally
from gateway.core.experiments.limits import ExperimentLimits
from gateway.core.experiments.luck import Luck
from gateway.core.experiments.rows import ExperimentRow, Phase
from gateway.core.internal import (
    ExperimentBegins,
    FellBack,
    FlagWanted,
    Internal,
    StagingOver,
    Tracking,
    WindowSeen,
)
from gateway.core.stimuli import DeadlineReached, Started, SteerExperiment, Stimulus

Batch = list[Any]
FELL_BACK_MAX: Final = 1_000
"""Devices that fell back and are remembered by name; more change nothing."""
SILENT_LOOKS_MAX: Final = 4
"""A candidate that is frozen, or to which the posterior gives nothing, and that nobody ran for so many
looks, has no device left to learn from."""


class ExperimentView(msgspec.Struct, frozen=True):
    """One experiment, for people."""

    id: str
    bundle: str
    production: str
    mode: str
    state: str
    why: str
    share: float
    cap: float
    frozen: bool
    windows: int
    bad: int
    production_windows: int
    production_bad: int
    evidence_against: float
    evidence_for: float
    looks: int
    brake: float = 0.0
    """Evidence against it that stops it; 0: nobody said."""
    promotes: float = 0.0
    """Evidence for it that promotes it."""
    tolerated: float = 0.0
    """Share of the candidate's windows that may be bad."""


class Experiments:
    """All experiments of a tenant.

    Args:
        limits: bounds, and the seed.
    """

    def __init__(self, limits: ExperimentLimits) -> None:
        self._limits = limits
        self._rows: dict[str, ExperimentRow] = {}
        self._running: dict[str, None] = {}
        self._dirty: dict[str, None] = {}
        self.urgent = False
        """Whether a row must be durable with this batch, because its cause is not said again."""
        self._offset_ns = 0
        """UTC minus `now`."""

    # -- the machine ---------------------------------------------------------------------------

    def handle(self, stimulus: Stimulus | Internal, now: int) -> Batch:
        """Take a window, a deadline, a verb or a new experiment; anything else is not for us."""
        out: Batch = []
        match stimulus:
            case WindowSeen():
                self._window(stimulus, out)
            case DeadlineReached():
                self._look_at_due(now + self._offset_ns, out)
            case ExperimentBegins():
                self._begin(stimulus, now + self._offset_ns, out)
            case FellBack():
                self._fell_back(stimulus)
            case SteerExperiment():
                self._steer(stimulus, out)
            case Started(wall_ms=wall_ms):
                self._offset_ns = wall_ms * MS - now
            case _:
                pass
        return out

    def deadline(self) -> tuple[int, str] | None:
        """When the next look is due."""
        if not self._running:
            return None
        at, name = min((self._rows[name].look_ns, name) for name in self._running)
        return at - self._offset_ns, f"experiments: a look at {name}"

    @property
    def unsaved(self) -> bool:
        """Whether a row differs from what is durable."""
        return bool(self._dirty)

    def checkpoint(self) -> list[Persist]:
        """Rows to commit together with collect's of the same moment."""
        changed, self._dirty = self._dirty, {}
        self.urgent = False
        return [Persist(rows.EXPERIMENT, name, self._rows.get(name)) for name in changed]

    def restore(self, stored: Iterable[tuple[str, str, Any]], now: int) -> Batch:
        """Take durable rows into a new machine; returns what collect must know again."""
        del now
        for table, key, row in stored:
            if table == rows.EXPERIMENT:
                self._rows[key] = row
        self._running = {n: None for n, r in self._rows.items() if r.phase is Phase.RUNNING}
        out: Batch = []
        self._track(out)
        return out

    def views(self) -> list[ExperimentView]:
        """All experiments, oldest first."""
        return [_view(row) for row in self._rows.values()]

    def validate(self) -> None:
        """Check what must always hold.

        Raises:
            AssertionError: it does not.
        """
        for name, row in self._rows.items():
            running = row.phase is Phase.RUNNING
            assert (name in self._running) is running, (
                f"{name} is {row.phase.name} in one place only"
            )
            assert row.share <= row.cap <= row.plan.share, f"{name}: {row.share}, cap {row.cap}"
            assert row.tally.bad <= row.tally.judged, f"{name} counted {row.tally}"
            assert not running or self._against(row) <= row.plan.brake, f"{name} runs on"

    # -- beginning and end ---------------------------------------------------------------------

    def _begin(self, asked: ExperimentBegins, at: int, out: Batch) -> None:
        plan = asked.plan
        if plan.id in self._rows:
            return
        if len(self._running) >= self._limits.running_max:
            why = f"{plan.id}: {self._limits.running_max} experiments run already"
            out += [Note(notes.REFUSED, why), StagingOver(plan.id, "refused")]
            return
        cap = min(plan.share, bandit.SHARE_FIRST) if plan.mode == "bandit" else plan.share
        row = ExperimentRow(
            plan, asked.candidate, asked.production, cap=cap, share=cap, look_ns=at + plan.look_ns
        )
        self._forget_oldest()
        self._put(row)
        self._running[plan.id] = None
        out.append(Note(notes.CREATED, plan.id, definitions.weight(plan.share)))
        self._track(out)
        self._allocate(row, out)

    def _forget_oldest(self) -> None:
        ended = [name for name in self._rows if name not in self._running]
        if len(ended) >= self._limits.kept_max:
            del self._rows[ended[0]]
            self._dirty[ended[0]] = None

    def _end(self, row: ExperimentRow, phase: Phase, why: str, out: Batch) -> None:
        plan = row.plan
        row = replace(row, phase=phase, why=why, share=0.0)
        self._put(row)
        del self._running[plan.id]
        self._track(out)
        promoted = phase is Phase.PROMOTED
        mode, kind = ("promote", notes.PROMOTED) if promoted else ("stop", notes.STOPPED)
        out.append(self._flag(row, definitions.ending(mode, row.candidate)))
        if not promoted:
            out.append(StagingOver(plan.id, why))
        out.append(Note(kind, f"{plan.id}: {why}", row.tally.bad, row.tally.judged))

    def _steer(self, stimulus: SteerExperiment, out: Batch) -> None:
        row = self._rows.get(stimulus.experiment)
        if row is None or row.phase is not Phase.RUNNING:
            found = "not known" if row is None else row.phase.name.lower()
            why = f"{stimulus.verb}: expected {stimulus.experiment} to run, found it {found}"
            out.append(Note(notes.REFUSED, why))
            return
        match stimulus.verb:
            case "promote":
                self._end(row, Phase.PROMOTED, "by an operator", out)
            case "stop":
                self._end(row, Phase.STOPPED, "by an operator", out)
            case "freeze":
                self._freeze(replace(row, held=True), "by an operator", out)
            case "thaw":
                row = replace(row, held=False)
                self._put(row)
                out.append(_told(notes.THAWED, row, "by an operator; the next look decides"))

    # -- windows -------------------------------------------------------------------------------

    def _window(self, seen: WindowSeen, out: Batch) -> None:
        for name in list(self._running):
            row = self._rows[name]
            if seen.bundle == row.candidate[:8]:
                self._candidates(row, seen, out)
            elif seen.bundle == row.production[:8]:
                row = replace(row, baseline=_counted(row.baseline, row, seen))
                self._put(row)
                if row.plan.mode == "interleaved":
                    self._braked(row, self._against(row), out)

    def _candidates(self, row: ExperimentRow, seen: WindowSeen, out: Batch) -> None:
        if bool(seen.shadow) is not (row.plan.mode == "shadow"):
            return  # of a time before or after: a promotion, another experiment
        ours, theirs = outcomes.who_failed_alone(seen)
        row = replace(
            row,
            tally=_counted(row.tally, row, seen),
            alone=(row.alone[0] + ours, row.alone[1] + theirs),
            fresh=row.fresh + 1,
        )
        self._put(row)
        against = self._against(row)
        if not self._braked(row, against, out) and not row.frozen and self._wrong_way(row):
            self._freeze(row, f"e-value {against:.4g}", out)

    def _braked(self, row: ExperimentRow, against: float, out: Batch) -> bool:
        """Stop where there is evidence enough; tells whether there was."""
        plan = row.plan
        if against <= plan.brake:
            return False
        why = f"e-value {against:.4g} above {plan.brake:g}, tolerated {plan.tolerated:g}"
        self._end(row, Phase.STOPPED, why, out)
        return True

    def _freeze(self, row: ExperimentRow, why: str, out: Batch) -> None:
        row = replace(row, frozen=True)
        self._put(row)
        out.append(_told(notes.FROZEN, row, why))
        if row.plan.mode != "shadow":
            self._share_out(row, min(row.share, bandit.SHARE_FIRST), out)

    def _fell_back(self, said: FellBack) -> None:
        row = self._rows.get(said.experiment)
        if row is None or row.phase is not Phase.RUNNING or said.device in row.fell_back:
            return
        if len(row.fell_back) < FELL_BACK_MAX:
            row = replace(row, fell_back=(*row.fell_back, said.device))
        self._put(replace(row, staged=said.staged))
        self.urgent = True

    # -- looks ---------------------------------------------------------------------------------

    def _look_at_due(self, at: int, out: Batch) -> None:
        for name in list(self._running):
            row = self._rows[name]
            if row.look_ns <= at:
                self._look(row, at, out)

    def _look(self, row: ExperimentRow, at: int, out: Batch) -> None:
        plan, looks = row.plan, row.looks + 1
        still = row.held or self._wrong_way(row)
        share, cap = row.share, row.cap
        if plan.mode == "bandit" and not row.held:
            luck = Luck(self._limits.seed, plan.id, looks)
            brakes = Brakes(plan.tolerated, plan.brake, plan.freeze)
            step = bandit.look(
                luck, row.tally, row.baseline, brakes, cap, plan.share, fresh=row.fresh
            )
            share, cap = step.share, step.cap
        elif not still:
            share = plan.share
        thaws = row.frozen and not still
        starved = still or (plan.mode == "bandit" and share < bandit.SHARE_FIRST)
        heard = row.fresh or not row.tally.judged
        silent = row.silent + 1 if starved and not (row.held or heard) else 0
        look_ns = max(row.look_ns + plan.look_ns, at + 1)
        row = replace(
            row, looks=looks, fresh=0, cap=cap, frozen=still, look_ns=look_ns, silent=silent
        )
        self._put(row)
        if silent >= SILENT_LOOKS_MAX:
            state = "frozen" if still else f"worth {share:.3g} of the devices"
            why = f"{state} at e-value {self._against(row):.4g}, and no device is left that runs it"
            self._end(row, Phase.STOPPED, why, out)
            return
        if thaws:
            out.append(_told(notes.THAWED, row, f"e-value {self._against(row):.4g}"))
        if not still and self._proven(row):
            evidence = eprocess.rarer(*row.tally.pair, plan.tolerated)
            why = f"e-value {evidence:.4g} that fewer than {plan.tolerated:g} are bad"
            if self._given_up(row):
                lost = len(row.fell_back)
                why = f"{lost} devices fell back of {row.staged}, and only the others say: {why}"
                self._end(row, Phase.STOPPED, why, out)
            else:
                self._end(row, Phase.PROMOTED, why, out)
        else:
            self._share_out(row, share, out)

    def _proven(self, row: ExperimentRow) -> bool:
        plan = row.plan
        if plan.promote == "manual" or row.cap < plan.share:
            return False
        return eprocess.rarer(*row.tally.pair, plan.tolerated) > plan.evidence

    def _given_up(self, row: ExperimentRow) -> bool:
        """Whether more devices than tolerated fell back: the windows of the others are no fair sample."""
        return len(row.fell_back) > row.plan.tolerated * max(1.0, row.plan.share * row.staged)

    def _against(self, row: ExperimentRow) -> float:
        """Evidence that the candidate is not as it should be: one e-process, whatever the mode."""
        too_often = eprocess.e_value(*row.tally.pair, row.plan.tolerated)
        match row.plan.mode:
            case "shadow":
                return 0.5 * (too_often + eprocess.paired(*row.alone))
            case "interleaved":
                return 0.5 * (too_often + eprocess.two_sample(row.tally.pair, row.baseline.pair))
            case "bandit":
                return too_often

    def _wrong_way(self, row: ExperimentRow) -> bool:
        """Whether the safety metric moves the wrong way."""
        if self._against(row) > row.plan.freeze:
            return True
        if row.plan.mode == "shadow":
            return False  # production's windows say nothing of how far the two are apart
        return eprocess.two_sample(row.tally.pair, row.baseline.pair) > row.plan.freeze

    # -- saying --------------------------------------------------------------------------------

    def _share_out(self, row: ExperimentRow, share: float, out: Batch) -> None:
        before, share = definitions.weight(row.share), min(share, row.cap)
        row = replace(row, share=share)
        self._put(row)
        if definitions.weight(share) != before:
            self._allocate(row, out)

    def _allocate(self, row: ExperimentRow, out: Batch) -> None:
        out.append(self._flag(row, definitions.allocation(row.plan, row.candidate, row.share)))
        told = definitions.weight(row.share), definitions.weight(row.cap)
        out.append(Note(notes.ALLOCATED, row.plan.id, *told))

    def _flag(self, row: ExperimentRow, definition: str) -> FlagWanted:
        return FlagWanted(row.plan.segment, definitions.PREFIX + row.plan.id, definition)

    def _track(self, out: Batch) -> None:
        bundles: dict[bytes, None] = {}
        for name in self._running:
            row = self._rows[name]
            bundles[row.candidate[:8]] = bundles[row.production[:8]] = None
        out.append(Tracking(tuple(bundles)))

    def _put(self, row: ExperimentRow) -> None:
        self._rows[row.plan.id] = row
        self._dirty[row.plan.id] = None


def _counted(tally: Tally, row: ExperimentRow, seen: WindowSeen) -> Tally:
    return Tally(tally.judged + 1, tally.bad + outcomes.is_bad(row.plan, seen))


def _told(kind: str, row: ExperimentRow, why: str) -> Note:
    return Note(kind, f"{row.plan.id}: {why}", row.tally.bad, row.tally.judged)


def _view(row: ExperimentRow) -> ExperimentView:
    plan, tally = row.plan, row.tally
    return ExperimentView(
        id=plan.id,
        bundle=plan.bundle,
        production=plan.production,
        mode=plan.mode,
        state=row.phase.name.lower(),
        why=row.why,
        share=row.share,
        cap=row.cap,
        frozen=row.frozen,
        windows=tally.judged,
        bad=tally.bad,
        production_windows=row.baseline.judged,
        production_bad=row.baseline.bad,
        evidence_against=eprocess.e_value(*tally.pair, plan.tolerated),
        evidence_for=eprocess.rarer(*tally.pair, plan.tolerated),
        looks=row.looks,
        brake=plan.brake,
        promotes=plan.evidence,
        tolerated=plan.tolerated,
    )
