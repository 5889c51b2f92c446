"""The gateway as its own witness: durable heads, kept once, and what it says when the log goes back."""

import logging
import shutil

import pytest

from gateway.adapters.heads import HeadFile
from gateway.core.audit import rows as audit
from gateway.runtime.verbs import Kill
from gateway.runtime.witness import Witness
from tests_kit.audit_logs import AUDITOR
from tests_kit.office_stage import ADMIN, Bureau

KILL = Kill(feature="gauge")


@pytest.fixture
async def bureau():
    made = Bureau()
    await made.up()
    yield made
    made.runtime.close()


def witness(bureau, folder):
    made = Witness(bureau.runtime, HeadFile(folder), AUDITOR)
    return made, made.kept()


async def test_a_new_head_is_kept_once_and_logged(bureau, tmp_path, caplog):
    caplog.set_level(logging.INFO, "fleetdrill.gateway")
    keeper, _ = witness(bureau, tmp_path)
    await keeper.look()
    assert not keeper.kept(), "there was nothing to keep"
    await bureau.office.do(ADMIN, KILL)
    await keeper.look()
    await keeper.look()
    assert [head.number for head in keeper.kept()] == [1]
    assert [r.fields["number"] for r in caplog.records if r.getMessage() == "audit head"] == [1]
    _, kept = witness(bureau, tmp_path)
    assert kept[0].digest == bureau.table(audit.HEAD)["head"].digest


async def test_a_head_whose_commit_has_not_ended_is_not_kept(bureau, tmp_path):
    keeper, _ = witness(bureau, tmp_path)
    before = dict(bureau.storage.durable)
    await bureau.office.do(ADMIN, KILL)
    bureau.storage.durable = before  # as it was when the crash came
    await keeper.look()
    assert keeper.kept() == [], "after a crash an honest log would look cut"


async def test_a_log_that_goes_back_while_it_runs_is_said(bureau, tmp_path, caplog):
    keeper, _ = witness(bureau, tmp_path)
    await bureau.office.do(ADMIN, KILL)
    early = bureau.table(audit.HEAD)["head"]
    await bureau.office.do(ADMIN, KILL)
    await keeper.look()
    bureau.storage.durable[audit.HEAD, "head"] = early
    await keeper.look()
    assert "rolled back" in caplog.text
    assert [head.number for head in keeper.kept()] == [2]


async def test_what_is_no_head_and_what_cannot_be_written_is_said(bureau, tmp_path, caplog):
    folder = tmp_path / "state"
    folder.mkdir()
    keeper, _ = witness(bureau, folder)
    await bureau.office.do(ADMIN, KILL)
    shutil.rmtree(folder)
    await keeper.look()
    assert "cannot keep the audit head" in caplog.text
    folder.mkdir()
    await keeper.look()
    assert [head.number for head in keeper.kept()] == [1], "it was not tried again"
    HeadFile(folder).append("nonsense\n")
    assert len(keeper.kept()) == 1
    assert "kept heads were changed" in caplog.text
    row = bureau.table(audit.HEAD)["head"]
    bureau.storage.durable[audit.HEAD, "head"] = type(row)(9, row.digest, b"x")
    await keeper.look()
    assert "cannot be read" in caplog.text
