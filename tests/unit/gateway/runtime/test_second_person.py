"""A second person, and tokens: who may, in one commit, and what a crash leaves."""

import asyncio

import msgspec
import pytest

from gateway.core import rows
from gateway.core.access.approvals import APPROVAL
from gateway.core.access.roles import Role
from gateway.core.access.tokens import TOKEN, AccessError, Asker
from gateway.ports import StorageError
from gateway.runtime.verbs import (
    CreateRollout,
    Decide,
    EnrollDevice,
    Kill,
    ListApprovals,
    ListTokens,
    MakeToken,
    ReadLog,
    RevokeToken,
)
from tests_kit.office_stage import ADMIN, EU, RELEASER, SECURITY, VIEWER, Bureau, once
from tests_kit.plant import until

KILL = Kill(feature="gauge")
DAY_MS = 24 * 3_600_000


@pytest.fixture
async def bureau():
    made = Bureau(second=frozenset({"kill", "rollout.create", "device.enroll"}))
    await made.up()
    yield made
    made.runtime.close()


async def test_nothing_happens_until_somebody_else_agrees(bureau):
    found = await bureau.office.do(RELEASER, KILL, once("k"))
    assert found["waits"] == 1
    assert bureau.table(rows.KILL) == {}
    assert await bureau.office.do(RELEASER, KILL, once("k")) == found, "asked twice"
    own = bureau.office.decide(RELEASER, 1, approve=True, why="")
    assert (await bureau.fails(own))[0] == "forbidden"
    bureau.storage.log.clear()
    await bureau.office.do(SECURITY, Decide(number=1, approve=True, why="looked at it"))
    (tables,) = next(tables for word, *tables in bureau.storage.log if word == "commit")
    assert {APPROVAL, rows.KILL} <= set(tables), "a crash between them would lose the mutation"
    assert bureau.told == [
        ("rita", "kill", "waits"),
        ("sam", "approval.approve", "done"),
        ("rita", "kill", "done"),
    ]
    assert bureau.log[-1].said[0] == "Approved by sam."
    (view,) = await bureau.office.do(VIEWER, ListApprovals())
    assert (view["state"], view["why"], view["verb"]["feature"]) == (
        "approved",
        "looked at it",
        "gauge",
    )


async def test_a_commit_that_fails_leaves_the_request_waiting(bureau):
    await bureau.office.do(RELEASER, KILL)
    bureau.storage.fails = StorageError("expected room, found none")
    assert (await bureau.fails(bureau.office.decide(ADMIN, 1, approve=True, why="")))[
        0
    ] == "stopped"
    with pytest.raises(StorageError):
        await bureau.runtime.wait()
    bureau.storage.fails = None
    await bureau.up()
    (row,) = bureau.office.approvals(ADMIN)
    assert row.state == "waits"
    await bureau.office.decide(ADMIN, 1, approve=True, why="")
    assert bureau.kills == 1


async def test_two_who_approve_at_once_do_it_once(bureau):
    await bureau.office.do(RELEASER, KILL)
    bureau.storage.gate.clear()
    both = [
        asyncio.get_running_loop().create_task(bureau.office.decide(who, 1, approve=True, why=""))
        for who in (ADMIN, SECURITY)
    ]
    await until(bureau.storage.waiting.is_set, "the commit")
    bureau.storage.gate.set()
    done = await asyncio.gather(*both, return_exceptions=True)
    assert [getattr(one, "code", "done") for one in done] == ["done", "invalid"]
    assert bureau.kills == 1, "it was done twice"


async def test_a_denied_request_stays_denied(bureau):
    await bureau.office.do(RELEASER, KILL)
    await bureau.office.decide(ADMIN, 1, approve=False, why="no")
    assert (await bureau.fails(bureau.office.decide(ADMIN, 1, approve=True, why="")))[
        0
    ] == "invalid"
    assert (await bureau.fails(bureau.office.decide(ADMIN, 7, approve=True, why="")))[
        0
    ] == "unknown"
    assert bureau.table(rows.KILL) == {}


async def test_who_may_not_approve_is_written_down(bureau):
    await bureau.office.do(RELEASER, KILL)
    scoped = Asker("sid", Role.SECURITY, (("region", "eu"),))
    for who in (VIEWER, scoped):
        found = await bureau.fails(bureau.office.decide(who, 1, approve=True, why=""))
        assert found[0] == "forbidden"
        assert bureau.told[-1] == (who.name, "approval.approve", "refused")


async def test_a_request_of_somebody_whose_token_ended_is_not_done(bureau):
    text = await bureau.office.make_token(
        ADMIN, "rob", Role.RELEASER, life_ms=DAY_MS // 2, labels={}
    )
    await bureau.office.do(bureau.office.who(text), KILL)
    await bureau.office.revoke_token(ADMIN, "rob")
    code, said = await bureau.fails(bureau.office.decide(ADMIN, 1, approve=True, why=""))
    assert (code, "has ended" in said) == ("forbidden", True)
    assert bureau.table(rows.KILL) == {}


