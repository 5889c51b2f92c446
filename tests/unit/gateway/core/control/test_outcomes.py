"""What a report means: success is a digest that runs, and not every failure is the release's."""

from __future__ import annotations

import pytest

from devicesdk.wire.messages import UpdateState as S
from gateway.core.control import outcomes
from gateway.core.control.outcomes import Fault
from gateway.core.rows import DesiredRow, Outcome, Purpose, ReportedRow

NEW, OLD = b"n" * 32, b"o" * 32
WANTED = DesiredRow(5, NEW, "r1", Purpose.UPDATE)


@pytest.mark.parametrize(
    ("reported", "good"),
    [
        (ReportedRow(1, 1, 5, NEW, state=S.COMMITTED), True),
        (ReportedRow(1, 1, 5, NEW, state=S.CANCELED), True),
        (ReportedRow(1, 1, 5, NEW, trial=True, state=S.TRIAL), False),
        (ReportedRow(1, 1, 4, NEW, state=S.COMMITTED), False),
        (ReportedRow(1, 1, 5, OLD, state=S.COMMITTED), False),
        (ReportedRow(1, 1, 5, b"", state=S.COMMITTED), False),
    ],
    ids=[
        "runs it",
        "whatever it calls it",
        "on trial",
        "knows no want",
        "fell back",
        "nothing runs",
    ],
)
def test_only_a_device_that_runs_the_digest_for_good_is_in_sync(reported, good):
    assert outcomes.in_sync(WANTED, reported) is good


@pytest.mark.parametrize(
    ("state", "reason", "fault"),
    [
        (S.FAILED, "link", Fault.CIRCUMSTANCE),
        (S.FAILED, "storage", Fault.CIRCUMSTANCE),
        (S.FAILED, "nack:Gone", Fault.CIRCUMSTANCE),
        (S.FAILED, "BUSY", Fault.CIRCUMSTANCE),
        (S.TIMED_OUT, "", Fault.CIRCUMSTANCE),
        (S.TIMED_OUT, "validation", Fault.RELEASE),
        (S.FAILED, "integrity", Fault.INTEGRITY),
        (S.FAILED, "validation:nan", Fault.RELEASE),
        (S.FAILED, "", Fault.RELEASE),
        (S.FAILED, "something new", Fault.RELEASE),
        (S.ROLLED_BACK, "link", Fault.RELEASE),
        (S.ROLLED_BACK, "runtime:errors", Fault.RELEASE),
        (S.ROLLED_BACK, "storage", Fault.CIRCUMSTANCE),
    ],
)
def test_whose_fault_a_failure_is(state, reason, fault):
    assert outcomes.fault_of(state, reason) is fault


def test_states_that_end_a_want():
    ended = {state: outcomes.outcome_of(state) for state in S}
    assert ended[S.COMMITTED] is None, "the word alone is no success"
    assert ended[S.WAITING] is None, "waiting is not failing"
    assert ended[S.TIMED_OUT] is Outcome.FAILED
    assert {state for state, outcome in ended.items() if outcome is None} == {
        state for state in S if state <= S.COMMITTED
    }


def test_who_is_at_risk():
    assert [state for state in S if outcomes.at_risk(state)] == [
        S.VERIFIED, S.STAGED, S.TRIAL, S.COMMITTED,
    ]  # fmt: skip
