from types import SimpleNamespace

import pytest

from devicesdk.agent.effects import Note, Write
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.codec import Frame
from devicesdk.wire.messages import Get, Have, UpdateState
from devicesim.world.checks import sometimes
from gateway.core import rows
from gateway.core.effects import Persist
from tests_kit import worlds

DOWNLOADING = Note(NoteKind.UPDATE_STATE, UpdateState.DOWNLOADING, 1)
DOWNLOADED = Note(NoteKind.UPDATE_STATE, UpdateState.DOWNLOADED, 1)
RESTART = "timeline: [{id: blink, at: 40m, do: broker.restart}]\n"


@pytest.fixture
def world():
    return worlds.make_world(worlds.scenario_text(RESTART, count=1))


@pytest.fixture
def host(world):
    return world.hosts[0]


@pytest.fixture
def image(world):
    bundle = next(b for b in world.bundles.values() if b.manifest.version == "1.1.0")
    return bundle.manifest.variants[0].image.raw


def test_what_never_happened_is_not_exercised(world):
    check = sometimes.RollbackRan(world)
    row = check.row()
    assert (row.held, row.count, row.at_s) == (False, 0, None)
    assert "never happened" in row.story


def test_the_first_sighting_is_kept(world, host):
    check = sometimes.RollbackRan(world)
    for seq in (1, 2):
        have = Have(boot_id=1, seq=seq, state=UpdateState.ROLLED_BACK)
        check.said_have(host, have, seq * 10**9)
    row = check.row()
    assert (row.held, row.count, row.at_s, row.story) == (True, 2, 1.0, f"first on {host.device}")


def frame(image, chunk):
    return Frame(1, 1, image[:8], chunk, 0)


def test_a_transfer_that_goes_on_after_a_disconnect(world, host, image):
    check = sometimes.ResumedMidChunk(world)
    check.disconnected(host, 1, "reset")
    check.asked(host, Get(transfer=1, seq=1, blob=image, base=0, count=2), 2)
    check.heard_chunk(host, frame(image, 0), 9, 3)
    check.asked(host, Get(transfer=1, seq=2, blob=image, base=1, count=2), 4)
    assert not check.held, "nothing was interrupted in the middle"
    check.disconnected(host, 5, "reset")
    check.asked(host, Get(transfer=1, seq=3, blob=image, base=1, count=2), 6)
    assert check.held


def test_a_chunk_that_comes_twice(world, host, image):
    check = sometimes.DuplicateDelivered(world)
    check.heard_chunk(host, frame(image, 3), 9, 1)
    check.heard_chunk(host, frame(image, 4), 9, 2)
    assert not check.held
    check.heard_chunk(host, frame(image, 3), 9, 3)
    assert check.held


def test_a_connection_lost_while_a_transfer_runs(world, host):
    check = sometimes.SessionLostMidTransfer(world)
    check.disconnected(host, 1, "reset")
    assert not check.held
    check.noted(host, DOWNLOADING, 2)
    check.disconnected(host, 3, "reset")
    assert check.held


def test_heat_during_an_update(world, host):
    check = sometimes.ThrottledWhileUpdating(world)
    check.noted(host, DOWNLOADING, 1)
    assert not check.held
    host.parts.body.processor.step_down(2)
    check.noted(host, DOWNLOADED, 3)
    assert check.held


def test_power_lost_while_the_slot_is_written(world, host):
    check = sometimes.DiedMidFlash(world)
    check.stored(host, Write("slot-b", 0, b"x"), 1)
    check.noted(host, DOWNLOADED, 2)
    check.went_off(host, 3)
    assert not check.held
    check.stored(host, Write("slot-b", 0, b"x"), 4)
    check.went_off(host, 5)
    assert check.held


@pytest.mark.parametrize(("soc", "seen"), [(0.5, False), (0.0, True)])
def test_an_empty_battery_while_the_slot_is_written(soc, seen):
    fleet = f"  - {{group: van, count: 1, profile: handheld, link: fcc-dsl, vary: {{soc0: {soc}}}}}"
    world = worlds.make_world(worlds.scenario_text(fleet=fleet))
    check = sometimes.DiedEmptyMidFlash(world)
    check.went_off(world.hosts[0], 1)
    assert not check.held, "nothing was being written"
    check.stored(world.hosts[0], Write("slot-b", 0, b"x"), 2)
    check.went_off(world.hosts[0], 3)
    assert check.held is seen


def test_a_clock_in_1970(world, host):
    check = sometimes.Clock1970AtConnect(world)
    check.connected(host, 1)
    assert not check.held
    host.parts.clock.boot(2, lost_rtc=True)
    check.connected(host, 3)
    assert check.held


def rollout(phase, *waves):
    return Persist(rows.ROLLOUT, "r1", SimpleNamespace(phase=phase, waves=waves))


def test_a_broker_restart_while_a_wave_is_open(world):
    check = sometimes.BrokerRestartMidWave(world)
    check.faulted("blink", "begin", 0, 1)
    check.persisted(rollout(rows.Phase.RUNNING, "wave"), 2)
    check.faulted("something-else", "begin", 0, 3)
    assert not check.held
    check.faulted("blink", "begin", 0, 4)
    assert check.held
    over = sometimes.BrokerRestartMidWave(world)
    over.persisted(rollout(rows.Phase.COMPLETED, "wave"), 2)
    over.faulted("blink", "begin", 0, 4)
    assert not over.held


def test_a_gate_that_halts_is_counted_once(world):
    check = sometimes.WaveHaltedByItself(world)
    check.persisted(rollout(rows.Phase.RUNNING), 1)
    check.persisted(rollout(rows.Phase.HALTED), 2)
    check.persisted(rollout(rows.Phase.HALTED), 3)
    assert check.judged == 1
