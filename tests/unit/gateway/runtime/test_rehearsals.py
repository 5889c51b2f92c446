"""Rehearsals asked for, run and asked after: with a process that says what a test wants it to say."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS
from gateway.adapters.rehearsing import Bounds, Rehearsing
from gateway.config import Config, RehearsalSection
from gateway.core import notes
from gateway.core import stimuli as hear
from gateway.core.access.roles import Role
from gateway.core.access.tokens import Asker
from gateway.core.audit import rows as audit
from gateway.core.gateway import Gateway
from gateway.core.rehearsals.book import REHEARSAL, WAITING_MAX
from gateway.runtime.verbs import (
    CancelRehearsal,
    CreateRollout,
    Decide,
    ListRehearsals,
    RehearsePlan,
    RehearseRollout,
    ShowRehearsal,
    ShowShape,
    SteerRollout,
)
from tests_kit.agent_bundles import SIGNERS, Bundle
from tests_kit.office_stage import ADMIN, RELEASER, SECURITY, VIEWER, Bureau, once
from tests_kit.plant import until

DAY_MS = 24 * 3_600_000
ANSWER = """
import json, sys
job = json.load(sys.stdin)
print(json.dumps({{"share": 0.5, "doing": "seed 1"}}), flush=True)
{body}
"""
HOLDS = 'print(json.dumps({"verdict": {"outcome": "held", "why": "held in 1 run"}}))'
FAILS = """
told = {"outcome": "failed", "why": "halted after 20 devices", "story": ["first this", "then that"]}
print(json.dumps({"verdict": told}))
"""
EU_RELEASER = Asker("rea", Role.RELEASER, (("region", "eu"),))


def command(folder: Path, body: str) -> tuple[str, ...]:
    file = folder / "player.py"
    file.write_text(ANSWER.format(body=body))
    return sys.executable, str(file)


class Stage(Bureau):
    """An office with one bundle and one device, and somewhere to rehearse."""

    def __init__(
        self, folder: Path, body: str = HOLDS, gate: str = "required", wall_s: float = 60.0
    ):
        rules = RehearsalSection(gate=gate, seeds=2)
        config = Config(rehearsal=rules).core()
        super().__init__(
            make=lambda: Gateway(config, SIGNERS[ROLE_DIRECTOR], SIGNERS[ROLE_FLAGS]),
            rules=rules,
            rehearsing=Rehearsing(
                command(folder, body), folder, folder / "out", Bounds(wall_s, 2**30)
            ),
        )
        self.bundle = Bundle(2, 1_000)
        self.plan = CreateRollout(id="spring", bundle=self.bundle.manifest.name, waves=(1.0,))
        self.task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        await self.up()
        size = len(self.bundle.envelope)
        await self.runtime.submit(
            hear.RegisterBundle(self.bundle.manifest, self.bundle.digest, size),
            hear.Enroll("d-1", {"region": "eu"}),
        )
        self.task = asyncio.get_running_loop().create_task(self.office.rehearsals.run())

    async def rehearsed(self, plan: CreateRollout | None = None) -> dict:
        asked = await self.office.do(RELEASER, RehearsePlan(plan=plan or self.plan))
        verb = ShowRehearsal(number=asked["number"])
        await until(lambda: self.office.rehearsals.book.get(verb.number).ended_ms, "its end")
        return await self.office.do(VIEWER, verb)

    def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
        self.runtime.close()


@pytest.fixture
async def stages(tmp_path):
    made = []

    async def make(**more):
        stage = Stage(tmp_path, **more)
        made.append(stage)
        await stage.begin()
        return stage

    yield make
    for stage in made:
        stage.end()


async def test_a_rollout_that_must_be_rehearsed_begins_when_its_rehearsal_has_held(stages):
    stage = await stages()
    code, why = await stage.fails(stage.office.do(RELEASER, stage.plan))
    assert (code, "found none" in why) == ("refused", True), why
    found = await stage.rehearsed()
    assert (found["state"], found["why"], found["seeds"]) == ("held", "held in 1 run", [1, 2])
    changed = replace(stage.plan, soak="21m")
    assert (await stage.fails(stage.office.do(RELEASER, changed)))[0] == "refused"
    spelled = replace(stage.plan, soak="1200s")
    assert (await stage.office.do(RELEASER, spelled))["said"], "the same plan in other words"
    assert [row[1:] for row in stage.told] == [
        ("rollout.create", "refused"), ("rehearsal.plan", "done"), ("rehearsal.ended", "held"),
        ("rollout.create", "refused"), ("rollout.create", "done"),
    ]  # fmt: skip


async def test_factory_state_needs_no_rehearsal_can_have_none_and_offers_nothing(stages):
    stage = await stages()
    plan = replace(stage.plan, id="factory", initial=True)
    code, why = await stage.fails(stage.office.do(RELEASER, RehearsePlan(plan=plan)))
    assert (code, "factory state" in why) == ("refused", True), why
    await stage.office.do(RELEASER, plan)
    code, why = await stage.fails(stage.office.do(RELEASER, RehearseRollout(rollout="factory")))
    assert (code, "factory state" in why) == ("refused", True), why
    twin = stage.runtime.core.twin_view("d-1")
    assert (twin.purpose, twin.generation) == ("factory", 0)


async def test_under_the_rule_a_rollout_taken_back_tells_whom_it_leaves_where_they_are(
    stages, caplog
):
    caplog.set_level(logging.INFO, "fleetdrill.gateway")
    stage, claimed = await stages(), Bundle(1, 1_000)
    size = len(claimed.envelope)
    await stage.runtime.submit(hear.RegisterBundle(claimed.manifest, claimed.digest, size))
    declared = CreateRollout(id="factory", bundle=claimed.manifest.name, initial=True)
    await stage.office.do(RELEASER, declared)
    await stage.rehearsed()
    await stage.office.do(RELEASER, stage.plan)
    back = await stage.office.do(RELEASER, SteerRollout(rollout="spring", how="abort-revert"))
    (why,) = [said for said in back["said"] if "never said" in said]
    assert "d-1 is left where it is" in why, "who asked is told"
    told = [r.fields for r in caplog.records if r.getMessage() == notes.NOT_BACK]
    assert [fields["subject"] for fields in told] == ["d-1"], "the log is told"
    newest = list(stage.table(audit.ENTRY).values())[-1]
    assert why in newest.said, "the audit log is told"


async def test_one_that_failed_stops_it_and_tells_its_story(stages):
    stage = await stages(body=FAILS)
    found = await stage.rehearsed()
    assert found["verdict"]["story"] == ["first this", "then that"]
    code, why = await stage.fails(stage.office.do(RELEASER, stage.plan))
    assert code == "refused"
    assert "rehearsal 1 failed: halted after 20 devices" in why
    assert stage.runtime.core.rollout_views() == []


async def test_somebody_else_may_let_it_begin_without_and_the_log_says_why(stages):
    stage = await stages()
    asked = replace(stage.plan, unrehearsed="the simulator is down")
    found = await stage.office.do(RELEASER, asked)
    assert found["waits"] == 1
    assert stage.runtime.core.rollout_views() == []
    decide = Decide(number=1, approve=True, why="seen")
    assert (await stage.fails(stage.office.do(RELEASER, decide)))[0] == "forbidden"
    await stage.office.do(SECURITY, decide)
    (view,) = stage.runtime.core.rollout_views()
    assert view.id == "spring"
    assert any(b"the simulator is down" in row.arguments for row in stage.log)


async def test_a_rollout_may_ask_for_it_where_nobody_else_does(stages):
    stage = await stages(gate="advised")
    careful = replace(stage.plan, rehearsal="required")
    assert (await stage.fails(stage.office.do(RELEASER, careful)))[0] == "refused"
    assert (await stage.office.do(RELEASER, stage.plan))["said"]
    asked = await stage.office.do(RELEASER, RehearseRollout(rollout="spring", seeds=1))
    await until(lambda: stage.office.rehearsals.book.get(asked["number"]).ended_ms, "its end")
    heads = await stage.office.do(VIEWER, ListRehearsals(rollout="spring"))
    assert (heads["gate"], heads["able"]) == ("advised", True)
    assert [(one["number"], one["state"]) for one in heads["rehearsals"]] == [(1, "held")]


async def test_a_key_that_is_asked_again_finds_its_rehearsal_after_a_crash_too(stages):
    stage = await stages()
    wish = RehearsePlan(plan=stage.plan)
    first = await stage.office.do(RELEASER, wish, once("k"))
    assert await stage.office.do(RELEASER, wish, once("k")) == first
    stage.task.cancel()
    await asyncio.wait((stage.task,))
    await stage.again()
    assert await stage.office.do(RELEASER, wish, once("k")) == first
    assert len(stage.table(REHEARSAL)) == 1


async def test_who_may_ask(stages):
    stage = await stages()
    wish = RehearsePlan(plan=stage.plan)
    assert (await stage.fails(stage.office.do(VIEWER, wish)))[0] == "forbidden"
    assert (await stage.fails(stage.office.do(EU_RELEASER, wish)))[0] == "forbidden"
    own = RehearsePlan(plan=replace(stage.plan, selector={"region": "eu"}))
    assert (await stage.office.do(EU_RELEASER, own))["number"] == 1
    assert [row[1:] for row in stage.told[:2]] == [("rehearsal.plan", "refused")] * 2


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("sys.exit(7)", "ended with 7"),
        ('print("hello")', "expected how far"),
        ('print("x" * 10_000_000)', "expected a verdict"),
        ('sys.exit("out of luck")', "out of luck"),
        ("x = bytearray(2 ** 31)", "MemoryError"),
    ],
)
async def test_a_process_without_a_verdict_is_broken_and_lets_nothing_begin(stages, body, word):
    stage = await stages(body=body)
    found = await stage.rehearsed()
    assert (found["state"], found["verdict"]) == ("broken", None)
    assert word in found["why"]
    assert "broke" in (await stage.fails(stage.office.do(RELEASER, stage.plan)))[1]


async def test_a_command_that_is_not_there_is_told(stages):
    stage = await stages()
    stage.office.rehearsals._rehearsing._command = ("/nowhere/at-all",)
    assert "expected /nowhere/at-all to start" in (await stage.rehearsed())["why"]


async def test_no_setting_of_the_gateway_reaches_the_process(stages, monkeypatch):
    monkeypatch.setenv("FLEETDRILL_BROKER_PASSWORD", "hush")
    tell = "import os\nsys.exit(' '.join(name for name in os.environ if 'FLEETDRILL' in name) or 'none')"
    stage = await stages(body=tell)
    assert (await stage.rehearsed())["why"].endswith("ended with 1: none")


async def test_nobodys_secrets_reach_the_process(stages, monkeypatch):
    """A model that is rehearsed is code of somebody else's: what else the gateway was given is not for it."""
    for name in ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY"):
        monkeypatch.setenv(name, "hush")
    tell = (
        "import os\nsys.exit(' '.join(k for k, v in os.environ.items() if v == 'hush') or 'none')"
    )
    stage = await stages(body=tell)
    assert (await stage.rehearsed())["why"].endswith("ended with 1: none")


