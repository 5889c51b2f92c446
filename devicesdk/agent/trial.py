"""The self-test of a trial: its clock and its verdict.

Decides when a running, uncommitted bundle has shown enough. Leaves out what follows from the verdict
(update.py) and the frames themselves (work.py). RAM only: a boot starts the clock again.

Rules: at least one frame must have run; more than a tolerated share of frames in error fails at
once; a trial whose frames do not come has failed too; while inference is killed the clock stands
still, because a kill is not the bundle's fault.
"""

from __future__ import annotations

from enum import Enum

from devicesdk.agent.config import AgentConfig
from devicesdk.wire.timebase import MS, NEVER


class Verdict(Enum):
    """What the frames so far say."""

    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"


class TrialClock:
    """Shared by whoever runs frames and whoever judges them."""

    __slots__ = ("_config", "errors", "frames", "length_ns", "running", "started_at")

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self.running = False
        self.length_ns = 0
        self.started_at: int | None = None
        self.frames = self.errors = 0

    def begin(self, trial_ms: int) -> None:
        """A trial is on; its clock starts with the first burst."""
        self.running = True
        self.length_ns = min(trial_ms * MS, self._config.trial_deadline_ns)
        self.restart()

    def restart(self) -> None:
        """Forget what was counted; the clock starts with the next burst."""
        self.started_at = None
        self.frames = self.errors = 0

    def end(self) -> None:
        """No trial any more."""
        self.running = False
        self.restart()

    def burst_begins(self, now: int) -> int:
        """Start the clock if it stands; returns how many ns of the trial are left."""
        if self.started_at is None:
            self.started_at = now
        return self.started_at + self.length_ns - now

    def count(self, frames: int, errors: int) -> None:
        """Take in what ran."""
        self.frames += frames
        self.errors += errors

    def verdict(self, now: int) -> Verdict:
        """Judge."""
        if self.errors * 100 > self.frames * self._config.trial_errors_percent_max:
            return Verdict.FAILED
        if self.started_at is None or now < self.started_at + self.length_ns:
            return Verdict.OPEN
        if self.frames:
            return Verdict.PASSED
        silent_since = self.started_at + self.length_ns
        return Verdict.FAILED if now >= silent_since + self._config.trial_grace_ns else Verdict.OPEN

    @property
    def at(self) -> int:
        """When the trial has failed if no frames came."""
        if self.started_at is None:
            return NEVER
        return self.started_at + self.length_ns + self._config.trial_grace_ns
