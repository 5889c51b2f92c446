"""Features that meet on one device: policy and experiments, privacy and whatever leaves the device."""

from __future__ import annotations

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import DropTaken, Publish, RunModel, TakeFrames
from devicesdk.agent.stimuli import Arrived, Conditions, ConditionsChanged, FramesTaken
from devicesdk.wire import topics
from devicesdk.wire.timebase import MINUTE
from tests_kit.agent_bundles import Bundle, document_of, experiment_flag, flags_of
from tests_kit.agent_charts import Agents, Rows, acknowledge, frames_ran, sent, stage, want_arrives
from tests_kit.charts import DUE, After, Asks, Never

OLD, NEW = Bundle(1), Bundle(2)
CONFIG = AgentConfig(window_ns=MINUTE, offload_consent=True)
DOUBT = {"rules": [{"name": "all"}], "fallback": {"confidence_bin_min": 11, "bursts_down": 1}}
"""Every frame of the rig has confidence bin 10: none is believed."""
DEFER = {
    "rules": [{"name": "wait", "when": {"plugged": False}, "use": {"path": "defer"}}, {"name": "run"}],
    "margin": {"hold_s": 0},
}  # fmt: skip
OFFLOAD = {"rules": [{"name": "ask", "use": {"path": "offload"}}]}


def flag(value):
    return {"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v"}


def both(policy, config=CONFIG, rev=1, **experiment):
    """A device with NEW staged beside OLD, whose flags hold a policy and an experiment."""
    chart = want_arrives(Agents(OLD, config).online(), NEW, stage=True)
    stage(chart, NEW)
    until(chart, RunModel)
    document = document_of(
        policy=flag(policy), offload=flag(True), experiment_e1=experiment_flag(NEW, **experiment)
    )
    acknowledge(chart) >> Arrived(topics.FLAGS, flags_of(rev, document))
    return cut(chart)


def until(chart, effect):
    while not [found for found in chart.left if isinstance(found, effect)]:
        chart >> DUE
    return acknowledge(chart)


def cut(chart):
    """Answer the cut of the burst that runs."""
    return chart >> frames_ran(burst(chart).burst, 1)


def burst(chart):
    return [effect for effect in chart.all if isinstance(effect, RunModel)][-1]


def over(chart, **fields):
    ends = burst(chart)
    chart >> After(ends.frames * ends.period_ns)
    return acknowledge(chart >> frames_ran(ends.burst, ends.frames, **fields))


def test_a_shadow_is_compared_with_what_was_served_also_where_none_of_it_is_believed():
    chart = both(DOUBT, mode="shadow")
    assert burst(chart).shadow == "b"
    frames = burst(chart).frames
    over(chart, shadow=Rows(frames, 900))
    shadow = sent(chart, "tel")[-1]
    assert (shadow.bundle, shadow.shadow) == (NEW.digest[:8], (frames, frames, 0, 0))


def test_a_candidates_frames_teach_the_policy_nothing_about_production():
    chart = both(DOUBT, mode="bandit")
    learnt = chart.machine._work._chooser.level
    for _ in range(3):
        assert burst(chart).slot == "b"
        over(chart, reading=950)
    assert chart.machine._work._chooser.level == learnt, "production is not what was poor"
    assert chart.machine._work.alarm, "what the candidate reads is acted on in its turn"


def test_a_candidate_is_not_blamed_for_frames_that_production_ran_late():
    chart = both(DEFER, mode="interleaved", errors_permille_max=100)
    assert burst(chart).slot == "b"
    over(chart, conditions=Conditions(plugged=False))
    asked = until(chart, TakeFrames).found(Asks(TakeFrames))
    chart >> After(asked.frames * asked.period_ns)
    chart >> FramesTaken(asked.burst, asked.frames, b"", Conditions(plugged=True))
    chart >> frames_ran(asked.burst, asked.frames, error=3)
    assert chart.machine._work.arm is not None, (
        "the candidate lost its turns for production's errors"
    )
    assert not [event for event in sent(chart, "ev") if event.kind == "experiment"]


def test_frames_that_were_taken_for_one_image_are_not_run_by_the_next():
    agents = Agents(OLD, CONFIG)
    chart = agents.online()
    chart >> Arrived(topics.FLAGS, flags_of(1, document_of(policy=flag(DEFER))), True)
    chart >> ConditionsChanged(Conditions(plugged=False))
    asked = until(chart, TakeFrames).found(Asks(TakeFrames))
    chart >> After(asked.frames * asked.period_ns)
    chart >> FramesTaken(asked.burst, asked.frames, b"", Conditions(plugged=False))
    assert len(chart.machine._work._elsewhere.waiting) == 1
    stage(want_arrives(chart, NEW), NEW)
    assert chart.machine._slots.trial is not None, "the update is not on trial"
    chart << Asks(DropTaken, burst=asked.burst)
    assert not chart.machine._work._elsewhere.waiting


# -- privacy ---------------------------------------------------------------------------------------------

PRIVATE = AgentConfig(window_ns=MINUTE, offload_consent=True, privacy=True)


def test_in_privacy_mode_no_shadow_runs_because_what_it_tells_would_be_exact():
    chart = both({"rules": [{"name": "all"}]}, PRIVATE, mode="shadow")
    assert burst(chart).shadow == ""
    over(chart, reading=100)
    assert not [window for window in sent(chart, "tel") if window.shadow]
    exact = [w for w in sent(chart, "tel") if w.confidence and not w.privacy_permille]
    assert not exact, "a histogram left the device without noise"


def test_in_privacy_mode_no_frame_leaves_the_device_whatever_consent_and_flags_say():
    chart = both(OFFLOAD, PRIVATE, arm="production")
    chart << Asks(RunModel) << Never(TakeFrames)
    assert burst(over(chart)).slot == "a"
    assert not [e for e in chart.all if isinstance(e, Publish) and e.kind == topics.ASK]


def test_in_privacy_mode_the_moved_bound_stays_at_home():
    policy = DOUBT | {"recalibration": {"shift_bins_max": 3, "frames_min": 20}}
    chart = both(policy, PRIVATE, arm="production")
    chart.machine._work._chooser.shift = 2
    over(chart)
    assert sent(chart, "tel")[-1].recalibration == 0, "it is a function of exact confidences"
