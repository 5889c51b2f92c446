"""Windows in, allocations, stops and promotions out; what survives a crash."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from devicesdk.sketches.histogram import pack
from devicesdk.wire import codec
from devicesdk.wire.messages import Event, Telemetry, UpdateState
from devicesdk.wire.timebase import MINUTE, MS, SECOND
from gateway.core import notes as core_notes
from gateway.core.collect.limits import CollectLimits
from gateway.core.effects import Note, Persist, Publish
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments import notes, rows
from gateway.core.experiments.limits import ExperimentLimits
from gateway.core.gateway import GatewayConfig
from gateway.core.stimuli import (
    Arrived,
    CreateExperiment,
    DeadlineReached,
    Enroll,
    Started,
    SteerExperiment,
)
from tests_kit.gateway_charts import Chart, bundle, digest_of, flags_of, new_gateway

OLD, NEW = digest_of("gauge@1.0.0"), digest_of("gauge@1.1.0")
PLAN = ExperimentPlan("e1", "gauge@1.1.0", "gauge@1.0.0", "bandit", jitter_ms=0, look_ns=MINUTE)
TALKATIVE = GatewayConfig(collect=CollectLimits(witness_burst_max=10**6))
"""One device of these tests speaks for a fleet, and all at once."""
LATENCY = pack([0] * 5 + [4] + [0] * 10)


class Stage:
    """A fleet with an experiment, and its telemetry."""

    def __init__(self, devices=3, config=None, **fields):
        self.chart = Chart.with_fleet(devices, config or TALKATIVE)
        self.seqs = {}
        self.chart >> CreateExperiment(replace(PLAN, **fields))
        self.flags = []
        self._remember()

    def window(self, bundle=NEW, errors=0, shadow=(), device="d000", again=False):
        seq = self.seqs[device] = self.seqs.get(device, 0) + (not again)
        failed = {"not-finite": errors} if errors else {}
        message = Telemetry(
            boot_id=1, seq=seq, bundle=bundle[:8], frames=4, latency=LATENCY, errors=failed,
            shadow=shadow,
        )  # fmt: skip
        self.chart >> Arrived("tel", device, codec.encode(message))
        return self._remember()

    def windows(self, good=0, bad=0, production=0, shadow=None):
        for _ in range(good):
            self.window(shadow=shadow or ())
        for _ in range(bad):
            self.window(errors=4)
        for _ in range(production):
            self.window(OLD)
        return self

    def look(self):
        self.chart.wait(MINUTE)
        return self._remember()

    def _remember(self):
        for publish in self.chart.all(Publish, kind="flags"):
            document = json.loads(flags_of(publish.payload).document)
            self.flags.append(document["flags"]["experiment.e1"])
        return self

    @property
    def view(self):
        return self.chart.machine.experiment_views()[0]

    @property
    def weights(self):
        return [f["targeting"]["fractional"][0][1] for f in self.flags if "targeting" in f]

    @property
    def mode(self):
        return self.flags[-1]["defaultVariant"]


def test_a_bandit_begins_with_one_percent_and_says_so_in_the_flag():
    stage = Stage()
    assert stage.weights == [100]
    assert stage.flags[0]["variants"]["candidate"]["bundle"] == NEW.hex()
    assert (stage.view.share, stage.view.cap, stage.view.state) == (0.01, 0.01, "running")


def test_exposure_doubles_look_by_look_and_never_faster():
    stage, caps = Stage(promote="manual"), []
    for _ in range(8):
        stage.windows(good=12, production=12).look()
        caps.append(stage.view.cap)
    assert caps == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0])
    for weight, cap in zip(stage.weights[1:], caps, strict=False):
        assert weight <= 10_000 * cap


def test_a_silent_candidate_is_not_given_to_the_whole_fleet():
    stage = Stage()
    for _ in range(12):
        stage.windows(production=5).look()
    assert stage.view.cap == 0.08


def test_the_brake_stops_in_the_batch_of_the_window_that_tips_it():
    stage = Stage()
    while stage.view.state == "running":
        stage.window(errors=4)
        assert stage.view.bad < 20
    assert stage.mode == "stop"
    (told,) = stage.chart.all(Note, kind=notes.STOPPED)
    assert (told.a, told.b) == (stage.view.bad, stage.view.windows)
    assert "e-value" in told.subject
    assert stage.chart.rollout("e1").state == "halted"
    assert stage.view.share == 0.0
    before = stage.view
    stage.windows(bad=3, good=3).look()
    assert stage.view == before, "an experiment that ended went on"


def test_the_brake_speaks_in_productions_window_too_where_the_two_are_compared():
    stage = Stage(mode="interleaved", tolerated=0.5, freeze=20.0)
    stage.windows(bad=5, good=15)
    assert stage.view.state == "running", "too little is known of production"
    for _ in range(400):
        if stage.view.state != "running":
            break
        stage.window(OLD)
    assert stage.view.state == "stopped", "the candidate ran on although production is far better"
    assert stage.mode == "stop"
    assert stage.view.windows == 20


def test_the_wrong_way_freezes_at_once_and_thaws_at_a_look():
    stage = Stage(promote="manual")
    for _ in range(4):
        stage.windows(good=20, production=40).look()
    assert stage.view.cap == pytest.approx(0.16)
    while not stage.view.frozen:
        stage.window(errors=4)
    assert stage.weights[-1] == 100, "the share did not fall to where it began"
    assert stage.view.cap == pytest.approx(0.16)
    stage.look()
    assert stage.view.frozen
    assert stage.view.cap == pytest.approx(0.16)
    stage.windows(good=400).look()
    assert not stage.view.frozen
    assert stage.view.cap == pytest.approx(0.32)


def test_a_candidate_that_has_shown_to_be_good_is_promoted_with_its_evidence():
    stage = Stage(tolerated=0.1)
    for _ in range(9):
        stage.windows(good=20, production=20).look()
    assert stage.view.state == "promoted"
    assert stage.mode == "promote"
    assert "e-value" in stage.view.why
    assert stage.chart.rollout("e1").state != "halted"


def test_promotion_may_be_left_to_an_operator():
    stage = Stage(tolerated=0.1, promote="manual")
    for _ in range(9):
        stage.windows(good=20, production=20).look()
    assert stage.view.state == "running"
    stage.chart >> SteerExperiment("e1", "promote")
    stage._remember()
    assert (stage.view.state, stage.view.why, stage.mode) == (
        "promoted",
        "by an operator",
        "promote",
    )


def test_an_operator_freezes_thaws_and_stops():
    stage = Stage(promote="manual")
    stage.windows(good=10, production=10).look()
    stage.chart >> SteerExperiment("e1", "freeze")
    stage._remember().windows(good=10).look()
    assert (stage.view.frozen, stage.view.cap, stage.weights[-1]) == (True, 0.02, 100)
    stage.chart >> SteerExperiment("e1", "thaw")
    stage.windows(good=10).look()
    assert (stage.view.frozen, stage.view.cap) == (False, 0.04)
    stage.chart >> SteerExperiment("e1", "stop")
    assert stage._remember().mode == "stop"
    stage.chart >> SteerExperiment("e1", "thaw")
    assert stage.chart.notes() == [core_notes.EXPERIMENT_REFUSED]
    stage.chart >> SteerExperiment("nobody", "stop")
    assert stage.chart.notes() == [core_notes.EXPERIMENT_REFUSED]


def test_a_shadow_counts_disagreement_and_who_failed_alone():
    stage = Stage(mode="shadow", share=0.5)
    assert stage.weights == [5_000]
    stage.window(shadow=(4, 0, 0, 0))
    stage.window(shadow=(4, 2, 1, 0))
    stage.window()
    stage.window(OLD)
    view = stage.view
    assert (view.windows, view.bad, view.production_windows) == (2, 1, 1)
    while stage.view.state == "running":
        stage.window(shadow=(4, 4, 4, 0))
    assert stage.view.windows < 15


def test_a_shadow_that_agrees_is_promoted_at_a_look():
    stage = Stage(mode="shadow", tolerated=0.1)
    stage.windows(good=100, shadow=(4, 0, 0, 0)).look()
    assert (stage.view.state, stage.mode) == ("promoted", "promote")


def test_interleaved_arms_are_compared_with_each_other():
    stage = Stage(mode="interleaved", tolerated=0.5)
    stage.windows(production=300)
    while stage.view.state == "running":
        stage.window(errors=4)
        stage.windows(good=3)
        assert stage.view.bad < 60
    assert stage.view.bad / stage.view.windows < 0.5, "it was stopped for less than is tolerated"


def test_windows_of_other_bundles_and_repetitions_are_not_counted():
    stage = Stage()
    stage.window(digest_of("other"))
    stage.window()
    stage.window(again=True)
    assert (stage.view.windows, stage.view.production_windows) == (1, 0)


def test_bounds_hold():
    config = GatewayConfig(experiments=ExperimentLimits(running_max=1))
    stage = Stage(config=config)
    stage.chart >> CreateExperiment(replace(PLAN, id="e2"))
    assert notes.REFUSED in stage.chart.notes()
    assert stage.chart.rollout("e2").state == "halted"
    assert len(stage.chart.machine.experiment_views()) == 1


def test_frozen_with_nobody_left_to_learn_from_is_the_end():
    stage = Stage()
    stage.windows(good=3, bad=1, production=50)
    assert stage.view.frozen
    stage.look()
    for _ in range(3):
        stage.look()
        assert stage.view.state == "running"
    stage.look()
    assert (stage.view.state, stage.mode) == ("stopped", "stop")
    assert "no device is left" in stage.view.why


def test_a_window_keeps_a_frozen_experiment_open():
    stage = Stage()
    stage.windows(good=3, bad=1, production=50)
    for _ in range(8):
        stage.look().window(errors=0)
        stage.window(errors=4)
        if stage.view.state != "running":
            break
    assert "no device is left" not in stage.view.why


def test_an_operators_freeze_may_last():
    stage = Stage()
    stage.chart >> SteerExperiment("e1", "freeze")
    for _ in range(8):
        stage.look()
    assert (stage.view.state, stage.view.frozen) == ("running", True)


def test_the_word_of_those_that_did_not_fall_back_promotes_nothing():
    for fallen, state in ((0, "promoted"), (1, "promoted"), (4, "stopped")):
        stage = Stage(devices=10, mode="interleaved", tolerated=0.1)
        for number in range(10):
            device = f"d{number:03}"
            stage.chart.have(device, generation=1, running=OLD, state=UpdateState.STAGED)
        for number in range(fallen):
            event = Event(
                boot_id=1, seq=50, kind="experiment", deployment="e1", reason="guard:errors",
                digest=NEW,
            )  # fmt: skip
            for _ in range(2):
                stage.chart >> Arrived("ev", f"d{number:03}", codec.encode(event))
                durable = [e.row for e in stage.chart.all(Persist, table=rows.EXPERIMENT)]
            assert not durable, "told twice, counted twice"
        stage.windows(good=60, production=60).look()
        assert stage.view.state == state, f"{fallen} of 10 fell back: {stage.view.why}"


def test_a_device_that_never_held_the_candidate_cannot_have_given_it_up():
    stage = Stage(devices=10, mode="interleaved", tolerated=0.1, selector=(("region", "eu"),))
    for number in range(10):
        device = f"d{number:03}"
        stage.chart.have(device, generation=1, running=OLD, state=UpdateState.STAGED)
    left = Event(boot_id=1, seq=50, kind="experiment", deployment="e1", reason="guard:errors")
    for number in range(10, 16):
        stage.chart >> Enroll(f"d{number:03}", {"region": "us"})
        stage.chart >> Arrived("ev", f"d{number:03}", codec.encode(left))
    stage.windows(good=60, production=60).look()
    assert stage.view.state == "promoted", f"strangers fell back: {stage.view.why}"


class Process:
    """A gateway whose rows outlive it."""

    def __init__(self):
        self.rows, self.now, self.core = {}, 0, None
        self.start()
        self.tell(bundle("gauge@1.0.0"), bundle("gauge@1.1.0"), Enroll("d000", {}))
        self.tell(CreateExperiment(replace(PLAN, promote="manual")))

    def start(self):
        self.core = new_gateway()
        self.core.restore([(*key, row) for key, row in self.rows.items()], self.now)
        self.tell(Started(1_700_000_000_000 + self.now // MS))

    def tell(self, *stimuli):
        for stimulus in stimuli:
            self.commit(self.core.handle(stimulus, self.now))
            self.core.validate()

    def commit(self, effects):
        for effect in effects:
            if isinstance(effect, Persist):
                self.rows[effect.table, effect.key] = effect.row
        self.rows = {key: row for key, row in self.rows.items() if row is not None}


def test_each_window_is_counted_once_whatever_comes_between():
    """Group commits with and without acknowledgements, looks, and crashes, out of step with each other."""
    process, unacknowledged, sent = Process(), [], 200
    for seq in range(1, sent + 1):
        process.now += SECOND
        body = Telemetry(
            boot_id=1, seq=seq, bundle=(NEW if seq % 3 else OLD)[:8], frames=4, latency=LATENCY,
            errors={"not-finite": 4} if seq % 40 == 1 else {},
        )  # fmt: skip
        message = Arrived("tel", "d000", codec.encode(body))
        unacknowledged.append(message)
        process.tell(message)
        if seq % 7 == 3:
            process.commit(process.core.checkpoint(process.now))
            unacknowledged = unacknowledged if seq % 2 else []
        if seq % 11 == 5:
            process.tell(DeadlineReached())
        if seq % 13 == 8:
            process.start()
            process.tell(*unacknowledged)
    view = process.core.experiment_views()[0]
    counted = view.windows + view.production_windows
    assert counted == sent, f"{sent} windows were sent, {counted} counted"
    assert view.production_windows == sent // 3


def test_a_restart_goes_on_where_it_was():
    process = Process()
    due, views = process.core.deadline(), process.core.experiment_views()
    process.start()
    assert (process.core.deadline(), process.core.experiment_views()) == (due, views)
    process.now += MINUTE
    process.tell(DeadlineReached())
    assert process.core.experiment_views()[0].looks == 1
