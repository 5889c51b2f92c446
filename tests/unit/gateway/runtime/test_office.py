"""The office: who may, what is written down, asked once done once."""

import asyncio

import pytest

from gateway.core import rows
from gateway.core.audit import rows as audit
from gateway.ports import StorageError
from gateway.runtime.verbs import (
    CreateRollout,
    EnrollDevice,
    Kill,
    ListDebug,
    ListDevices,
    Overview,
    SetFlag,
    ShowDebug,
    ShowDevice,
    SteerRollout,
)
from tests_kit.office_stage import ADMIN, EU, RELEASER, VIEWER, Bureau, once
from tests_kit.plant import until

KILL = Kill(feature="gauge")


@pytest.fixture
async def bureau():
    made = Bureau()
    await made.up()
    yield made
    made.runtime.close()


async def test_a_mutation_its_entry_and_its_answer_are_one_commit(bureau):
    bureau.storage.log.clear()
    await bureau.office.do(ADMIN, KILL, once("k"))
    commits = [tables for word, *tables in bureau.storage.log if word == "commit"]
    (tables,) = commits[0]
    assert {rows.KILL, audit.ENTRY, audit.HEAD, audit.ANSWER} <= set(tables)
    (row,) = bureau.log
    assert (row.actor, row.role, row.verb, row.subject) == ("boss", "admin", "kill", "gauge")
    assert row.arguments == b'{"verb":"kill","feature":"gauge","alive":false}'


async def test_a_commit_that_fails_leaves_neither_mutation_nor_entry_nor_answer(bureau):
    before = dict(bureau.storage.durable)
    bureau.storage.fails = StorageError("expected room, found none")
    code, _ = await bureau.fails(bureau.office.do(ADMIN, KILL, once("k")))
    assert code == "stopped"
    with pytest.raises(StorageError):
        await bureau.runtime.wait()
    assert bureau.storage.durable == before
    bureau.storage.fails = None
    await bureau.up()
    assert bureau.log == []
    await bureau.office.do(ADMIN, KILL, once("k"))
    assert bureau.told == [("boss", "kill", "done")]


async def test_after_a_crash_a_key_finds_its_answer_exactly_when_the_mutation_is_there(bureau):
    first = await bureau.office.do(ADMIN, KILL, once("k"))
    await bureau.again()
    assert await bureau.office.do(ADMIN, KILL, once("k")) == first
    assert len(bureau.log) == 1
    assert bureau.kills == 1, "it was done twice"


async def test_memory_of_a_life_that_ended_is_not_used_in_the_next(bureau):
    await bureau.office.do(ADMIN, KILL)
    bureau.runtime.crash()
    await bureau.runtime.start()
    assert (await bureau.fails(bureau.office.do(ADMIN, KILL)))[0] == "stopped"


async def test_what_the_core_will_not_look_at_is_written_down(bureau):
    verb = EnrollDevice(device="a/b")
    code, said = await bureau.fails(bureau.office.do(ADMIN, verb, once("k")))
    assert code == "invalid"
    (row,) = bureau.log
    assert (row.outcome, row.said) == ("refused", (said,))
    assert (await bureau.fails(bureau.office.do(ADMIN, verb, once("k")))) == (code, said)
    assert len(bureau.log) == 1


async def test_what_the_core_refuses_is_answered_the_same_again(bureau):
    verb = SteerRollout(rollout="nobody", how="pause")
    first = await bureau.fails(bureau.office.do(ADMIN, verb, once("k")))
    assert first[0] == "refused"
    assert await bureau.fails(bureau.office.do(ADMIN, verb, once("k"))) == first
    assert bureau.told == [("boss", "rollout.steer", "refused")]


async def test_what_has_changed_since_is_answered_the_same_again(bureau):
    def guard(_):
        return "look again"

    for _ in range(2):
        found = await bureau.fails(bureau.office.do(ADMIN, KILL, once("k"), guard))
        assert found == ("changed", "look again")
    assert bureau.told == [("boss", "kill", "refused")]
    assert bureau.table(rows.KILL) == {}


async def test_two_at_a_time_under_one_key_are_done_once(bureau):
    bureau.storage.gate.clear()
    first = asyncio.get_running_loop().create_task(bureau.office.do(ADMIN, KILL, once("k")))
    await until(bureau.storage.waiting.is_set, "the commit")
    # The answer is in memory by now; it must not be given before it is durable.
    assert (await bureau.fails(bureau.office.do(ADMIN, KILL, once("k"))))[0] == "conflict"
    bureau.storage.gate.set()
    found = await first
    assert await bureau.office.do(ADMIN, KILL, once("k")) == found
    assert len(bureau.log) == 1


async def test_whoever_hangs_up_does_not_make_it_happen_twice(bureau):
    bureau.storage.gate.clear()
    bureau.runtime.submit()  # a turn that waits for its commit, so that the next is not begun
    first = asyncio.get_running_loop().create_task(bureau.office.do(ADMIN, KILL, once("k")))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await bureau.fails(bureau.office.do(ADMIN, KILL, once("k"))))[0] == "conflict"
    bureau.storage.gate.set()
    await until(lambda: not bureau.office._keys._under_way, "the end of it")
    await bureau.office.do(ADMIN, KILL, once("k"))
    assert len(bureau.log) == 1
    assert bureau.kills == 1, "it was done twice"


