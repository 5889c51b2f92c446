"""When telemetry and failures are reason enough."""

from __future__ import annotations

import pytest

from gateway.core.control.judging import Judging
from gateway.core.control.members import Members
from gateway.core.effects import Note
from gateway.core.internal import Judged
from gateway.core.limits import ControlLimits
from gateway.core.rows import Phase, RolloutRow, WaveRow
from gateway.core.stimuli import GatePlan
from tests_kit.gateway_charts import plan

JUDGING = Judging(ControlLimits(judged_frames_min=100, latency_strikes=2))


def rollout(*waves, first_wave=0, **gate):
    row = RolloutRow(plan(gate=GatePlan(**gate)), 1, Phase.RUNNING, "", b"m" * 32, tuple(waves))
    return Members().add(RolloutRow(*_fields(row)[:6], first_wave))


def _fields(row):
    return [getattr(row, name) for name in row.__struct_fields__]


def wave(**counts):
    return WaveRow(0.5, 100, 1, offered=100, **counts)


def verdict(ratio, cohort="a", frames=500, baseline=10.0, drift="none"):
    return Judged(b"m" * 8, cohort, ratio * baseline, baseline, frames, drift, 0.1)


def test_failures_are_weighed_once_each():
    one = rollout(wave(judged=10, blamed=4))
    assert "e-value" in JUDGING.failures(one)
    assert JUDGING.failures(one) == "", "the same failures were weighed again"
    assert one.wave.e_value > 20
    assert JUDGING.failures(rollout(wave(judged=100, blamed=1))) == ""


def test_waves_before_a_retry_do_not_count():
    bad, good = wave(judged=10, blamed=10), wave(judged=10, blamed=0)
    assert JUDGING.evidence(rollout(bad, good)) > 20
    assert JUDGING.evidence(rollout(bad, good, first_wave=1)) < 1


@pytest.mark.parametrize(
    ("counts", "good"),
    [
        ({"committed": 1}, True),
        ({"committed": 2, "judged": 3, "blamed": 1, "failed": 1}, True),
        ({"committed": 1, "judged": 2, "blamed": 1, "failed": 1}, False),
        ({"committed": 1, "rejected": 1}, False),
        ({"committed": 1, "failed": 9}, True),
        ({}, True),
    ],
    ids=["all", "more", "even", "rejected", "link failures", "nothing"],
)
def test_a_wave_must_gain_more_than_it_loses(counts, good):
    assert (JUDGING.wave(rollout(wave(**counts))) == "") is good


def test_latency_needs_several_judgements_in_a_row_of_one_cohort():
    one, out = rollout(wave(), latency_p95_ratio=1.2), []
    assert JUDGING.telemetry(one, verdict(2.0, "a"), out) == ""
    assert JUDGING.telemetry(one, verdict(2.0, "b"), out) == ""
    assert JUDGING.telemetry(one, verdict(1.1, "a"), out) == ""
    assert JUDGING.telemetry(one, verdict(2.0, "a"), out) == ""
    assert "x2.00" in JUDGING.telemetry(one, verdict(2.0, "a"), out)
    assert all(isinstance(note, Note) for note in out)
    assert len(out) == 4


def draining(percent_h, before=1.0, cohort="a"):
    return Judged(b"m" * 8, cohort, 1.0, 1.0, 5, "none", 0.0, percent_h, before)


def test_drain_needs_several_judgements_in_a_row_of_one_cohort():
    one, out = rollout(wave(), drain_ratio=1.5), []
    for rate, cohort in ((2.0, "a"), (2.0, "a"), (2.0, "b"), (1.4, "a"), (2.0, "a"), (2.0, "a")):
        assert JUDGING.telemetry(one, draining(rate, cohort=cohort), out) == ""
    assert JUDGING.telemetry(one, draining(2.0), out) == "drain: 2 % an hour in a, x2, allowed x1.5"
    assert len(out) == 6


@pytest.mark.parametrize(
    ("gate", "said"),
    [({}, draining(9.0)), ({"drain_ratio": 1.5}, draining(9.0, before=0.0))],
    ids=["not judged", "nothing to compare"],
)
def test_a_drain_that_is_no_reason(gate, said):
    assert [JUDGING.telemetry(rollout(wave(), **gate), said, []) for _ in range(5)] == [""] * 5


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({}, verdict(9.0)),
        ({"latency_p95_ratio": 1.2}, verdict(9.0, frames=99)),
        ({"latency_p95_ratio": 1.2}, verdict(9.0, baseline=0.0)),
        ({}, verdict(1.0, drift="data")),
    ],
    ids=["not judged", "too few frames", "nothing to compare", "drift not judged"],
)
def test_what_is_no_reason(gate, said):
    one = rollout(wave(), **gate)
    assert [JUDGING.telemetry(one, said, []) for _ in range(5)] == [""] * 5


@pytest.mark.parametrize("drift", ["data", "hardware", "both"])
def test_drift_of_any_kind_is_believed_at_once(drift):
    assert drift in JUDGING.telemetry(rollout(wave(), drift=True), verdict(1.0, drift=drift), [])
