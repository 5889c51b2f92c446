"""The books agree with the twins."""

from __future__ import annotations

import pytest

from gateway.core import rows
from gateway.core.control.members import Members, ended
from gateway.core.control.twins import Twin
from gateway.core.effects import Persist
from gateway.core.rows import Brake, DesiredRow, Outcome, Phase, Purpose, RolloutRow, WaveRow
from tests_kit.gateway_charts import plan

TARGET = b"m" * 32
WAVE = WaveRow(1.0, 5, 1, offered=2, timeout_ns=9)


def books(name="r1", phase=Phase.COMPLETED, wave=WAVE):
    members = Members()
    rollout = members.add(RolloutRow(plan(name), 1, phase, "", TARGET, (wave,)))
    return members, rollout


def member(members, **fields):
    twin = Twin("d1")
    members.join(twin, DesiredRow(1, TARGET, "r1", Purpose.UPDATE, **fields), [])
    return twin


def test_one_row_a_batch_however_many_devices():
    members, rollout = books()
    first, second = member(members), member(members)
    for twin in (first, second):
        members.settle(twin, [], outcome=Outcome.COMMITTED, judged=True, exposed=True)
    out = []
    members.flush(out)
    members.flush(out)
    assert [(e.table, e.key, e.row) for e in out] == [(rows.ROLLOUT, "r1", rollout.row)]
    wave = rollout.wave
    assert (wave.committed, wave.judged, wave.exposed) == (2, 2, 2)


def test_counts_follow_a_change_of_mind():
    members, rollout = books()
    twin = member(members)
    members.settle(twin, [], outcome=Outcome.FAILED, judged=True, blamed=True)
    assert (rollout.wave.failed, rollout.wave.blamed, ended(rollout.wave)) == (1, 1, 1)
    members.settle(twin, [], outcome=Outcome.COMMITTED, blamed=False)
    assert (rollout.wave.failed, rollout.wave.blamed, rollout.wave.committed) == (0, 0, 1)
    members.settle(twin, [], outcome=Outcome.OPEN, exposed=False, judged=False)
    assert ended(rollout.wave) == 0


def test_nothing_changed_is_nothing_written():
    members, _ = books()
    twin, out = member(members), []
    members.settle(twin, out, outcome=Outcome.OPEN)
    assert out == []
    assert members.changed() == []


def test_a_want_of_another_rollout_supersedes_one_that_is_open():
    members, rollout = books()
    twin, out = member(members), []
    members.join(twin, DesiredRow(2, TARGET, "r2", Purpose.UPDATE), out)
    assert rollout.wave.superseded == 1
    assert [effect.table for effect in out if isinstance(effect, Persist)] == [rows.DESIRED] * 2


def test_reverts_are_counted_apart_and_factory_state_not_at_all():
    members, rollout = books()
    twin = Twin("d1")
    members.join(twin, DesiredRow(2, b"o" * 32, "r1", Purpose.REVERT), [])
    members.settle(twin, [], outcome=Outcome.COMMITTED)
    assert (rollout.wave.reverted, rollout.wave.committed) == (1, 0)
    members.settle(twin, [], outcome=Outcome.FAILED)
    assert (rollout.wave.reverted, rollout.wave.failed) == (0, 0)
    believed = Twin("d2")
    members.join(believed, DesiredRow(0, TARGET, "r1", Purpose.FACTORY), [])
    members.settle(believed, [], outcome=Outcome.COMMITTED)
    assert rollout.wave.committed == 0


def test_what_a_rollout_is_doing():
    members, rollout = books(phase=Phase.RUNNING)
    assert rollout.active
    assert rollout.offering
    rollout.change_wave(0, closed_ns=5)
    assert not rollout.offering
    rollout.change(phase=Phase.HALTED, brake=Brake.REVERT)
    assert rollout.active
    rollout.change(brake=Brake.NONE)
    assert not rollout.active
    rollout.change(waves=())
    assert rollout.wave is None
    assert not rollout.offering
    assert members.changed() == [rollout]


@pytest.mark.parametrize(
    ("change", "story"),
    [
        ({"offered": 1, "committed": 2}, "ended more"),
        ({"offered": 6}, "cap"),
        ({"blamed": 1}, "judged"),
        ({"exposed": 3}, "exposed"),
    ],
)
def test_books_that_cannot_be_are_found(change, story):
    members, rollout = books()
    rollout.change_wave(0, **change)
    members.flush([])
    with pytest.raises(AssertionError, match=story):
        members.validate({})


def test_rows_left_behind_and_lost_rollouts_are_found():
    members, rollout = books()
    rollout.change(why="x")
    with pytest.raises(AssertionError, match="not made durable"):
        members.validate({})
    members.flush([])
    twin = member(members)
    members.validate({"d1": twin})
    stray = Twin("d2")
    stray.desired = DesiredRow(1, TARGET, "gone", Purpose.UPDATE)
    with pytest.raises(AssertionError, match="unknown"):
        members.validate({"d2": stray})
    stray.desired = DesiredRow(1, TARGET, "r1", Purpose.UPDATE, wave=3)
    with pytest.raises(AssertionError, match="wave that is not"):
        members.validate({"d2": stray})