async def test_what_says_that_it_held_and_then_fails_has_not_held(stages):
    stage = await stages(body=f"{HOLDS}\nsys.exit(7)")
    found = await stage.rehearsed()
    assert (found["state"], found["verdict"]) == ("broken", None), found["why"]
    assert "held, and then ended with 7" in found["why"]


async def test_fewer_virtual_fleets_than_are_asked_for_let_nothing_begin(stages):
    stage = await stages()
    few = RehearsePlan(plan=stage.plan, seeds=1)
    asked = await stage.office.do(RELEASER, few)
    await until(lambda: stage.office.rehearsals.book.get(asked["number"]).ended_ms, "its end")
    code, why = await stage.fails(stage.office.do(RELEASER, stage.plan))
    assert (code, "1 of 2 virtual fleets" in why) == ("refused", True), why
    await stage.rehearsed()
    assert (await stage.office.do(RELEASER, few))["number"] == 3
    assert await stage.office.do(RELEASER, stage.plan), "a short one takes nothing away"


async def test_a_gateway_that_is_busy_for_a_moment_goes_on_rehearsing(stages, tmp_path):
    go = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\n{HOLDS}"
    stage = await stages(body=wait)
    asked = await stage.office.do(RELEASER, RehearsePlan(plan=stage.plan))
    await until(lambda: stage.office.rehearsals.step.share == 0.5, "it to be under way")
    usual = stage.runtime._limits
    stage.runtime._limits = replace(usual, submissions_max=0)
    go.touch()
    await asyncio.sleep(0.5)
    stage.runtime._limits = usual
    row = stage.office.rehearsals.book.get
    await until(lambda: row(asked["number"]).ended_ms or stage.task.done(), "its end")
    assert row(asked["number"]).state == "held", "its verdict was lost"
    assert (await stage.rehearsed())["state"] == "held", "nobody runs what waits any more"