async def test_a_key_is_one_askers_and_one_requests(bureau):
    await bureau.office.do(ADMIN, KILL, once("k", "a"))
    assert (await bureau.fails(bureau.office.do(ADMIN, KILL, once("k", "b"))))[0] == "mismatch"
    await bureau.office.do(RELEASER, KILL, once("k", "b"))
    for key in ("", "x" * 201, "a\nb", "a\0b"):
        assert (await bureau.fails(bureau.office.do(ADMIN, KILL, once(key))))[0] == "invalid"


async def test_a_key_is_forgotten_after_a_day(bureau):
    await bureau.office.do(ADMIN, KILL, once("k", "a"))
    bureau.now_ms += 24 * 3_600_000 + 1
    await bureau.office.do(ADMIN, KILL, once("k", "b"))


async def test_who_may_not_is_told_and_written_down(bureau):
    code, said = await bureau.fails(bureau.office.do(VIEWER, KILL, once("k")))
    assert code == "forbidden"
    assert "vera with the role viewer" in said
    assert bureau.told == [("vera", "kill", "refused")]
    assert bureau.table(audit.ANSWER) == {}
    await bureau.office.do(VIEWER, Overview())


async def test_text_that_cannot_be_written_down_is_refused_before_anything(bureau):
    verb = SetFlag(segment="all", flag="x", definition={"a": "\ud800"})
    for asker in (ADMIN, VIEWER):
        assert (await bureau.fails(bureau.office.do(asker, verb)))[0] == "invalid"
    assert bureau.runtime.running


# -- scopes -------------------------------------------------------------------------------------


async def test_a_scope_is_told_of_its_own_devices_alone(bureau):
    await bureau.office.do(ADMIN, EnrollDevice(device="d-eu", labels={"region": "eu"}))
    await bureau.office.do(ADMIN, EnrollDevice(device="d-us", labels={"region": "us"}))
    found = await bureau.office.do(EU, ListDevices())
    assert [one["id"] for one in found["devices"]] == ["d-eu"]
    assert (await bureau.office.do(EU, ShowDevice(device="d-eu")))["id"] == "d-eu"
    other = await bureau.fails(bureau.office.do(EU, ShowDevice(device="d-us")))
    none = await bureau.fails(bureau.office.do(EU, ShowDevice(device="d-zz")))
    assert (other[0], other[1].replace("us", "zz")) == none, "it tells that the device exists"
    assert (await bureau.fails(bureau.office.do(EU, ListDebug())))[0] == "forbidden"
    assert (await bureau.fails(bureau.office.do(EU, ShowDebug(device="d-us"))))[0] == "forbidden"
    assert (await bureau.office.do(EU, Overview()))["fleet"]["devices"] == 2


async def test_a_scope_does_not_reach_over_its_fence(bureau):
    await bureau.office.do(ADMIN, EnrollDevice(device="d-us", labels={"region": "us"}))
    grab = EnrollDevice(device="d-us", labels={"region": "eu"})
    code, _ = await bureau.fails(bureau.office.do(EU, grab))
    assert code == "forbidden"
    view = await bureau.office.do(ADMIN, ShowDevice(device="d-us"))
    assert view["labels"] == {"region": "us"}, "a device was taken out of another scope"
    assert (await bureau.fails(bureau.office.do(EU, KILL)))[0] == "forbidden"
    wide = CreateRollout(id="r", bundle="b@1")
    assert (await bureau.fails(bureau.office.do(EU, wide)))[0] == "forbidden"
    await bureau.office.do(EU, EnrollDevice(device="d-new", labels={"region": "eu"}))
    assert [outcome for _, _, outcome in bureau.told] == ["done", *["refused"] * 3, "done"]


# -- a log that somebody has been at ----------------------------------------------------------------


async def test_a_log_that_was_cut_is_said_and_its_hole_stays(bureau, caplog):
    for _ in range(3):
        await bureau.office.do(ADMIN, KILL)
    del bureau.storage.durable[audit.ENTRY, audit.entry_key(3)]
    await bureau.again()
    assert [finding.kind for finding in bureau.office.findings] == ["cut"]
    assert "the audit log is not what it was" in caplog.text
    await bureau.office.do(ADMIN, KILL)
    numbers = [row.number for row in bureau.table(audit.ENTRY).values()]
    assert numbers == [1, 2, 4, 5], "the hole was filled"
    assert bureau.table(audit.ENTRY)[audit.entry_key(4)].verb == "audit.broken"
    await bureau.again()
    assert bureau.office.findings == ()


async def test_verbs_are_done_also_when_the_log_is_gone(bureau):
    await bureau.office.do(ADMIN, KILL)
    kept = bureau.table(audit.HEAD)["head"]
    for name in [name for name in bureau.storage.durable if name[0] in (audit.ENTRY, audit.HEAD)]:
        del bureau.storage.durable[name]
    from gateway.core.audit.chain import read_head
    from tests_kit.audit_logs import AUDITOR

    await bureau.again(read_head(kept.envelope, AUDITOR))
    await bureau.office.do(ADMIN, KILL)
    assert min(row.number for row in bureau.table(audit.ENTRY).values()) == 2


async def test_a_typing_error_in_second_person_is_refused():
    with pytest.raises(ValueError, match="did you mean"):
        Bureau(second=frozenset({"rollouts.create"}))
