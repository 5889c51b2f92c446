"""A candidate beside production: staged, taking turns by flag, promoted or dropped by flag."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import (
    Activate,
    CutBurst,
    HashFile,
    Publish,
    RunKit,
    RunModel,
    Save,
    StandBy,
)
from devicesdk.agent.experiments import experiments_in
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.snapshot import decode_state
from devicesdk.agent.stimuli import Arrived, Conditions, ConditionsChanged, FileHashed, KitRan
from devicesdk.wire.messages import UpdatePolicy, UpdateState
from devicesdk.wire.timebase import MINUTE
from tests_kit.agent_bundles import Bundle, document_of, experiment_flag, flags_of, kill_of
from tests_kit.agent_charts import (
    Agents,
    Rows,
    acknowledge,
    connect,
    frames_ran,
    sent,
    stage,
    want_arrives,
)
from tests_kit.charts import DUE, SILENCE, After, Asks, Never

OLD, NEW, THIRD = Bundle(1), Bundle(2), Bundle(3)
CONFIG = AgentConfig(window_ns=MINUTE)


def staged(agents=None, **fields):
    """A device that rests with NEW beside OLD; production's burst runs."""
    chart = want_arrives((agents or Agents(OLD, CONFIG)).online(), NEW, stage=True, **fields)
    stage(chart, NEW)
    while not bursts(chart):
        chart >> DUE
    return acknowledge(chart)


def flag(chart, rev=1, bundle=NEW, **fields):
    return chart >> Arrived(
        "flags", flags_of(rev, document_of(experiment_e1=experiment_flag(bundle, **fields)))
    )


def bursts(chart):
    return [effect for effect in chart.all if isinstance(effect, RunModel)]


def over(chart, **fields):
    """The burst that runs ends after its full length."""
    burst = bursts(chart)[-1]
    chart >> After(burst.frames * burst.period_ns)
    return chart >> frames_ran(burst.burst, burst.frames, **fields)


def cut(chart):
    """Answer the cut of the burst that runs."""
    return chart >> frames_ran(bursts(chart)[-1].burst, 1)


def reported(chart):
    acknowledge(chart)
    have = sent(chart, "have")[-1]
    return have.state, have.reason, have.running, have.trial


def events(chart):
    return [event.state for event in sent(chart, "ev") if event.kind == "update"]


# -- staged beside ------------------------------------------------------------------------------------


def test_a_stage_only_want_rests_beside_what_runs():
    chart = staged()
    assert reported(chart) == (UpdateState.STAGED, "", OLD.digest, False)
    assert events(chart)[-1] is UpdateState.STAGED
    assert not [e for e in chart.all if isinstance(e, Activate) and e.manifest == NEW.digest]
    assert not [e for e in chart.all if isinstance(e, StandBy)], "no flag asked for it"
    chart >> ConditionsChanged(Conditions(battery_percent=5, plugged=False))
    chart << SILENCE


def test_a_following_want_for_something_else_supersedes_it():
    chart = flag(staged())
    cut(chart)
    assert bursts(chart)[-1].slot == "b"
    want_arrives(chart, THIRD, 2)
    chart << Asks(CutBurst) << Never(RunModel)
    assert UpdateState.SUPERSEDED in events(acknowledge(chart))
    cut(chart) << Asks(RunModel, slot="a")


def test_the_same_bundle_wanted_for_good_goes_on_trial_without_a_byte_fetched():
    chart = want_arrives(staged(), NEW, 2)
    chart << Asks(HashFile) << Never(Publish, kind="get")
    chart >> FileHashed("slot-b", decode_state(chart.machine.snapshot()).b.image)
    chart >> KitRan("b", True, "", 3, 12_000)
    (
        chart
        << Asks(Save, file="state", data=lambda d: decode_state(d).trial)
        << Asks(Activate, slot="b")
    )


def test_after_a_boot_production_runs_and_the_candidate_is_judged_again_first():
    agents = Agents(OLD, CONFIG)
    first = flag(staged(agents))
    saved = first.machine.snapshot()
    chart = agents.boot(saved)
    chart << Asks(Activate, slot="a", manifest=OLD.digest)
    assert not [e for e in chart.all if isinstance(e, StandBy)]
    digest = decode_state(saved).b.image
    chart >> FileHashed("slot-b", digest)
    chart << Asks(RunKit, slot="b") << Never(StandBy)
    chart >> KitRan("b", True, "", 3, 12_000)
    chart << Asks(StandBy, slot="b", manifest=NEW.digest)


