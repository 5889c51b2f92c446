import pytest

from devicesdk.agent.effects import Note, Write
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.messages import Have, UpdateState, Want
from devicesdk.wire.timebase import MINUTE
from devicesim.world.stuck import Stuck
from tests_kit import worlds


@pytest.fixture
def stuck():
    stuck = Stuck(worlds.make_world(worlds.scenario_text(count=1)))
    host = stuck._world.hosts[0]
    host.on = host.online = True
    host.path.black = False
    stuck.booted(host, 0)
    return stuck


def host_of(stuck):
    return stuck._world.hosts[0]


def found(stuck, minute):
    return bool(stuck.find(minute * MINUTE))


def want(generation):
    return Want(
        device="kiosk-0000",
        generation=generation,
        deployment="r1",
        manifest=b"m" * 32,
        manifest_bytes=9,
    )


def test_an_idle_device_is_not_stuck(stuck):
    assert not found(stuck, 600)


def test_one_that_does_not_come_back_is(stuck):
    host = host_of(stuck)
    host.online = False
    stuck.disconnected(host, 100 * MINUTE, "reset")
    assert not found(stuck, 115)
    assert found(stuck, 116)


def test_one_that_cannot_come_back_is_not(stuck):
    host = host_of(stuck)
    host.online = False
    host.path.black = True
    assert not found(stuck, 600)
    host.path.black, host.path.cleared_at = False, 590 * MINUTE
    assert not found(stuck, 600)
    host.on = False
    assert not found(stuck, 700)


def test_an_update_that_does_not_move_is(stuck):
    host = host_of(stuck)
    stuck.noted(host, Note(NoteKind.UPDATE_STATE, UpdateState.DOWNLOADING, 1), 10 * MINUTE)
    stuck.stored(host, Write("slot-b", 0, b"x"), 30 * MINUTE)
    assert not found(stuck, 60)
    assert found(stuck, 61)


def test_one_that_waits_for_power_or_coolness_is_not(stuck):
    stuck.noted(host_of(stuck), Note(NoteKind.UPDATE_STATE, UpdateState.WAITING, 1), 10 * MINUTE)
    assert not found(stuck, 600)


def test_a_want_that_never_arrives_is(stuck):
    stuck.wanted("kiosk-0000", want(1), 10 * MINUTE)
    assert not found(stuck, 70)
    assert found(stuck, 71)


def test_a_want_that_is_never_answered_is(stuck):
    host = host_of(stuck)
    stuck.wanted("kiosk-0000", want(1), 10 * MINUTE)
    stuck.heard_want(host, want(1), 10 * MINUTE)
    assert found(stuck, 41)
    stuck.said_have(host, Have(boot_id=1, seq=1, generation=1), 41 * MINUTE)
    assert not found(stuck, 600)
