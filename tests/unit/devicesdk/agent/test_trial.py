"""A trial passes by frames, fails by errors or silence, and its clock can stand still."""

from __future__ import annotations

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.trial import TrialClock, Verdict
from devicesdk.wire.timebase import MINUTE, NEVER, SECOND


def _clock(trial_ms=60_000, started=0):
    clock = TrialClock(AgentConfig())
    clock.begin(trial_ms)
    if started is not None:
        clock.burst_begins(started)
    return clock


def test_good_frames_and_time_pass():
    clock = _clock()
    clock.count(4, 0)
    assert clock.verdict(59 * SECOND) is Verdict.OPEN
    assert clock.verdict(60 * SECOND) is Verdict.PASSED


def test_more_than_one_in_twenty_in_error_fails_at_once():
    clock = _clock()
    clock.count(20, 1)
    assert clock.verdict(SECOND) is Verdict.OPEN
    clock.count(0, 1)
    assert clock.verdict(SECOND) is Verdict.FAILED


def test_silence_fails_after_the_grace():
    clock = _clock()
    assert clock.verdict(60 * SECOND) is Verdict.OPEN
    assert clock.at == 2 * MINUTE
    assert clock.verdict(clock.at) is Verdict.FAILED


def test_the_clock_starts_with_the_first_burst():
    clock = _clock(started=None)
    assert (clock.at, clock.verdict(MINUTE * 60)) == (NEVER, Verdict.OPEN)
    assert clock.burst_begins(10 * SECOND) == 60 * SECOND
    assert clock.burst_begins(30 * SECOND) == 40 * SECOND


def test_restart_forgets():
    clock = _clock()
    clock.count(4, 4)
    clock.restart()
    assert (clock.verdict(5 * MINUTE), clock.at) == (Verdict.OPEN, NEVER)
    clock.end()
    assert not clock.running


def test_the_deadline_bounds_what_a_policy_asks_for():
    assert _clock(trial_ms=2**31).length_ns == AgentConfig().trial_deadline_ns