def test_a_candidate_that_rotted_on_storage_is_fetched_again_and_not_run():
    agents = Agents(OLD, CONFIG)
    saved = flag(staged(agents)).machine.snapshot()
    chart = agents.online(saved) >> FileHashed("slot-b", b"\0" * 32)
    assert not decode_state(chart.machine.snapshot()).b.verified
    assert not [e for e in chart.all if isinstance(e, StandBy)]


# -- turns --------------------------------------------------------------------------------------------


def test_a_bandit_runs_every_burst_of_its_devices_from_the_inactive_slot():
    chart = flag(staged())
    chart << Asks(StandBy, slot="b", manifest=NEW.digest) << Never(CutBurst)
    over(chart) << Asks(RunModel, slot="b", shadow="")
    over(chart) << Asks(RunModel, slot="b", shadow="")
    window = sent(acknowledge(chart), "tel")[-1]
    assert window.bundle == NEW.digest[:8]
    assert reported(chart)[2] == OLD.digest, "nothing was activated"


def test_interleaved_bursts_take_turns():
    chart = flag(staged(), mode="interleaved")
    slots = []
    cut(chart)
    for _ in range(4):
        slots.append(bursts(chart)[-1].slot)
        over(chart)
    assert slots == ["b", "a", "b", "a"]


def test_a_shadow_sees_the_same_frames_and_only_counts_are_told():
    chart = flag(staged(), mode="shadow")
    cut(chart) << Asks(RunModel, slot="a", shadow="b")
    over(chart, shadow=Rows(bursts(chart)[-1].frames, 900))
    served, shadow = sent(acknowledge(chart), "tel")[-2:]
    assert (served.bundle, served.shadow) == (OLD.digest[:8], ())
    frames = served.frames
    assert (shadow.bundle, shadow.shadow) == (NEW.digest[:8], (frames, frames, 0, 0))
    assert shadow.seq == served.seq + 1


def test_a_shadow_decides_nothing():
    chart = flag(staged(), mode="shadow")
    cut(chart)
    frames = bursts(chart)[-1].frames
    over(chart, shadow=Rows(frames, 1000))
    assert not chart.machine._work.alarm
    assert not [e for e in sent(chart, "ev") if e.kind == "alarm"]


@pytest.mark.parametrize(
    "flags",
    [
        {"experiment_e1": experiment_flag(NEW, arm="production")},
        {"experiment_e1": experiment_flag(THIRD)},
        {"experiment_e1": experiment_flag(NEW) | {"state": "DISABLED"}},
        {"experiment_e1": experiment_flag(NEW, mode="unheard-of")},
        {"experiment_e1": experiment_flag(NEW) | {"variants": {"v": "word"}}},
        {"other": experiment_flag(NEW)},
    ],
)
def test_what_is_not_this_devices_part_changes_nothing(flags):
    chart = staged() >> Arrived("flags", flags_of(1, document_of(**flags)))
    chart << Never(StandBy) << Never(CutBurst)
    assert chart.machine._work.arm is None


def test_the_same_part_in_a_newer_document_interrupts_nothing():
    chart = flag(staged())
    cut(chart)
    flag(chart, rev=2) << Never(CutBurst) << Never(StandBy)
    flag(chart, rev=3, arm="production") << Asks(CutBurst)
    cut(chart) << Asks(RunModel, slot="a")


def test_an_unstaged_device_ignores_its_part_until_it_is_staged():
    chart = flag(Agents(OLD, CONFIG).online())
    chart << Never(StandBy)
    want_arrives(chart, NEW, stage=True)
    stage(chart, NEW) << Asks(StandBy, slot="b")


# -- guardrails and kills -----------------------------------------------------------------------------


def test_a_candidate_that_fails_falls_back_at_once_and_for_good():
    agents = Agents(OLD, CONFIG)
    chart = flag(staged(agents), errors_permille_max=200)
    cut(chart)
    over(chart, error=1)
    chart << Asks(Save, file="state", data=lambda d: decode_state(d).fell_back == NEW.digest)
    chart << Asks(RunModel, slot="a")
    told = [e for e in sent(acknowledge(chart), "ev") if e.kind == "experiment"]
    assert [(e.reason, e.deployment, e.digest) for e in told] == [
        ("guard:errors", "e1", NEW.digest)
    ]
    flag(chart, rev=2) << Never(StandBy)
    again = agents.online(chart.machine.snapshot())
    again >> FileHashed("slot-b", decode_state(chart.machine.snapshot()).b.image)
    again >> KitRan("b", True, "", 3, 12_000)
    again << Never(StandBy)


