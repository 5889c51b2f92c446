from types import SimpleNamespace

import pytest

from devicesdk.agent.effects import Activate
from devicesdk.agent.effects import Note as Said
from devicesdk.agent.notes import NoteKind
from devicesdk.wire.codec import Frame
from devicesdk.wire.messages import Event, Have, UpdateState, Want
from devicesdk.wire.timebase import SECOND
from devicesim.world.checks.releases import digest_of
from devicesim.world.session_meter import SessionMeter
from devicesim.world.update_meter import UpdateMeter
from gateway.core import notes, rows
from gateway.core.effects import Note, Persist
from tests_kit import worlds

PLAN = "rollouts: [{id: r1, bundle: gauge@1.1.0, at: 30m, target: '!id=kiosk-0002'}]\n"


class Rehearsal:
    def __init__(self):
        self.world = worlds.make_world(worlds.scenario_text(PLAN, count=3))
        self.sessions = SessionMeter(self.world)
        self.meter = UpdateMeter(self.world, self.sessions)
        self.new = digest_of(self.world, "gauge@1.1.0")
        for host in self.world.hosts:
            host.path.black = False
            self.sessions.connected(host, 1)

    def want(self, host, generation, manifest=None, *, hold=False):
        return Want(
            device=host.device, generation=generation, deployment="r1",
            manifest=manifest or self.new, manifest_bytes=9, hold=hold,
        )  # fmt: skip

    def have(self, seq, generation, running, state, *, trial=False):
        return Have(
            boot_id=1, seq=seq, generation=generation, running=running, state=state, trial=trial
        )


@pytest.fixture
def rehearsal():
    return Rehearsal()


def test_an_offer_is_timed_from_its_wave_and_an_update_from_its_offer(rehearsal):
    meter, host = rehearsal.meter, rehearsal.world.hosts[0]
    meter.gateway_noted(Note(notes.WAVE_OPENED, "r1", 0, 2), 100 * SECOND)
    meter.gateway_noted(Note(notes.OFFER, host.device, 1, 0), 100 * SECOND)
    meter.heard_want(host, rehearsal.want(host, 1), 103 * SECOND)
    meter.heard_want(host, rehearsal.want(host, 1), 110 * SECOND)
    meter.said_have(host, rehearsal.have(1, 1, rehearsal.new, UpdateState.TRIAL, trial=True), 140)
    assert meter.releases[0].committed == 0
    for now in (163, 170):
        have = rehearsal.have(2, 1, rehearsal.new, UpdateState.COMMITTED)
        meter.said_have(host, have, now * SECOND)
    assert meter.offers.between() == [3 * SECOND]
    assert meter.updates.between() == [60 * SECOND]
    assert meter.releases[0].committed == 1


def test_a_want_that_asks_for_nothing_new_is_no_update(rehearsal):
    meter, host = rehearsal.meter, rehearsal.world.hosts[0]
    host.manifest = b"o" * 32
    meter.heard_want(host, rehearsal.want(host, 1, host.manifest), 1)
    meter.said_have(host, rehearsal.have(1, 1, host.manifest, UpdateState.COMMITTED), 2)
    assert len(meter.updates) == 0


def test_who_was_away_when_the_wave_opened_is_not_timed(rehearsal):
    meter, host = rehearsal.meter, rehearsal.world.hosts[0]
    meter.gateway_noted(Note(notes.WAVE_OPENED, "r1", 0, 2), 100)
    meter.gateway_noted(Note(notes.OFFER, host.device, 1, 0), 100)
    rehearsal.sessions.disconnected(host, 105, "reset")
    rehearsal.sessions.connected(host, 200)
    meter.heard_want(host, rehearsal.want(host, 1), 210)
    assert len(meter.offers) == 0


def test_only_targets_count_as_exposed_or_committed(rehearsal):
    release = rehearsal.meter.releases[0]
    for host in rehearsal.world.hosts:
        rehearsal.meter.activated(host, Activate("b", rehearsal.new, "fp32"), 1)
        rehearsal.meter.activated(host, Activate("b", rehearsal.new, "fp32"), 2)
    assert (sum(release.targets), release.exposed, release.committed) == (2, 2, 0)


def test_transfers_in_flight_are_counted_until_power_goes(rehearsal):
    meter = rehearsal.meter
    for host in rehearsal.world.hosts:
        meter.noted(host, Said(NoteKind.UPDATE_STATE, UpdateState.DOWNLOADING, 1), 1)
    assert meter.downloading == 3
    meter.went_off(rehearsal.world.hosts[0], 2)
    meter.noted(rehearsal.world.hosts[1], Said(NoteKind.UPDATE_STATE, UpdateState.DOWNLOADED, 1), 3)
    assert meter.downloading == 1


def test_a_chunk_that_had_arrived_is_counted_with_its_bytes(rehearsal):
    host, frame = rehearsal.world.hosts[0], Frame(1, 1, b"digest88", 4, 0)
    for _ in range(3):
        rehearsal.meter.heard_chunk(host, frame, 100, 1)
    assert (rehearsal.meter.refetched_chunks, rehearsal.meter.refetched_bytes) == (2, 200)


def test_a_device_rolls_back_once_however_often_it_says_so(rehearsal):
    meter, host = rehearsal.meter, rehearsal.world.hosts[0]
    told = Event(boot_id=1, seq=1, kind="update", state=UpdateState.ROLLED_BACK)
    meter.said_event(host, told, 1)
    meter.said_have(host, rehearsal.have(1, 1, b"", UpdateState.ROLLED_BACK), 2)
    assert meter.rolled_back == 1


def row(phase, blamed, why="", initial=False):
    plan = SimpleNamespace(id="r1", initial=initial)
    waves = (SimpleNamespace(blamed=blamed),)
    return Persist(
        rows.ROLLOUT, "r1", SimpleNamespace(plan=plan, phase=phase, why=why, waves=waves)
    )


def test_a_halt_is_timed_from_the_failure_that_tipped_the_gate(rehearsal):
    meter = rehearsal.meter
    meter.persisted(row(rows.Phase.RUNNING, 1), 10 * SECOND)
    meter.persisted(row(rows.Phase.RUNNING, 2), 20 * SECOND)
    meter.persisted(row(rows.Phase.RUNNING, 2), 25 * SECOND)
    meter.persisted(row(rows.Phase.HALTED, 2, "failures: e-value 30"), 26 * SECOND)
    meter.persisted(row(rows.Phase.HALTED, 2, "failures: e-value 30"), 90 * SECOND)
    assert meter.halted == {"r1": 26 * SECOND}
    assert meter.halt_delay_ns == 6 * SECOND


def test_a_halt_for_another_reason_has_no_tipping_failure(rehearsal):
    rehearsal.meter.persisted(row(rows.Phase.HALTED, 0, "drift: data"), 26)
    assert rehearsal.meter.halted == {"r1": 26}
    assert rehearsal.meter.halt_delay_ns is None


def test_factory_state_is_no_rollout(rehearsal):
    rehearsal.meter.persisted(row(rows.Phase.COMPLETED, 0, initial=True), 1)
    assert rehearsal.meter.rollouts == {}
