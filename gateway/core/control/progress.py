"""What devices report, turned into how their wants went.

Decides which report ends a want and how; the reading of single states is in outcomes.py. Leaves out
the counts (members.py) and what follows for the rollout (rollouts.py).

Rules: only a report about the newest generation counts; inside one generation things go forward only,
an ended want stays ended, except that the digest a device *says it runs* overrides what we believe,
in both directions; a message that comes twice changes nothing the second time.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.errors import Nack
from devicesdk.wire.messages import Event, Have, UpdateState
from gateway.core import notes
from gateway.core.control import outcomes
from gateway.core.control.members import Members
from gateway.core.control.offers import Offers
from gateway.core.control.outbox import Batch
from gateway.core.control.outcomes import Fault
from gateway.core.control.twins import Twin, Twins
from gateway.core.effects import Note
from gateway.core.internal import FellBack
from gateway.core.limits import ControlLimits
from gateway.core.rows import DesiredRow, Outcome, Phase, Purpose, ReportedRow

_ENDED_NOTES: Final = {
    Outcome.COMMITTED: notes.COMMITTED,
    Outcome.FAILED: notes.FAILED,
    Outcome.ROLLED_BACK: notes.ROLLED_BACK,
    Outcome.REJECTED: notes.REJECTED,
    Outcome.SUPERSEDED: notes.LEFT,
    Outcome.STOPPED: notes.LEFT,
    Outcome.STAGED: notes.STAGED,
}
_NOT_OVER: Final = (Outcome.OPEN, Outcome.COMMITTED, Outcome.STAGED)
"""Outcomes after which a device may still end badly."""
_EXPIRED: Final = "expired"
"""Of a device that comes to a want after the want's time."""


