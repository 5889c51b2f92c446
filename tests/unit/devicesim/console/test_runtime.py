"""A rehearsed gateway is asked like a real one, and changed by nobody."""

import asyncio

import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.bundle.trust import Ed25519Verifier
from devicesdk.wire.timebase import HOUR, MINUTE
from devicesim.console.player import Player
from devicesim.console.runs import open_run
from devicesim.console.runtime import RehearsedRuntime
from gateway.core import rows
from gateway.core.access.tokens import TOKEN, Tokens
from gateway.core.audit import rows as audit
from gateway.runtime import verbs
from gateway.runtime.operator import Operator
from tests_kit.fake_wires import MemoryBlobs


@pytest.fixture
async def runtime(finished):
    player = Player(open_run(finished), RealClock(), at_ns=HOUR)
    made = RehearsedRuntime(player, bytes(range(32)))
    player.start()
    for _ in range(6_000):
        if player.info().state == "paused":
            break
        await asyncio.sleep(0.01)
    yield made
    await asyncio.to_thread(player.close)


async def test_its_time_is_the_runs(runtime):
    assert runtime.wall_ms() == 1_721_088_000_000 + HOUR // 1_000_000
    assert runtime.wall_ns() == runtime.wall_ms() * 1_000_000
    assert runtime.running
    assert runtime.connected


async def test_the_operators_questions_are_answered_of_the_run(runtime):
    operator = Operator(runtime, MemoryBlobs(), Ed25519Verifier({}))
    fleet = await operator.look(verbs.Overview())
    assert fleet["fleet"]["devices"] == fleet["fleet"]["online"] == 5
    page = await operator.look(verbs.ListDevices(after="", limit=2, labels={"group": "kiosk"}))
    assert [device["id"] for device in page["devices"]] == ["kiosk-0000", "kiosk-0001"]
    (rollout,) = (await operator.look(verbs.PageRollouts(after=0, limit=9)))["rollouts"]
    assert rollout["waves"][0]["opened_ms"] == 1_721_088_000_000 + 30 * MINUTE // 1_000_000
    assert [one["release"] for one in await operator.look(verbs.ListReleases(bundle="gauge"))] == [1, 2]  # fmt: skip


async def test_nothing_is_changed(runtime):
    operator = Operator(runtime, MemoryBlobs(), Ed25519Verifier({}))
    with pytest.raises(verbs.VerbError, match="cannot be steered here") as refused:
        await operator.do(verbs.Kill(feature="gauge"))
    assert refused.value.code == "refused"


async def test_pages_are_of_the_simulated_store(runtime):
    first = await runtime.page(rows.DEVICE, "", 2)
    rest = await runtime.page(rows.DEVICE, first[-1][0], 100)
    assert [key for key, _ in (*first, *rest)] == [f"kiosk-{n:04d}" for n in range(5)]
    assert await runtime.page(audit.ENTRY, "", 5) == []


async def test_its_token_is_a_viewers_and_the_only_one(runtime):
    tokens = Tokens()
    tokens.restore(await runtime.page(TOKEN, "", 10))
    assert [row.role for row in tokens.rows()] == ["viewer"]
    assert tokens.who(runtime.token, runtime.wall_ms()).name == "rehearsal"
