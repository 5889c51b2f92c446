"""The verbs of people on a rollout: pause, resume, abort keep or revert, retry, next wave; approve and deny.

Decides which verb fits which phase, and what it changes. Leaves out who may say it (roles are the
API's) and how members are stopped (rollouts.py).

Rules: a verb that does not fit changes nothing and is noted; a paused rollout offers nothing, serves
nothing and its soak and timeout stand still, but its gate still watches; a retry starts the evidence
anew, offers again to whoever did not commit, and never to a device that has the bundle in quarantine.
"""

from __future__ import annotations

from gateway.core import notes
from gateway.core.control.members import Members, Rollout
from gateway.core.control.outbox import Batch
from gateway.core.control.rollouts import Rollouts
from gateway.core.effects import Note
from gateway.core.internal import Paused
from gateway.core.limits import ControlLimits
from gateway.core.rows import Brake, Phase
from gateway.core.stimuli import DecideWave, SteerRollout


class Steering:
    """Carries out verbs.

    Args:
        limits: bounds.
    """

    __slots__ = ("_limits", "_members", "_rollouts")

    def __init__(self, limits: ControlLimits, members: Members, rollouts: Rollouts) -> None:
        self._limits = limits
        self._members = members
        self._rollouts = rollouts

    def hear(self, stimulus: SteerRollout | DecideWave, at: int, out: Batch) -> None:
        """Carry out a verb, or a decision on the wave that waits for one."""
        if isinstance(stimulus, SteerRollout):
            self.steer(stimulus, at, out)
        else:
            self.decide(stimulus, at, out)

    def steer(self, stimulus: SteerRollout, at: int, out: Batch) -> None:
        """Carry out one verb, or note why not."""
        rollout, verb = self._members.by_name.get(stimulus.rollout), stimulus.verb
        if rollout is None:
            refusal = f"{stimulus.rollout} is not known"
        elif rollout.plan.initial:
            refusal = f"{rollout.name} is factory state and has no life of its own"
        else:
            match verb:
                case "pause":
                    refusal = self._pause(rollout, at, out)
                case "resume":
                    refusal = self._resume(rollout, at, out)
                case "abort-keep":
                    refusal = self._abort(rollout, Brake.HOLD, at, out)
                case "abort-revert":
                    refusal = self._abort(rollout, Brake.REVERT, at, out)
                case "retry":
                    refusal = self._retry(rollout, at, out)
                case "trigger-next":
                    refusal = self._next(rollout, at, out)
        kind = notes.STEER_REFUSED if refusal else notes.ROLLOUT_STEERED
        out.append(Note(kind, f"{stimulus.rollout}: {verb}{': ' if refusal else ''}{refusal}"))

    def decide(self, stimulus: DecideWave, at: int, out: Batch) -> None:
        """Let the wave open that waits for approval, or end the rollout there; or note why not."""
        rollout = self._members.by_name.get(stimulus.rollout)
        wave = None if rollout is None else rollout.awaits
        if rollout is None:
            refusal = "it is not known"
        elif wave is None:
            refusal = f"no wave waits for approval, it is {rollout.row.phase.name}"
        elif stimulus.wave not in (None, wave):
            refusal = f"expected wave {wave}, which waits, found wave {stimulus.wave}"
        else:
            said = f"{rollout.name}{': ' if stimulus.why else ''}{stimulus.why}"
            kind = notes.WAVE_APPROVED if stimulus.approved else notes.WAVE_DENIED
            out.append(Note(kind, said, wave))
            if stimulus.approved:
                self._rollouts.decided(rollout, at, out)
            else:
                why = f"wave {wave} was denied" + (f": {stimulus.why}" if stimulus.why else "")
                self._rollouts.finish(rollout, Phase.ABORTED, why, at, out)
                self._rollouts.brake(rollout, Brake.HOLD, out)
            return
        out.append(Note(notes.DECISION_REFUSED, f"{stimulus.rollout}: {refusal}"))

    def _next(self, rollout: Rollout, at: int, out: Batch) -> str:
        wave = rollout.wave
        if rollout.row.phase is not Phase.RUNNING or wave is None:
            return f"expected it to run, found {rollout.row.phase.name}"
        if rollout.awaits is not None:
            return f"wave {rollout.awaits} waits for approval: approve or deny it"
        if rollout.at_last_share:
            return "its last wave is open already"
        if not wave.committed + wave.staged:
            return "nobody of the open wave has committed: there is nothing to judge it by"
        self._rollouts.next_wave(rollout, at, out)
        return ""

    def _pause(self, rollout: Rollout, at: int, out: Batch) -> str:
        if rollout.row.phase is not Phase.RUNNING:
            return f"expected it to run, found {rollout.row.phase.name}"
        rollout.change(phase=Phase.PAUSED, why="paused by an operator", paused_ns=at)
        out.append(Paused(rollout.name, paused=True))
        return ""

    def _resume(self, rollout: Rollout, at: int, out: Batch) -> str:
        if rollout.row.phase is not Phase.PAUSED:
            return f"expected it to be paused, found {rollout.row.phase.name}"
        row, wave = rollout.row, rollout.wave
        assert wave is not None
        stood = at - row.paused_ns
        size = wave.size
        paced = rollout.plan.pace is not None
        if rollout.at_last_share and rollout.plan.waves[-1] == 1.0 and not paced:
            # Whoever was enrolled meanwhile belongs to the wave that reaches everybody.
            size = wave.offered + len(self._rollouts.population.order(rollout)[1])
        rollout.change_wave(
            len(row.waves) - 1,
            size=size,
            timeout_ns=wave.timeout_ns + stood,
            quorum_ns=wave.quorum_ns + stood if wave.quorum_ns else 0,
        )
        rollout.change(phase=Phase.RUNNING, why="", paused_ns=0)
        rollout.queue = None
        out.append(Paused(rollout.name, paused=False))
        if paced:
            rollout.look_again()
            if wave.closed_ns and rollout.row.next_share < len(rollout.plan.waves):
                self._rollouts.open_wave(rollout, at, out)
        return ""

    def _abort(self, rollout: Rollout, brake: Brake, at: int, out: Batch) -> str:
        phase = rollout.row.phase
        if phase.ended and brake is Brake.HOLD:
            return f"expected it not to have ended, found {phase.name}"
        if rollout.row.brake is Brake.REVERT:
            return "its members are being reverted already"
        kept = "kept" if brake is Brake.HOLD else "reverted"
        self._rollouts.finish(rollout, Phase.ABORTED, f"by an operator, {kept}", at, out)
        self._rollouts.brake(rollout, brake, out)
        return ""

    def _retry(self, rollout: Rollout, at: int, out: Batch) -> str:
        row = rollout.row
        if not row.phase.ended or not row.waves:
            return f"expected it to have ended after an offer, found {row.phase.name}"
        if row.brake is not Brake.NONE:
            return "its members are still being stopped; ask again later"
        if len(row.waves) + len(row.plan.waves) > self._limits.waves_max:
            return (
                f"it has had {len(row.waves)} waves, at most {self._limits.waves_max}; start anew"
            )
        stopped = row.phase is not Phase.COMPLETED
        rollout.change(
            phase=Phase.RUNNING,
            why="",
            first_wave=len(row.waves),
            # What was stopped begins with its canary again.
            next_share=0 if stopped else max(row.next_share - 1, 0),
            approved=0 if stopped else row.approved,
        )
        rollout.strikes.clear()
        rollout.blamed_seen = 0
        self._rollouts.watch(rollout, out)
        self._rollouts.open_wave(rollout, at, out)
        return ""