async def test_a_gateway_that_is_busy_says_so(stages):
    stage = await stages()
    usual = stage.runtime._limits
    await stage.rehearsed()
    stage.runtime._limits = replace(usual, submissions_max=0)
    wishes = RehearsePlan(plan=stage.plan), RehearseRollout(rollout="spring")
    for verb in (*wishes, ShowRehearsal(number=1), ShowShape()):
        code, why = await stage.fails(stage.office.do(RELEASER, verb))
        assert code == "busy", (verb, why)


async def test_one_that_takes_too_long_is_ended(stages):
    stage = await stages(body="import time\ntime.sleep(600)", wall_s=0.2)
    assert "within 0.2 s" in (await stage.rehearsed())["why"]


SLOW = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""


async def test_one_that_runs_can_be_cancelled_and_nothing_of_it_is_left(stages, tmp_path):
    stage = await stages(body=SLOW)
    wish = RehearsePlan(plan=stage.plan)
    for _ in range(3):
        await stage.office.do(RELEASER, wish)
    told = tmp_path / "out" / "1" / "pids"
    await until(lambda: told.exists() and " " in told.read_text(), "its process")
    processes = [psutil.Process(int(pid)) for pid in told.read_text().split()]
    waiting = await stage.office.do(RELEASER, CancelRehearsal(number=2))
    assert waiting["said"] == ["Rehearsal 2 of spring is cancelled."]
    verb = CancelRehearsal(number=1, why="another plan")
    assert await stage.office.do(ADMIN, verb, once("k")) == await stage.office.do(
        ADMIN, verb, once("k")
    )
    assert not processes[0].is_running(), "it said that it ended and it had not"
    await until(lambda: not alive(processes[1]), "its child's end")
    found = await stage.office.do(VIEWER, ShowRehearsal(number=1))
    assert (found["state"], found["verdict"]) == ("cancelled", None)
    assert found["why"] == f"cancelled by {ADMIN.name}: another plan"
    code, why = await stage.fails(stage.office.do(RELEASER, CancelRehearsal(number=1)))
    assert (code, "has ended: cancelled" in why) == ("refused", True), why
    assert (
        "was cancelled while it ran"
        in (await stage.fails(stage.office.do(RELEASER, stage.plan)))[1]
    )
    assert (await stage.fails(stage.office.do(VIEWER, verb)))[0] == "forbidden"
    assert (await stage.fails(stage.office.do(ADMIN, CancelRehearsal(number=9))))[0] == "unknown"
    rehearsals = stage.office.rehearsals
    await until(lambda: rehearsals.book.get(3).state == "runs", "the next to begin")
    assert rehearsals.book.get(2).state == "cancelled"
    entries = [
        (row.actor, row.subject, row.outcome) for row in stage.log if row.verb == "rehearsal.cancel"
    ]
    assert entries == [
        (RELEASER.name, "spring", "done"),
        (ADMIN.name, "spring", "done"),
        (VIEWER.name, "", "refused"),
    ]
    stage.task.cancel()
    await asyncio.wait((stage.task,))
    await stage.again()
    states = [row.state for row in stage.table(REHEARSAL).values()]
    assert states == ["cancelled", "cancelled", "lost"]


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_who_asks_to_cancel_and_goes_away_is_heard_all_the_same(stages, tmp_path):
    stage = await stages(body=SLOW)
    await stage.office.do(RELEASER, RehearsePlan(plan=stage.plan))
    told = tmp_path / "out" / "1" / "pids"
    await until(lambda: told.exists() and " " in told.read_text(), "its process")
    process = psutil.Process(int(told.read_text().split()[0]))
    asking = asyncio.get_running_loop().create_task(
        stage.office.do(ADMIN, CancelRehearsal(number=1))
    )
    while stage.office.rehearsals.book.get(1).state == "runs":  # noqa: ASYNC110 - the very next turn
        await asyncio.sleep(0)
    asking.cancel()
    await until(lambda: not alive(process), "its end")
    assert (await stage.office.do(VIEWER, ShowRehearsal(number=1)))["state"] == "cancelled"