def test_a_kill_of_the_experiment_ends_it_at_once():
    chart = flag(staged())
    cut(chart)
    chart >> Arrived("kill", kill_of(1, "experiment.e1"))
    chart << Asks(CutBurst)
    cut(chart) << Asks(RunModel, slot="a")
    chart >> Arrived("kill", kill_of(2))
    chart << Asks(StandBy, slot="b")


def test_a_kill_of_inference_stops_the_candidate_too():
    chart = flag(staged())
    cut(chart)
    chart >> Arrived("kill", kill_of(1, "gauge"))
    chart << Asks(CutBurst)
    cut(chart) << Never(RunModel)


# -- the end ------------------------------------------------------------------------------------------


def test_promotion_by_flag_is_a_trial_with_its_marker_first_and_no_byte_fetched():
    chart = flag(staged())
    cut(chart)
    flag(chart, rev=2, mode="promote")
    chart << Asks(CutBurst) << Asks(Save, file="state", data=lambda d: decode_state(d).trial)
    chart << Asks(Activate, slot="b", manifest=NEW.digest)
    assert not [e for e in chart.left if isinstance(e, Publish) and e.kind == "get"]
    cut(chart)
    over(chart)
    assert reported(chart) == (UpdateState.COMMITTED, "", NEW.digest, False)
    assert decode_state(chart.machine.snapshot()).committed == "b"


def test_a_promoted_candidate_that_fails_its_trial_is_rolled_back_and_banned():
    chart = flag(staged(), mode="promote")
    cut(chart)
    over(chart, error=1)
    assert reported(chart) == (UpdateState.ROLLED_BACK, "runtime:errors", OLD.digest, False)
    assert decode_state(chart.machine.snapshot()).bad[0].banned
    flag(chart, rev=2, mode="promote") << Never(Activate)


def test_promotion_waits_for_what_the_wants_policy_asks():
    policy = UpdatePolicy(plugged=True, trial_ms=5_000)
    chart = staged(policy=policy)
    chart >> ConditionsChanged(Conditions(plugged=False))
    flag(chart, mode="promote") << Never(Activate)
    assert reported(chart)[:2] == (UpdateState.WAITING, "power")
    chart >> ConditionsChanged(Conditions(plugged=True))
    chart << Asks(Activate, slot="b")


def test_a_stop_by_flag_drops_the_candidate_also_while_its_promotion_waits():
    for waiting in (False, True):
        chart = staged(policy=UpdatePolicy(plugged=True))
        if waiting:
            chart >> ConditionsChanged(Conditions(plugged=False))
            flag(chart, mode="promote")
        flag(chart, rev=2, mode="stop")
        assert reported(chart)[:2] == (UpdateState.CANCELED, "experiment")
        assert not decode_state(chart.machine.snapshot()).b.verified
        chart >> ConditionsChanged(Conditions(plugged=True))
        assert not [e for e in chart.all if isinstance(e, Activate) and e.slot == "b"]


def test_a_device_that_fell_back_does_not_take_the_promotion():
    chart = flag(staged(), errors_permille_max=0)
    cut(chart)
    over(chart, error=1)
    flag(chart, rev=2, mode="promote") << Never(Activate)
    assert reported(chart)[:2] == (UpdateState.CANCELED, "experiment")


def test_power_gone_in_the_promotions_trial_ends_like_any_trial():
    agents = Agents(OLD, CONFIG)
    chart = flag(staged(agents), mode="promote")
    chart = agents.boot(chart.machine.snapshot())
    chart << Asks(Activate, slot="b")
    chart = agents.boot(chart.machine.snapshot())
    chart << Asks(Activate, slot="a")
    connect(chart)
    assert reported(chart)[:2] == (UpdateState.ROLLED_BACK, "runtime:reboot")


def test_names_are_found_once_a_document_and_in_order():
    document = document_of(experiment_b=experiment_flag(NEW), experiment_a={}, other={})
    assert experiments_in(document) == ("experiment.a", "experiment.b")
    assert experiments_in(document_of(other={})) == ()


def test_notes_tell_the_story():
    chart = flag(staged(), errors_permille_max=0)
    cut(chart)
    over(chart, error=1)
    kinds = [effect.kind for effect in chart.all if type(effect).__name__ == "Note"]
    parts = [kind for kind in kinds if kind.startswith("experiment_")]
    assert parts == [
        NoteKind.EXPERIMENT_JOINED,
        NoteKind.EXPERIMENT_FELL_BACK,
        NoteKind.EXPERIMENT_LEFT,
    ]
