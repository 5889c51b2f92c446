"""What of the core's own state is told to the alarms machine."""

import pytest

from devicesdk.wire.timebase import DAY
from gateway.core.conditions import drifting, halted, offline
from gateway.core.rows import Phase, RolloutRow, WaveRow
from gateway.core.stimuli import Reading, RolloutPlan


def rollout(name, ordinal, phase=Phase.HALTED, closed_ns=5 * DAY, **plan):
    wave = WaveRow(1.0, 10, 0, closed_ns=closed_ns)
    return RolloutRow(RolloutPlan(name, "b@1.0.0", **plan), ordinal, phase, "too many failed", b"", (wave,))  # fmt: skip


def test_a_halted_rollout_is_told_with_its_reason():
    assert halted([rollout("spring", 1)], 0) == [Reading("spring", 1, "too many failed")]


@pytest.mark.parametrize(
    ("story", "rollouts"),
    [
        ("it goes on", [rollout("a", 1, Phase.RUNNING)]),
        ("somebody aborted it", [rollout("a", 1, Phase.ABORTED)]),
        ("a newer one took its place", [rollout("a", 1), rollout("b", 2, Phase.RUNNING)]),
        ("it was long ago", [rollout("a", 1, closed_ns=DAY)]),
        ("an experiment staged it", [rollout("a", 1, stage=True)]),
        ("it is factory state", [rollout("a", 1, initial=True)]),
    ],
)
def test_it_is_not_told_when(story, rollouts):
    assert halted(rollouts, 2 * DAY) == [], story


def test_a_rollout_for_others_takes_nobodys_place():
    eu = (("region", "eu"),)
    assert [r.subject for r in halted([rollout("a", 1, selector=eu), rollout("b", 2)], 0)] == [
        "a",
        "b",
    ]


def test_drift_is_worse_where_the_machine_is_at_fault():
    told = drifting(
        [("c1", "data"), ("c2", "hardware"), ("c3", "sensor"), ("c4", "both"), ("c5", "none")]
    )
    assert [(r.subject, r.value) for r in told] == [("c1", 1), ("c2", 2), ("c3", 1), ("c4", 2)]


def test_the_share_that_is_offline():
    assert offline(10, 7, 5) == [Reading("fleet", 30, "3 of 10 devices")]
    assert offline(4, 0, 5) == [], "too few to mean anything"
    assert offline(0, 0, 0) == []