async def test_the_queue_is_bounded_and_a_crash_loses_what_waits(stages):
    stage = await stages(body="import time\ntime.sleep(600)")
    wish = RehearsePlan(plan=stage.plan)
    for _ in range(WAITING_MAX):
        await stage.office.do(RELEASER, wish)
    assert (await stage.fails(stage.office.do(RELEASER, wish)))[0] == "busy"
    await until(lambda: stage.office.rehearsals.step.share == 0.5, "the first to be under way")
    stage.task.cancel()
    await asyncio.wait((stage.task,))
    await stage.again()
    states = [row.state for row in stage.table(REHEARSAL).values()]
    assert states == ["lost"] * WAITING_MAX
    assert (await stage.office.do(RELEASER, wish))["number"] == WAITING_MAX + 1


async def test_what_cannot_be_rehearsed_is_refused_at_once(stages):
    stage = await stages()
    for plan in (replace(stage.plan, bundle="none@1.0.0"), replace(stage.plan, waves=(0.5, 0.2))):
        asked = stage.office.do(RELEASER, RehearsePlan(plan=plan))
        assert (await stage.fails(asked))[0] == "refused", plan
    bad = RehearsePlan(plan=replace(stage.plan, soak="soon"))
    assert (await stage.fails(stage.office.do(RELEASER, bad)))[0] == "invalid"
    unknown = stage.office.do(RELEASER, RehearseRollout(rollout="none"))
    assert (await stage.fails(unknown))[0] == "unknown"
    assert (await stage.fails(stage.office.do(VIEWER, ShowRehearsal(number=9))))[0] == "unknown"
    nowhere = Bureau()
    await nowhere.up()
    code, why = await nowhere.fails(nowhere.office.do(ADMIN, RehearsePlan(plan=stage.plan)))
    assert (code, "fleetdrill[sim]" in why) == ("refused", True)
    nowhere.runtime.close()


async def test_a_registry_that_changed_is_told_and_the_shape_names_nobody(stages):
    stage = await stages()
    found = await stage.rehearsed()
    assert found["stale"] == ""
    await stage.runtime.submit(hear.Enroll("d-2", {}), hear.Enroll("d-3", {}))
    found = await stage.office.do(VIEWER, ShowRehearsal(number=1))
    assert "2 devices more" in found["stale"]
    shape = await stage.office.do(VIEWER, ShowShape())
    assert (shape["devices"], sum(one["devices"] for one in shape["groups"])) == (3, 3)
    stage.now_ms += 8 * DAY_MS
    assert "too long" in (await stage.fails(stage.office.do(RELEASER, stage.plan)))[1]
