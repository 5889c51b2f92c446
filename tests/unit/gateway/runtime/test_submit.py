"""Stimuli, rows beside them and a guard: one turn, one commit."""

import pytest

from devicesdk.wire.errors import ProtocolError
from gateway.core import effects as ask
from gateway.core import rows
from gateway.core import stimuli as hear
from gateway.core.audit import rows as audit
from gateway.core.audit.rows import AnswerRow
from gateway.ports import StorageError
from gateway.runtime.life import GuardError, NotRunningError
from tests_kit.agent_bundles import DEVICE

ROW = AnswerRow(1, b"f", 200, b"{}")


def record(seen):
    def made(said, refusal):
        seen.append((tuple(note.kind for note in said), refusal))
        return [ask.Persist(audit.ANSWER, "k", ROW)]

    return made


def commits(stage):
    return [tables for word, *tables in stage.storage.log if word == "commit"]


async def test_a_row_beside_a_mutation_is_in_its_commit(stage):
    seen = []
    stage.clear()
    said = await stage.runtime.submit(hear.Kill("gauge"), record=record(seen))
    assert [note.kind for note in said] == list(seen[0][0])
    assert seen[0][1] is None
    assert {rows.KILL, audit.ANSWER} <= set(commits(stage)[0][0])


async def test_several_stimuli_are_one_commit(stage):
    stage.clear()
    await stage.runtime.submit(hear.Kill("a"), hear.Enroll(DEVICE, {}), record=record([]))
    assert {rows.KILL, rows.DEVICE, audit.ANSWER} <= set(commits(stage)[0][0])


async def test_rows_may_go_alone(stage):
    stage.clear()
    await stage.runtime.submit(record=record([]))
    assert commits(stage) == [[(audit.ANSWER,)]]


async def test_a_name_that_cannot_be_one_is_recorded(stage):
    seen = []
    with pytest.raises(ProtocolError):
        await stage.runtime.submit(hear.Enroll("a/b", {}), record=record(seen))
    assert isinstance(seen[0][1], ProtocolError)
    assert stage.storage.durable[audit.ANSWER, "k"] == ROW


async def test_a_guard_stops_all_of_it_in_the_turn(stage):
    seen, looked = [], []

    def guard(core):
        looked.append(core is stage.runtime.core)
        return "it has changed"

    with pytest.raises(GuardError, match="it has changed"):
        await stage.runtime.submit(
            hear.Kill("a"), hear.Enroll(DEVICE, {}), record=record(seen), guard=guard
        )
    assert looked == [True]
    assert isinstance(seen[0][1], GuardError)
    assert {table for table, _ in stage.storage.durable} == {audit.ANSWER}


async def test_of_two_who_looked_at_the_same_one_goes_first(stage):
    """Both looked before either was done; the guard of the second sees what the first did."""

    def untouched(core):
        return "" if core.overview().kill_version == 0 else "it has changed"

    first = stage.runtime.submit(hear.Kill("a"), guard=untouched)
    second = stage.runtime.submit(hear.Kill("b"), guard=untouched)
    await first
    with pytest.raises(GuardError):
        await second
    assert stage.runtime.core.overview().kill_version == 1


async def test_a_commit_that_fails_takes_mutation_and_row_along(stage):
    stage.storage.fails = StorageError("expected room, found none")
    asked = stage.runtime.submit(hear.Kill("gauge"), record=record([]))
    with pytest.raises(StorageError):
        await stage.runtime.wait()
    with pytest.raises(NotRunningError):
        await asked
    assert stage.storage.durable == {}
    stage.storage.fails = None
    await stage.up()
    await stage.runtime.submit(hear.Enroll(DEVICE, {}))
    assert {table for table, _ in stage.storage.durable} == {rows.DEVICE}


async def test_a_guard_that_fails_ends_the_gateway_and_leaves_nobody_waiting(stage):
    def guard(_):
        raise TypeError("a bug")

    asked = stage.runtime.submit(hear.Kill("a"), guard=guard)
    with pytest.raises(TypeError, match="a bug"):
        await stage.runtime.wait()
    with pytest.raises(NotRunningError):
        await asked