class Progress:
    """Reads reports and events of devices.

    Args:
        limits: budgets of retries.
    """

    __slots__ = ("_limits", "_members", "_offers", "_twins")

    def __init__(
        self, limits: ControlLimits, twins: Twins, members: Members, offers: Offers
    ) -> None:
        self._limits = limits
        self._twins = twins
        self._members = members
        self._offers = offers

    def have(self, twin: Twin, have: Have, at: int, out: Batch, *, live: bool = True) -> None:
        """Take in what a device reports of itself, at an instant (UTC, ns); not `live`: a broker kept
        it."""
        before = twin.reported
        if not self._twins.have(twin, have, out, at, live=live):
            return
        desired, reported = twin.desired, twin.reported
        if desired is None or desired.purpose is Purpose.FACTORY:
            return
        if not desired.said and reported.running:
            desired = self._learn_previous(twin, desired, out)
        if not desired.exposed:
            self._expose(twin, reported.running, out)
        if self._too_late(before, twin, at):
            self._offers.hold(twin, out)
        elif have.nonce and have.nonce != twin.time_told and twin.wants_open():
            twin.time_told = have.nonce
            self._offers.tell_time(twin, have.nonce, at, out)
        elif reported.generation > desired.generation:
            self._offers.reissue(twin, out)
        elif reported.generation == desired.generation:
            self._read(twin, reported.state, reported.reason, out, fresh=True)
        else:
            self._offers.missed(twin, out)

    def _learn_previous(self, twin: Twin, desired: DesiredRow, out: Batch) -> DesiredRow:
        """A device's first word of what it runs for good beside its target: that is what it goes back to, and not
        what somebody believed when it was offered. It may have heard of its want before it is heard, so the
        generation tells nothing; of one that runs the target already the belief is all there is."""
        reported = twin.reported
        beside = not reported.trial and reported.running != desired.manifest
        if beside and desired.purpose is Purpose.UPDATE:
            self._members.settle(twin, out, previous=reported.running, said=True)
        assert twin.desired is not None
        return twin.desired

    def _too_late(self, before: ReportedRow, twin: Twin, at: int) -> bool:
        """Whether a device begins only now, and its rollout expired meanwhile.

        Args:
            before: what it had reported until now. Who was at work on something goes on.
            twin: with its report.
            at: instant (UTC, ns): the gateway's, for a device may not know the time.
        """
        desired = twin.desired
        assert desired is not None
        rollout = self._members.by_name[desired.rollout]
        if not rollout.plan.expires_ns or desired.attempt or desired.purpose is not Purpose.UPDATE:
            return False
        idle = before.state is UpdateState.IDLE or before.state.terminal
        begins = twin.reported.state < UpdateState.VERIFIED or twin.reported.state.terminal
        ended = twin.reported.state.terminal and twin.reported.generation >= desired.generation
        if not idle or before.generation >= desired.generation or not begins or ended:
            return False  # how it ended is judged as ever: late, and not unheard
        in_sync = outcomes.in_sync(desired, twin.reported)
        opened_ns = rollout.row.waves[desired.wave].opened_ns
        return not in_sync and not desired.hold and at > opened_ns + rollout.plan.expires_ns

    def event(self, twin: Twin, event: Event, out: Batch) -> None:
        """Take in one event of a device: a transition of its update, or an alarm."""
        if event.kind == "alarm":
            out.append(Note(notes.ALARM, twin.name, event.value))
        elif event.kind == "delta":
            self._offers.delta_failed(twin, event, out)
        elif event.kind == "experiment":
            self._candidate_left(twin, event, out)
        desired = twin.desired
        if event.kind != "update" or desired is None or desired.purpose is Purpose.FACTORY:
            return
        if event.state is UpdateState.TRIAL and not desired.exposed:
            self._expose(twin, event.digest, out)
        if event.generation == desired.generation:
            self._read(twin, event.state, event.reason, out, fresh=False)

    def _candidate_left(self, twin: Twin, event: Event, out: Batch) -> None:
        out.append(Note(notes.CANDIDATE_LEFT, f"{twin.name}: {event.reason}"))
        rollout = self._members.by_name.get(event.deployment)
        held = twin.desired is not None and twin.desired.rollout == event.deployment
        if held and rollout is not None and rollout.plan.stage:
            staged = sum(wave.staged for wave in rollout.row.waves)
            out.append(FellBack(rollout.name, twin.name, staged))

    def _expose(self, twin: Twin, running: bytes, out: Batch) -> None:
        """Remember that the device runs, or ran, the candidate; also when it was stopped meanwhile."""
        assert twin.desired is not None
        rollout = self._members.by_name[twin.desired.rollout]
        if running and running == rollout.row.manifest:
            self._members.settle(twin, out, exposed=True)

    def _read(
        self, twin: Twin, state: UpdateState, reason: str, out: Batch, *, fresh: bool
    ) -> None:
        desired = twin.desired
        assert desired is not None
        if outcomes.in_sync(desired, twin.reported):
            if desired.outcome is not Outcome.COMMITTED and fresh:
                self._end(twin, Outcome.COMMITTED, out, blamed=False)
            return
        outcome = outcomes.outcome_of(state)
        if state is UpdateState.STAGED and self._stages(desired):
            self._end(twin, Outcome.STAGED, out, blamed=False)
        elif outcome is not None and desired.outcome in _NOT_OVER:
            self._ended_badly(twin, outcome, state, reason, out)
        elif desired.outcome is Outcome.COMMITTED and fresh:
            self._fell_back(twin, out)
        elif outcome is None and desired.purpose is Purpose.UPDATE:
            self._at_risk(twin, desired, state, out)

    def _stages(self, desired: DesiredRow) -> bool:
        """Whether the want asks for no more than to be staged, and has not ended yet."""
        staging = self._members.by_name[desired.rollout].plan.stage
        return staging and desired.purpose is Purpose.UPDATE and desired.outcome is Outcome.OPEN

    def _at_risk(self, twin: Twin, desired: DesiredRow, state: UpdateState, out: Batch) -> None:
        # A device that says COMMITTED and does not run the digest is believed in neither.
        if not desired.judged and outcomes.at_risk(state) and state != UpdateState.COMMITTED:
            self._members.settle(twin, out, judged=True)

    def _fell_back(self, twin: Twin, out: Batch) -> None:
        """It had committed and now runs something else without saying why: it is open again."""
        assert twin.desired is not None
        self._members.settle(twin, out, outcome=Outcome.OPEN)
        out.append(Note(notes.FELL_BACK, twin.name, twin.desired.generation, twin.desired.wave))
        self._offers.grant(twin, out)

    def _ended_badly(
        self, twin: Twin, outcome: Outcome, state: UpdateState, reason: str, out: Batch
    ) -> None:
        desired = twin.desired
        assert desired is not None
        failed = outcome in (Outcome.FAILED, Outcome.ROLLED_BACK)
        fault = outcomes.fault_of(state, reason)
        if self._late_for_window(desired, outcome, reason):
            self._put_off(twin)
            return
        if failed and fault is not Fault.RELEASE and self._may_retry(desired):
            if not self._put_off(twin):
                self._offers.again(twin, out)
            return
        updating = desired.purpose is Purpose.UPDATE
        blamed = updating and failed and fault is not Fault.CIRCUMSTANCE
        if updating and (blamed or outcome is Outcome.REJECTED):
            self._twins.quarantine(twin, desired.manifest, out)
        self._end(twin, outcome, out, blamed=blamed)

    def _late_for_window(self, desired: DesiredRow, outcome: Outcome, reason: str) -> bool:
        """Whether a device did not begin before its maintenance window closed: there will be another one."""
        if not desired.until_ns or outcome is not Outcome.STOPPED or reason != _EXPIRED:
            return False
        phase = self._members.by_name[desired.rollout].row.phase
        return desired.purpose is Purpose.UPDATE and not desired.hold and phase <= Phase.COMPLETED

    def _put_off(self, twin: Twin) -> bool:
        """Leave another offer to the rollout's pace; False when it has none, or this is a way back."""
        desired = twin.desired
        assert desired is not None
        rollout = self._members.by_name[desired.rollout]
        if rollout.plan.pace is None or desired.purpose is not Purpose.UPDATE:
            return False
        rollout.again[twin.name] = None
        rollout.look_again()
        return True

    def _may_retry(self, desired: DesiredRow) -> bool:
        if desired.attempt >= self._limits.retries_max or desired.hold:
            return False
        phase = self._members.by_name[desired.rollout].row.phase
        return desired.purpose is Purpose.REVERT or phase <= Phase.COMPLETED

    def _end(self, twin: Twin, outcome: Outcome, out: Batch, *, blamed: bool) -> None:
        desired = twin.desired
        assert desired is not None
        good = outcome is Outcome.COMMITTED
        if desired.purpose is Purpose.REVERT:
            self._members.settle(twin, out, outcome=outcome)
            kind = notes.REVERTED if good else _ENDED_NOTES[outcome]
        else:
            self._members.settle(
                twin,
                out,
                outcome=outcome,
                exposed=desired.exposed or good,
                judged=desired.judged or good or blamed or outcome is Outcome.STAGED,
                blamed=blamed,
                hold=desired.hold and not good,
            )
            kind = _ENDED_NOTES[outcome]
        out.append(Note(kind, twin.name, desired.generation, desired.wave))
        quarantined = blamed or outcome is Outcome.REJECTED
        self._offers.revoke(twin, Nack.QUARANTINED if quarantined else Nack.GONE, out)
