"""The rollout that stages a candidate, from the first want to the last word."""

from __future__ import annotations

from msgspec.structs import replace

from devicesdk.wire.messages import UpdateState as S
from gateway.core import notes
from gateway.core.control import stagings
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.internal import Internal
from gateway.core.stimuli import CreateExperiment, CreateRollout, SteerExperiment
from tests_kit.gateway_charts import Chart, digest_of, plan

OLD, NEW = digest_of("gauge@1.0.0"), digest_of("gauge@1.1.0")
PLAN = ExperimentPlan("e1", "gauge@1.1.0", "gauge@1.0.0", "bandit", jitter_ms=0)


def begun(devices=3, **fields):
    chart = Chart.with_fleet(devices)
    return chart >> CreateExperiment(replace(PLAN, **fields))


def rests(chart, device, generation=1):
    return chart.have(device, generation=generation, running=OLD, state=S.STAGED)


def test_an_experiment_asks_its_devices_to_stage_only():
    chart = begun()
    wants = chart.wants()
    assert sorted(wants) == ["d000", "d001", "d002"]
    assert all(want.stage and want.manifest == NEW for want in wants.values())
    assert not chart.all(Internal)


def test_an_ordinary_rollout_does_not():
    chart = Chart.with_fleet(1) >> CreateRollout(plan(waves=(1.0,)))
    assert not chart.wants()["d000"].stage


def test_a_device_that_rests_has_ended_well_and_the_rollout_completes():
    chart = begun()
    for device in ("d000", "d001", "d002"):
        rests(chart, device)
        assert notes.STAGED in chart.notes()
        assert chart.twin(device).outcome == "staged"
    chart.wait(2 * PLAN.soak_ns)
    view = chart.rollout("e1")
    assert (view.state, view.waves[0].staged, view.waves[0].committed) == ("completed", 3, 0)
    rests(chart, "d000")
    assert chart.notes() == [], "told twice, counted twice"


def test_a_promotion_moves_it_to_committed_and_a_bad_trial_to_rolled_back():
    chart = begun(2)
    for device in ("d000", "d001"):
        rests(chart, device)
    chart.have("d000", generation=1, running=NEW, trial=True, state=S.TRIAL)
    chart.commit("d000")
    chart.have("d001", generation=1, running=OLD, state=S.ROLLED_BACK, reason="runtime:errors")
    wave = chart.rollout("e1").waves[0]
    assert (wave.staged, wave.committed, wave.rolled_back) == (0, 1, 1)
    assert NEW.hex() in chart.twin("d001").quarantine


def test_a_stopped_experiment_stages_nobody_more_and_holds_whoever_is_in_flight():
    chart = begun(3, waves=(0.4, 1.0))
    rests(chart, next(iter(chart.wants())))
    chart >> SteerExperiment("e1", "stop")
    assert chart.rollout("e1").state == "halted"
    chart.wait(10 * PLAN.soak_ns)
    assert not [want for want in chart.wants().values() if not want.hold]


def test_a_device_that_cannot_stage_it_counts_as_for_any_rollout():
    chart = begun(4)
    for number in range(4):
        chart.have(
            f"d{number:03}",
            generation=1,
            running=OLD,
            state=S.FAILED,
            reason="validation:deviation",
        )
    assert chart.rollout("e1").state == "halted"


def test_names_that_nobody_knows_and_ids_that_are_taken_are_refused():
    for wrong in ({"bundle": "gauge@9.9.9"}, {"production": "nothing@1"}, {"share": 2.0}):
        chart = begun(1, **wrong)
        assert chart.notes() == [notes.EXPERIMENT_REFUSED], wrong
        assert not chart.machine.experiment_views()
    chart = Chart.with_fleet(1) >> CreateRollout(plan("e1", waves=(1.0,)))
    chart >> CreateExperiment(PLAN)
    assert chart.notes() == [notes.EXPERIMENT_REFUSED]


def test_asking_again_changes_nothing():
    chart = begun() >> CreateExperiment(PLAN)
    assert chart.left == []
    assert len(chart.machine.experiment_views()) == 1


def test_the_way_back_is_no_staging():
    assert stagings.staging(PLAN).stage
    assert stagings.staging(PLAN).on_halt == "hold"
