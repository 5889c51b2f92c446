"""The audit log, read beside everything else."""

import pytest
from msgspec.structs import replace

from devicesdk.wire.timebase import SECOND
from gateway.core.audit import rows as audit
from gateway.runtime import verbs
from gateway.runtime.patrol import Patrol
from tests_kit.audit_logs import AUDITOR
from tests_kit.office_stage import ADMIN, Bureau


@pytest.fixture
async def bureau():
    made = Bureau()
    await made.up()
    for feature in "abcd":
        await made.office.do(ADMIN, verbs.Kill(feature=feature))
    yield made
    made.runtime.close()


def edit(bureau, number=2):
    """Somebody writes into the database."""
    key = audit.ENTRY, audit.entry_key(number)
    bureau.storage.durable[key] = replace(bureau.storage.durable[key], actor="nobody")


async def test_a_sound_log_is_sound_and_a_broken_one_is_told_at_the_next_round(bureau):
    patrol = Patrol(bureau.runtime, AUDITOR, every_s=10.0)
    await patrol.look(0)
    assert patrol.stories == ()
    edit(bureau)
    await patrol.look(9 * SECOND)
    assert patrol.stories == (), "it is not time yet"
    await patrol.look(10 * SECOND)
    (story,) = patrol.stories
    assert "entry 2 is not what it was" in story


async def test_a_long_log_takes_many_looks_and_what_was_found_stands_meanwhile(bureau, monkeypatch):
    monkeypatch.setattr("gateway.runtime.patrol.PAGE_ROWS", 1)
    monkeypatch.setattr("gateway.runtime.patrol.PAGES_EACH_MAX", 2)
    edit(bureau, 1)
    patrol = Patrol(bureau.runtime, AUDITOR, every_s=1.0)
    told = []
    for second in range(6):
        await patrol.look(second * SECOND)
        told.append(len(patrol.stories))
    assert told == [0, 1, 1, 1, 1, 1]


async def test_a_log_that_does_not_exist_yet_is_sound():
    bureau = Bureau()
    await bureau.up()
    patrol = Patrol(bureau.runtime, AUDITOR, every_s=1.0)
    await patrol.look(0)
    assert patrol.stories == ()
    bureau.runtime.close()