async def test_what_the_core_refuses_is_refused_after_its_approval(bureau):
    verb = CreateRollout(id="r1", bundle="none@1.0.0", waves=(1.0, 0.5))
    await bureau.office.do(RELEASER, verb)
    assert (await bureau.fails(bureau.office.decide(ADMIN, 1, approve=True, why="")))[
        0
    ] == "refused"
    assert bureau.told[-1] == ("rita", "rollout.create", "refused")
    assert bureau.office.approvals(ADMIN)[0].state == "approved"


async def test_what_has_changed_or_is_too_much_is_not_put_down_and_is_written_down(bureau):
    asked = bureau.office.do(RELEASER, KILL, None, lambda _: "look again")
    assert await bureau.fails(asked) == ("changed", "look again")
    assert bureau.office.approvals(ADMIN) == []
    for _ in range(20):
        await bureau.office.do(RELEASER, KILL)
    assert (await bureau.fails(bureau.office.do(RELEASER, KILL)))[0] == "invalid"
    assert [outcome for _, _, outcome in bureau.told] == ["refused", *["waits"] * 20, "refused"]


async def test_a_scope_holds_also_when_its_request_is_approved_later(bureau):
    await bureau.office.do(EU, EnrollDevice(device="d", labels={"region": "eu"}))
    await bureau.office.do(ADMIN, EnrollDevice(device="d", labels={"region": "us"}))
    await bureau.office.decide(RELEASER, 2, approve=True, why="")
    found = await bureau.fails(bureau.office.decide(RELEASER, 1, approve=True, why=""))
    assert found[0] == "forbidden", "the device is another scope's by now"
    assert [row.number for row in bureau.office.approvals(EU)] == [1], "others' requests were shown"


# -- tokens -----------------------------------------------------------------------------------------


async def test_a_token_is_made_told_once_and_ended(bureau):
    made = await bureau.office.do(
        ADMIN, MakeToken(name="ana", role=Role.OPERATOR, lasts="1h", labels={"region": "eu"})
    )
    asker = bureau.office.who(made["token"])
    assert (asker.name, asker.role, asker.labels) == ("ana", Role.OPERATOR, (("region", "eu"),))
    (view,) = await bureau.office.do(ADMIN, ListTokens())
    assert (view["name"], view["made_by"], view["labels"]) == ("ana", "boss", {"region": "eu"})
    assert "secret_hash" not in view
    await bureau.again()
    assert bureau.office.who(made["token"]) == asker
    await bureau.office.do(ADMIN, RevokeToken(name="ana"))
    with pytest.raises(AccessError, match="revoked by boss"):
        bureau.office.who(made["token"])
    assert bureau.told == [("boss", "token.make", "done"), ("boss", "token.revoke", "done")]


async def test_the_secret_of_a_token_is_in_no_row(bureau):
    made = await bureau.office.do(ADMIN, MakeToken(name="ana", role=Role.VIEWER))
    word = made["token"].rpartition("_")[2]
    assert word not in repr(bureau.storage.durable)


async def test_a_commit_that_fails_leaves_no_token(bureau):
    bureau.storage.fails = StorageError("expected room, found none")
    make = bureau.office.make_token(ADMIN, "ana", Role.VIEWER, life_ms=DAY_MS, labels={})
    assert (await bureau.fails(make))[0] == "stopped"
    with pytest.raises(StorageError):
        await bureau.runtime.wait()
    bureau.storage.fails = None
    await bureau.up()
    assert bureau.table(TOKEN) == {}
    await bureau.office.make_token(ADMIN, "ana", Role.VIEWER, life_ms=DAY_MS, labels={})


async def test_nobody_hands_out_more_than_they_have(bureau):
    async def makes(asker, role, name="x"):
        verb = MakeToken(name=name, role=role)
        return (await bureau.fails(bureau.office.do(asker, verb)))[0]

    assert await makes(SECURITY, Role.ADMIN) == "forbidden"
    assert await makes(RELEASER, Role.VIEWER) == "forbidden"
    scoped = Asker("sid", Role.ADMIN, (("region", "eu"),))
    assert await makes(scoped, Role.VIEWER) == "forbidden"
    assert (await bureau.fails(bureau.office.revoke_token(scoped, "x")))[0] == "forbidden"
    assert (await bureau.fails(bureau.office.do(scoped, ListTokens())))[0] == "forbidden"
    assert [outcome for _, _, outcome in bureau.told] == ["refused"] * 4
    assert await makes(ADMIN, Role.VIEWER, "Not A Name") == "invalid"
    bad = MakeToken(name="ana", role=Role.VIEWER, lasts="for ever")
    assert (await bureau.fails(bureau.office.do(ADMIN, bad)))[0] == "invalid"


async def test_the_log_is_read_by_whoever_may(bureau):
    await bureau.office.make_token(ADMIN, "a", Role.VIEWER, life_ms=DAY_MS, labels={})
    await bureau.office.make_token(ADMIN, "b", Role.VIEWER, life_ms=DAY_MS, labels={})
    (entry,) = await bureau.office.do(SECURITY, ReadLog(after=1))
    view = msgspec.to_builtins(entry)
    assert (view["number"], view["subject"], view["arguments"]["role"]) == (2, "b", "viewer")
    assert len(await bureau.office.log(ADMIN, -5, 10_000)) == 2
    assert (await bureau.fails(bureau.office.do(RELEASER, ReadLog())))[0] == "forbidden"
