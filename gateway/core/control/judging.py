"""Whether a rollout must stop: by its failures, by what telemetry says, or at the end of a wave.

Decides the reason to halt, or that there is none. Leaves out the weight of failures (gates.py), the
reading of telemetry (the collect machine) and the halt itself (rollouts.py).

Rules: failures are weighed the moment they are counted, over all waves since the start or the last
retry; latency or drain must be above the gate's ratio several judgements in a row for one cohort, drift is
believed at once (collect has its own hysteresis); a wave that lost at least as many as it gained does
not pass, however few they were: that also stops a bundle that devices *reject*, which is no failure.
"""

from __future__ import annotations

from gateway.core import notes
from gateway.core.control import gates
from gateway.core.control.members import Rollout
from gateway.core.control.outbox import Batch
from gateway.core.effects import Note
from gateway.core.internal import Judged
from gateway.core.limits import ControlLimits


class Judging:
    """Judges rollouts.

    Args:
        limits: how much telemetry is enough.
    """

    __slots__ = ("_limits",)

    def __init__(self, limits: ControlLimits) -> None:
        self._limits = limits

    def evidence(self, rollout: Rollout) -> float:
        """The e-value of a rollout since its start or last retry."""
        row = rollout.row
        counts = [(wave.judged, wave.blamed) for wave in row.waves[row.first_wave :]]
        return gates.evidence(counts, len(row.plan.waves), row.plan.gate.failures)

    def failures(self, rollout: Rollout) -> str:
        """Why its failures are too many; empty when they are not, or when there is no new one."""
        row = rollout.row
        blamed = sum(wave.blamed for wave in row.waves[row.first_wave :])
        if blamed == rollout.blamed_seen:
            return ""
        rollout.blamed_seen = blamed
        value = self.evidence(rollout)
        rollout.change_wave(len(row.waves) - 1, e_value=value)
        gate = row.plan.gate
        if value <= gate.evidence:
            return ""
        return f"failures: e-value {value:.4g} above {gate.evidence:g}, tolerated {gate.failures:g}"

    def wave(self, rollout: Rollout) -> str:
        """Why the wave that ends is not good; empty when it is."""
        index, wave = len(rollout.row.waves) - 1, rollout.row.waves[-1]
        lost = wave.blamed + wave.rejected
        won = wave.committed + wave.staged
        if not lost or lost < won:
            return ""
        return f"wave {index}: {lost} failed or rejected, {won} committed"

    def telemetry(self, rollout: Rollout, verdict: Judged, out: Batch) -> str:
        """Why telemetry of the candidate stops it; empty when it does not."""
        gate, cohort = rollout.plan.gate, verdict.cohort
        if gate.drift and verdict.drift != "none":
            return f"drift: {verdict.drift} in {cohort}, score {verdict.score:.3g}"
        why = self._drain(rollout, verdict, out)
        if why:
            return why
        if gate.latency_p95_ratio is None or verdict.baseline_latency_p95_ms <= 0:
            return ""
        if verdict.frames < self._limits.judged_frames_min:
            return ""
        ratio = verdict.latency_p95_ms / verdict.baseline_latency_p95_ms
        if ratio <= gate.latency_p95_ratio:
            rollout.strikes.pop(cohort, None)
            return ""
        strikes = rollout.strikes[cohort] = rollout.strikes.get(cohort, 0) + 1
        out.append(Note(notes.LATENCY_STRIKE, f"{rollout.name} {cohort}", strikes))
        if strikes < self._limits.latency_strikes:
            return ""
        return f"latency: p95 of {cohort} x{ratio:.2f}, allowed x{gate.latency_p95_ratio:g}"

    def _drain(self, rollout: Rollout, verdict: Judged, out: Batch) -> str:
        """Why the candidate empties batteries too fast; empty when it does not."""
        allowed, before = rollout.plan.gate.drain_ratio, verdict.baseline_drain_percent_h
        if allowed is None or before <= 0:
            return ""
        key = f"drain {verdict.cohort}"
        ratio = verdict.drain_percent_h / before
        if ratio <= allowed:
            rollout.strikes.pop(key, None)
            return ""
        strikes = rollout.strikes[key] = rollout.strikes.get(key, 0) + 1
        out.append(Note(notes.DRAIN_STRIKE, f"{rollout.name} {verdict.cohort}", strikes))
        if strikes < self._limits.drain_strikes:
            return ""
        rate = f"{verdict.drain_percent_h:.2g} % an hour"
        return f"drain: {rate} in {verdict.cohort}, x{ratio:.3g}, allowed x{allowed:g}"
