"""The verbs of people."""

from __future__ import annotations

from devicesdk.wire.messages import UpdateState as S
from devicesdk.wire.timebase import HOUR, MINUTE
from gateway.core import notes
from gateway.core.control.control import Control
from gateway.core.effects import Note
from gateway.core.gateway import GatewayConfig
from gateway.core.internal import Paused
from gateway.core.limits import ControlLimits
from gateway.core.stimuli import CreateRollout, Enroll, SteerRollout
from tests_kit.gateway_charts import Chart, PlainSigner, bundle, digest_of, plan

NEW, OLD = digest_of("gauge@1.1.0"), digest_of("gauge@1.0.0")


def started(count=8, config=None, **fields):
    chart = Chart.with_fleet(count, config)
    return chart >> CreateRollout(plan(**{"waves": (0.25, 1.0), **fields}))


def steer(chart, verb, name="r1"):
    return chart >> SteerRollout(name, verb)


def refused(chart):
    return [note.subject for note in chart.all(Note, kind=notes.STEER_REFUSED)]


def test_a_paused_rollout_stands_still_and_its_clocks_with_it():
    chart = started(wave_timeout_ns=HOUR)
    members = sorted(chart.wants())
    chart.commit(members[0])
    chart.wait(HOUR // 2)
    steer(chart, "pause")
    assert chart.rollout().state == "paused"
    chart.commit(members[1])
    chart.wait(5 * HOUR)
    assert len(chart.rollout().waves) == 1, "it went on while it was paused"
    steer(chart, "resume")
    chart.wait(MINUTE)
    assert [wave.verdict for wave in chart.rollout().waves] == ["passed", ""]


def test_the_soak_that_was_interrupted_is_finished():
    chart = started()
    for device in sorted(chart.wants()):
        chart.commit(device)
    chart.wait(MINUTE // 2)
    steer(chart, "pause").wait(HOUR)
    steer(chart, "resume").wait(MINUTE // 2 - 1)
    assert len(chart.rollout().waves) == 1
    assert len(chart.wait(1).rollout().waves) == 2


def test_serving_stops_with_a_pause():
    chart = Chart(Control(ControlLimits(), PlainSigner(), PlainSigner()))
    chart >> bundle() >> Enroll("d1", {}) >> CreateRollout(plan(waves=(1.0,)))
    steer(chart, "pause") << (Paused, {"deployment": "r1", "paused": True})
    steer(chart, "resume") << (Paused, {"deployment": "r1", "paused": False})


def test_the_gate_still_watches_a_paused_rollout():
    chart = started(40)
    members = sorted(chart.wants())
    steer(chart, "pause")
    for device in members[:2]:
        chart.ev(device, S.FAILED, "validation", generation=1)
    assert chart.rollout().state == "halted"


def test_devices_enrolled_during_a_pause_of_the_last_wave_join_it():
    chart = started(4, waves=(1.0,))
    steer(chart, "pause")
    chart.enroll("late")
    assert chart.wants() == {}
    steer(chart, "resume")
    assert "late" in chart.wait(0).wants()
    assert chart.rollout().waves[0].size == 5


def test_abort_keep_leaves_commits_and_stops_the_rest():
    chart = started()
    first, second = sorted(chart.wants())
    chart.commit(first)
    steer(chart, "abort-keep")
    (want,) = chart.wants().values()
    assert (want.device, want.hold) == (second, True)
    assert (chart.rollout().state, chart.rollout().waves[0].stopped) == ("aborted", 1)
    assert chart.wait(HOUR).wants() == {}
    assert "not to have ended" in refused(steer(chart, "abort-keep"))[0]


def test_abort_revert_brings_everybody_back_also_after_completion_or_a_hold():
    chart = started(2, waves=(1.0,))
    for device in ("d000", "d001"):
        chart.commit(device)
    chart.wait(MINUTE)
    assert chart.rollout().state == "completed"
    steer(chart, "abort-revert")
    assert {want.manifest for want in chart.wants().values()} == {OLD}
    held = started()
    steer(held, "abort-keep")
    assert {want.manifest for want in steer(held, "abort-revert").wants().values()} == {OLD}
    assert "reverted" in held.rollout().why


def test_a_revert_that_runs_is_not_begun_again():
    config = GatewayConfig(control=ControlLimits(page_devices=1))
    chart = started(8, config)
    chart.wait(0)
    steer(chart, "abort-revert")
    assert "already" in refused(steer(chart, "abort-revert"))[0]
    assert "being stopped" in refused(steer(chart, "retry"))[0]
    chart.wait(0)
    assert chart.rollout().waves[0].offered == 2


def test_retry_of_a_halted_rollout_begins_with_its_canary_and_new_evidence():
    chart = started(40)
    members = sorted(chart.wants())
    for device in members[:2]:
        chart.ev(device, S.FAILED, "validation", generation=1)
    for device in members[2:]:
        chart.have(device, generation=2, running=OLD)
    steer(chart, "retry")
    again = chart.wants()
    assert len(again) == 9, "1/4 of the 38 that may still have it"
    assert not set(members[:2]) & set(again)
    view = chart.rollout()
    assert (view.state, len(view.waves), view.waves[1].e_value) == ("running", 2, 1.0)
    chart.ev(sorted(again)[0], S.FAILED, "validation", generation=3)
    assert chart.rollout().state == "running", "old evidence was counted again"


def test_retry_of_a_complete_rollout_offers_again_to_whoever_failed():
    chart = started(10, waves=(1.0,))
    for number in range(9):
        chart.commit(f"d00{number}")
    for generation in (1, 2, 3, 4):
        chart.ev("d009", S.FAILED, "link", generation=generation)
    chart.wait(MINUTE)
    assert (chart.rollout().state, chart.rollout().waves[0].failed) == ("completed", 1)
    steer(chart, "retry")
    (want,) = chart.wants().values()
    assert (want.device, want.generation, want.attempt) == ("d009", 5, 0)
    chart.commit("d009", generation=5)
    chart.wait(MINUTE)
    assert chart.rollout().state == "completed"


def test_verbs_that_do_not_fit_change_nothing():
    chart = started()
    before = chart.rollout()
    tries = (("resume", "r1"), ("retry", "r1"), ("pause", "nobody"), ("pause", "factory"))
    said = [refused(steer(chart, verb, name))[0] for verb, name in tries]
    assert chart.rollout() == before
    for word, refusal in zip(("paused", "ended", "not known", "factory"), said, strict=True):
        assert word in refusal
    steer(chart, "pause")
    assert "expected it to run" in refused(steer(chart, "pause"))[0]


def test_a_rollout_can_be_retried_only_so_often():
    chart = started(2, GatewayConfig(control=ControlLimits(waves_max=2)))
    steer(chart, "abort-keep")
    assert "at most 2" in refused(steer(chart, "retry"))[0]
