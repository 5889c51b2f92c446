"""The life of a rollout as sequence charts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import HOUR, MINUTE, SECOND
from gateway.core import notes, stimuli
from gateway.core.effects import Note, Persist, Publish
from gateway.core.gateway import GatewayConfig
from gateway.core.limits import ControlLimits
from gateway.core.pace import Pace
from gateway.core.stimuli import CreateRollout, DecideWave, GatePlan
from tests_kit.gateway_charts import Chart, Loop, bundle, digest_of, factory, plan

NEW, OLD = digest_of("gauge@1.1.0"), digest_of("gauge@1.0.0")
SMALL_PAGES = GatewayConfig(control=ControlLimits(page_devices=3))


def started(count=8, config=None, **fields):
    chart = Chart.with_fleet(count, config)
    return chart >> CreateRollout(plan(**fields))


def commit_all(chart, devices, generation=1):
    for device in devices:
        chart.commit(device, generation=generation)


def test_waves_open_one_after_the_other_with_exact_caps():
    chart = started(8, waves=(0.25, 0.5, 1.0), soak_ns=MINUTE)
    chart << (Note, {"kind": notes.WAVE_OPENED, "subject": "r1", "a": 0, "b": 2})
    offered = []
    for size in (2, 2, 4):
        wave = sorted(chart.wants())
        assert len(wave) == size
        offered += wave
        commit_all(chart, wave)
        chart.wait(MINUTE - 1)
        assert chart.wants() == {}, "the wave did not soak"
        chart.wait(1)
    assert sorted(offered) == [f"d00{n}" for n in range(8)]
    chart << (Note, {"kind": notes.ROLLOUT_COMPLETED, "a": 8, "b": 8})
    assert chart.rollout().state == "completed"
    assert [wave.verdict for wave in chart.rollout().waves] == ["passed"] * 3
    assert chart.machine.deadline() is None or "stale" in chart.machine.deadline()[1]


def test_a_want_says_what_the_plan_says_and_goes_retained_with_its_row():
    chart = started(1, waves=(1.0,), jitter_ms=500)
    (want,) = chart.wants().values()
    assert (want.generation, want.deployment, want.attempt) == (1, "r1", 0)
    assert (want.manifest, want.manifest_bytes) == (NEW, 900)
    assert (want.jitter_ms, want.hold, want.expires_ms) == (500, False, 0)
    chart << (Persist, {"table": "control.outbox", "key": "fd/main/d/d000/want"})
    chart << (Publish, {"topic": "fd/main/d/d000/want", "retain": True})


def test_pages_are_due_at_once():
    chart = started(8, SMALL_PAGES, waves=(1.0,))
    assert len(chart.wants()) == 3
    assert chart.machine.deadline()[0] == chart.now
    assert "offering wave 0: 3 of 8" in chart.rollout().why
    chart.wait(0)
    assert chart.rollout().waves[0].offered == 8


def test_only_what_runs_for_good_counts():
    """hawkBit 3185 and 446: success before boot, and a device that fell back."""
    chart = started(1, waves=(1.0,))
    device, wave = "d000", lambda: chart.rollout().waves[0]
    chart.ev(device, S.COMMITTED, generation=1, digest=NEW)
    assert wave().committed == 0, "an event's word was believed"
    chart.have(device, generation=1, running=OLD, state=S.COMMITTED)
    assert wave().committed == 0, "a state was believed against the digest"
    chart.have(device, generation=1, running=NEW, trial=True, state=S.TRIAL)
    assert (wave().committed, wave().exposed) == (0, 1)
    chart.have(device, generation=0, running=NEW, state=S.COMMITTED)
    assert wave().committed == 0, "a report about another generation was counted"
    chart.commit(device)
    assert wave().committed == 1
    chart.have(device, generation=1, running=OLD, state=S.IDLE)
    chart << (Note, {"kind": notes.FELL_BACK})
    assert (wave().committed, chart.machine.overview().in_sync) == (0, 0)
    chart.commit(device)
    assert wave().committed == 1


def test_the_tipping_failure_halts_in_its_own_batch_and_reaches_devices_in_flight():
    chart = started(40, waves=(0.25, 1.0))
    members = sorted(chart.wants())
    chart.commit(members[0])
    chart.have(members[1], generation=1, running=NEW, trial=True, state=S.TRIAL)
    chart.ev(members[2], S.FAILED, "validation:nan", generation=1)
    assert chart.rollout().state == "running"
    chart.ev(members[3], S.ROLLED_BACK, "runtime:errors", generation=1)
    chart << (Note, {"kind": notes.ROLLOUT_HALTED})
    wants = chart.wants()
    assert sorted(wants) == members, "somebody who was offered was not told"
    assert {want.generation for want in wants.values()} == {2}
    assert {want.manifest for want in wants.values()} == {OLD}
    assert {want.jitter_ms for want in wants.values()} == {0}
    view = chart.rollout()
    assert (view.state, "e-value" in view.why) == ("halted", True)
    assert (view.waves[0].exposed, view.waves[0].stopped, view.waves[0].size) == (2, 7, 10)
    for device in members:
        chart.have(device, generation=2, running=OLD, state=S.IDLE)
    assert chart.rollout().waves[0].reverted == 10
    assert chart.wait(HOUR).wants() == {}, "a halted rollout went on"


def test_a_device_that_ran_the_candidate_after_the_halt_is_counted_as_exposed():
    chart = started(40, waves=(0.25, 1.0))
    members = sorted(chart.wants())
    for device in members[:2]:
        chart.ev(device, S.FAILED, "validation", generation=1)
    assert chart.rollout().waves[0].exposed == 0
    chart.ev(members[5], S.TRIAL, generation=1, digest=NEW)
    assert chart.rollout().waves[0].exposed == 1


def test_hold_stops_those_in_flight_and_leaves_those_that_committed():
    chart = started(40, waves=(0.25, 1.0), on_halt="hold")
    members = sorted(chart.wants())
    chart.commit(members[0])
    for device in members[1:3]:
        chart.ev(device, S.FAILED, "validation", generation=1)
    wants = chart.wants()
    assert sorted(wants) == members[3:]
    assert all(want.hold and want.manifest == NEW for want in wants.values())
    assert chart.rollout().waves[0].stopped == 7
    chart.commit(members[4], generation=2)
    assert chart.rollout().waves[0].committed == 2, "a trial that was running may still commit"
    assert not chart.twin(members[4]).hold


def test_a_revert_of_many_goes_in_pages_that_are_due_at_once():
    chart = started(8, SMALL_PAGES, waves=(1.0,))
    chart.wait(0)
    members = [f"d00{n}" for n in range(8)]
    for device in members[:2]:
        chart.ev(device, S.FAILED, "validation", generation=1)
    reverted = dict(chart.wants())
    assert len(reverted) == 3
    assert "to stop" in chart.machine.deadline()[1]
    chart.wait(0)
    assert sorted({**reverted, **chart.wants()}) == members


def test_without_knowledge_of_an_earlier_bundle_devices_stay_where_they_are():
    chart = Chart()
    chart >> stimuli.Started(1) >> stimuli.BrokerUp(session_present=False) >> bundle()
    for number in range(40):
        chart.enroll(f"d{number:03}")
    chart >> CreateRollout(plan())
    members = sorted(chart.wants())
    chart.commit(members[0])
    for device in members[1:3]:
        chart.ev(device, S.FAILED, "validation", generation=1)
    assert all(want.hold for want in chart.wants().values())
    assert members[0] not in chart.wants()


def test_a_small_canary_that_loses_as_many_as_it_gains_does_not_pass():
    chart = started(8, waves=(0.25, 1.0), gate=GatePlan(failures=0.2))
    first, second = sorted(chart.wants())
    chart.commit(first)
    chart.ev(second, S.FAILED, "validation", generation=1)
    assert chart.rollout().state == "running"
    chart.wait(MINUTE)
    assert (chart.rollout().state, "1 committed" in chart.rollout().why) == ("halted", True)


def test_a_bundle_that_devices_reject_does_not_spread():
    """LockState 2017: firmware of another model."""
    chart = started(40, waves=(0.25, 1.0))
    for device in sorted(chart.wants()):
        chart.ev(device, S.REJECTED, "hardware", generation=1)
    chart.wait(MINUTE)
    assert chart.rollout().state == "halted"


def test_offline_members_do_not_hold_a_quorum_up_and_count_when_they_return():
    chart = started(10, waves=(1.0,), gate=GatePlan(quorum=0.9))
    commit_all(chart, [f"d00{n}" for n in range(9)])
    chart.wait(MINUTE)
    view = chart.rollout()
    assert (view.state, view.waves[0].unreached) == ("completed", 1)
    chart.commit("d009")
    assert chart.rollout().waves[0].committed == 10


def test_a_wave_times_out_with_what_has_ended():
    chart = started(8, waves=(0.5, 1.0), wave_timeout_ns=HOUR)
    chart.commit(sorted(chart.wants())[0])
    chart.wait(HOUR)
    first, second = chart.rollout().waves
    assert (first.verdict, first.unreached, second.offered) == ("passed", 3, 4)


def test_a_wave_from_which_nobody_commits_waits_with_a_reason():
    chart = started(8, waves=(0.5, 1.0), wave_timeout_ns=HOUR)
    members = sorted(chart.wants())
    chart.wait(HOUR)
    chart << (Note, {"kind": notes.WAVE_SILENT})
    assert (chart.rollout().state, "nobody" in chart.rollout().why) == ("running", True)
    commit_all(chart, members)
    chart.wait(MINUTE)
    assert len(chart.rollout().waves) == 2


def test_waiting_is_not_failing():
    """screentinker 153: load shedding counted as failure parked two thirds of a fleet."""
    chart = started(4, waves=(1.0,))
    for _ in range(20):
        for device in ("d000", "d001"):
            chart.ev(device, S.WAITING, "busy", generation=1)
            chart.have(device, generation=1, running=OLD, state=S.WAITING, reason="busy")
    twin = chart.twin("d000")
    assert (twin.outcome, twin.attempt, twin.generation) == ("open", 0, 1)
    assert chart.rollout().waves[0].failed == 0


def test_a_failure_of_the_link_is_offered_again_a_few_times_and_never_blamed():
    chart = started(40, waves=(0.25, 1.0))
    device = sorted(chart.wants())[0]
    for generation in (1, 2, 3):
        chart.ev(device, S.FAILED, "link", generation=generation)
        want = chart.wants()[device]
        assert (want.generation, want.attempt) == (generation + 1, generation)
        chart.have(device, generation=generation, running=OLD, state=S.FAILED, reason="link")
        assert chart.wants() == {}, "the same failure was answered twice"
    chart.ev(device, S.FAILED, "link", generation=4)
    assert chart.wants() == {}
    view = chart.rollout()
    assert (view.waves[0].failed, view.waves[0].e_value, view.state) == (1, 1.0, "running")
    assert chart.twin(device).quarantine == ()


def test_a_bad_digest_is_never_offered_again_to_the_device_that_it_failed_on():
    """mender PR 97: the poison loop."""
    chart = started(8, waves=(0.25, 1.0), gate=GatePlan(failures=0.5))
    members = sorted(chart.wants())
    chart.ev(members[0], S.FAILED, "validation:nan", generation=1)
    assert chart.wants() == {}
    assert chart.twin(members[0]).quarantine == (NEW.hex(),)
    chart >> stimuli.SteerRollout("r1", "abort-keep")
    chart.wait(0) >> stimuli.SteerRollout("r1", "retry")
    assert members[0] not in chart.wants()
    chart >> CreateRollout(plan("r2"))
    chart.wait(HOUR)
    assert chart.twin(members[0]).rollout == "r1"


def test_a_newer_rollout_supersedes_and_nothing_stays_blocked():
    """greengrass-nucleus 1203: a stuck IN_PROGRESS blocked all later work."""
    chart = started(8, waves=(0.5, 1.0))
    stuck = sorted(chart.wants())
    chart >> bundle("gauge@1.2.0") >> CreateRollout(plan("r2", "gauge@1.2.0", waves=(1.0,)))
    chart << (Note, {"kind": notes.ROLLOUT_ABORTED})
    wants = chart.wants()
    assert len(wants) == 8
    assert {wants[device].generation for device in stuck} == {2}
    assert (chart.rollout().state, chart.rollout().why) == ("aborted", "superseded by r2")
    assert chart.rollout().waves[0].superseded == 4
    chart.ev(stuck[0], S.FAILED, "validation", generation=1)
    assert chart.twin(stuck[0]).outcome == "open", "a report about the older want was counted"


def test_an_older_rollout_does_not_take_devices_back_from_a_newer_one():
    chart = Chart.with_fleet(8)
    chart >> bundle("other@1.0.0")
    chart >> CreateRollout(plan("r1", waves=(0.5, 1.0)))
    mine = sorted(chart.wants())
    chart >> CreateRollout(plan("r2", "other@1.0.0", waves=(1.0,)))
    assert len(chart.wants()) == 8
    assert chart.rollout("r1").waves[0].superseded == 4
    chart.wait(MINUTE)
    assert (chart.rollout("r1").state, len(mine)) == ("completed", 4)
    assert {chart.twin(f"d00{n}").rollout for n in range(8)} == {"r2"}


def test_members_taken_by_others_while_offering_shrink_the_wave():
    chart = Chart.with_fleet(8, SMALL_PAGES)
    chart >> bundle("other@1.0.0")
    chart >> CreateRollout(plan("r1", waves=(1.0,)))
    chart >> CreateRollout(plan("r2", "other@1.0.0", waves=(1.0,)))
    chart.wait(0)
    wave = chart.rollout("r1").waves[0]
    assert wave.size == wave.offered < 8
    assert chart.rollout("r2").waves[0].offered == 8


def test_late_devices_join_what_has_reached_everybody():
    chart = started(4, waves=(0.5, 1.0))
    canary = sorted(chart.wants())
    chart.enroll("late1")
    assert chart.wants() == {}, "a late device jumped into the canary"
    assert chart.twin("late1").wanted == OLD.hex()
    commit_all(chart, canary)
    rest = sorted(chart.wait(MINUTE).wants())
    assert "late1" in rest
    commit_all(chart, rest)
    chart.wait(MINUTE)
    assert chart.rollout().state == "completed"
    chart.enroll("late2")
    (want,) = chart.wants().values()
    assert (want.device, want.manifest) == ("late2", NEW)
    assert chart.rollout().waves[-1].size == chart.rollout().waves[-1].offered


def test_a_rollout_waits_for_its_bundle_and_for_a_device_with_a_reason():
    chart = Chart()
    chart >> stimuli.Started(1) >> stimuli.BrokerUp(session_present=False)
    chart >> CreateRollout(plan(waves=(1.0,)))
    assert (chart.rollout().state, chart.rollout().why) == (
        "waiting",
        "nothing named gauge@1.1.0 was published yet",
    )
    assert chart.machine.deadline() is None
    chart >> bundle()
    assert "no enrolled device" in chart.rollout().why
    chart.enroll("d1")
    chart.wait(10 * SECOND)
    assert sorted(chart.wants()) == ["d1"]


def test_a_rollout_that_was_approved_before_its_bundle_came_says_what_it_waits_for():
    chart = Chart()
    chart >> stimuli.Started(1) >> stimuli.BrokerUp(session_present=False)
    chart >> CreateRollout(plan(waves=(1.0,), pace=Pace(approvals=(0,))))
    chart >> DecideWave("r1", approved=True)
    chart.enroll("d1")
    assert chart.rollout().why == "nothing named gauge@1.1.0 was published yet"


def test_only_devices_that_are_selected_and_fit_are_offered():
    chart = Chart.with_fleet(0)
    chart >> bundle("gauge@2.0.0", hardware=("pi",))
    chart.enroll("eu-pi", {"region": "eu", "hardware": "pi"})
    chart.enroll("us-pi", {"region": "us", "hardware": "pi"})
    chart.enroll("eu-jetson", {"region": "eu", "hardware": "jetson"})
    chart.commit("stranger", "gauge@1.0.0")
    chart >> CreateRollout(plan("r", "gauge@2.0.0", waves=(1.0,), selector=(("region", "eu"),)))
    assert sorted(chart.wants()) == ["eu-pi"]


def test_the_same_rollout_again_is_silent_and_another_under_its_id_is_refused():
    chart = started(2)
    chart >> CreateRollout(plan())
    assert chart.left == []
    chart >> CreateRollout(plan(soak_ns=1))
    chart << (Note, {"kind": notes.ROLLOUT_REFUSED})
    full = Chart.with_fleet(1, GatewayConfig(control=ControlLimits(rollouts_max=1)))
    full >> CreateRollout(plan())
    full << (Note, {"kind": notes.ROLLOUT_REFUSED})


def test_factory_state_is_believed_without_an_offer():
    chart = Chart.with_fleet(2)
    assert chart.machine.overview().versions == {"gauge@1.0.0": 2}
    assert chart.machine.rollout_views() == []
    assert chart.twin("d000").purpose == "factory"
    before = Chart()
    before >> stimuli.Enroll("d1", {"region": "eu"}) >> factory() >> bundle("gauge@1.0.0")
    assert before.machine.overview().versions == {"gauge@1.0.0": 1}


@pytest.mark.parametrize("verdict", ["latency", "data"])
def test_telemetry_of_the_candidate_halts(verdict):
    gate = GatePlan(latency_p95_ratio=1.2, drift=True)
    chart = started(40, gate=gate)
    control = chart.machine._control
    said = control.handle(_judged(30.0 if verdict == "latency" else 10.0, "none"), chart.now)
    assert chart.rollout().state == "running", said
    control.handle(_judged(30.0, "none" if verdict == "latency" else "data"), chart.now)
    assert (chart.rollout().state, verdict in chart.rollout().why) == ("halted", True)
    chart.machine.validate()


def _judged(latency, drift):
    from gateway.core.internal import Judged

    return Judged(NEW[:8], "eu/pi", latency, 10.0, 1_000, drift, 0.3)


def test_ten_thousand_devices_are_offered_within_ten_seconds():
    loop = Loop(validate=False)
    loop.start()
    for one in (bundle("gauge@1.0.0"), bundle(), factory()):
        loop.ask(one)
    for number in range(10_000):
        loop.core.handle(stimuli.Enroll(f"d{number}", {"region": f"r{number % 7}"}), 0)
    loop.ask(CreateRollout(replace(plan(), waves=(1.0,))))
    loop.run(10 * SECOND)
    offered = {publish.topic for publish in loop.published if publish.kind == "want"}
    assert len(offered) == 10_000
    assert loop.core.overview().outbox_rows == 0
    loop.core.validate()


def test_the_batch_of_a_wait_repeats_no_reason():
    chart = Chart()
    chart >> stimuli.Started(1) >> stimuli.BrokerUp(session_present=False) >> bundle()
    chart >> CreateRollout(plan(waves=(1.0,)))
    assert chart.notes() == [notes.ROLLOUT_WAITING]
    chart.wait(30 * SECOND)
    assert chart.left == [], "it says the same reason every ten seconds"


def test_factory_state_is_for_devices_that_fit_and_have_no_want():
    chart = Chart()
    chart >> bundle("gauge@1.0.0", hardware=("pi",)) >> bundle("gauge@1.1.0")
    chart.enroll("jetson", {"region": "eu", "hardware": "jetson"})
    chart.enroll("pi")
    chart >> CreateRollout(plan("r1", waves=(1.0,)))
    chart >> factory()
    chart.enroll("late-jetson", {"region": "eu", "hardware": "jetson"})
    assert chart.twin("pi").purpose == "update", "a want was overwritten by a belief"
    assert chart.twin("jetson").purpose == "update"
    assert chart.twin("late-jetson").rollout == "r1"


def test_members_that_others_took_are_left_alone_by_a_revert():
    chart = Chart.with_fleet(8, SMALL_PAGES)
    chart >> bundle("other@1.0.0") >> CreateRollout(plan("r1", waves=(1.0,)))
    chart.wait(0)
    chart >> stimuli.SteerRollout("r1", "abort-revert")
    chart >> CreateRollout(plan("r2", "other@1.0.0", waves=(1.0,)))
    chart.wait(0)
    assert chart.rollout("r2").waves[0].offered == 8
    assert {chart.twin(f"d00{n}").rollout for n in range(8)} == {"r2"}
