"""Inference: never before the kill list, one stimulus a window, every frame in one window."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import Act, Activate, CutBurst, Publish, RunModel, Save
from devicesdk.agent.stimuli import Arrived, DeadlineReached, Disconnected
from devicesdk.wire.timebase import HOUR, MINUTE, MS, SECOND
from tests_kit.agent_bundles import Bundle, flags_of, kill_of
from tests_kit.agent_charts import Agents, acknowledge, answer, connect, frames_ran, sent
from tests_kit.charts import DUE, SILENCE, After, Asks, Never

OLD = Bundle(1)
OFF = b'{"flags":{"gauge":{"state":"ENABLED","variants":{"off":false},"defaultVariant":"off"}}}'


def _working(config=None, **kwargs):
    """An online device whose first burst has just begun."""
    chart = Agents(OLD, config).online(**kwargs)
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    return chart


def test_a_boot_activates_the_committed_slot_and_waits_for_its_phase():
    chart = Agents(OLD).boot()
    chart << Asks(Activate, slot="a", manifest=OLD.digest, variant="int8")
    chart << Never(RunModel)


def test_the_first_window_of_a_device_begins_at_a_phase_of_its_own():
    starts = [_working(seed=seed).now for seed in range(40)]
    assert len(set(starts)) == 40
    assert max(starts) < 15 * MINUTE + 30 * SECOND
    assert max(starts) - min(starts) > 8 * MINUTE, "windows of a fleet end together"


def test_no_frame_runs_before_the_kill_list_came():
    config = AgentConfig(window_ns=1)
    agents = Agents(OLD, config)
    chart = connect(agents.boot())
    chart << Never(RunModel)
    chart >> Arrived("kill", kill_of(1), retained=True)
    chart << Asks(RunModel)


def test_a_killed_device_runs_no_frame_at_all():
    chart = connect(Agents(OLD, AgentConfig(window_ns=1)).boot())
    chart >> Arrived("kill", kill_of(1, "gauge"), retained=True)
    chart << Asks(Save)
    answer(acknowledge(chart))
    assert chart.machine.deadline() is None
    assert not [effect for effect in chart.all if isinstance(effect, RunModel)]


def test_a_kill_list_that_was_never_published_is_not_waited_for_long():
    chart = connect(Agents(OLD, AgentConfig(window_ns=1)).boot())
    subscribed = chart.now
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    assert chart.now - subscribed == 2 * SECOND


def test_offline_the_last_known_kill_list_is_trusted_after_a_grace():
    agents = Agents(OLD, AgentConfig(window_ns=1))
    chart = agents.boot(bearer_up=False)
    chart >> DUE
    chart << Asks(RunModel)
    assert chart.now == 30 * SECOND
    killed = agents.online()
    killed >> Arrived("kill", kill_of(1, "gauge"))
    state = killed.found(Asks(Save, file="state")).data
    chart = agents.boot(state, bearer_up=False)
    assert chart.machine.deadline() is None
    assert not chart.machine.enabled("gauge")


def test_a_window_is_one_stimulus_and_one_answer():
    chart = _working()
    burst = chart.found(Asks(RunModel, frames=4, period_ns=15 * MINUTE // 4)).burst
    for _ in range(3):
        chart >> After(15 * MINUTE) >> frames_ran(burst)
        assert [type(effect) for effect in chart.left] == [Publish, RunModel]
        token, burst = chart.left[0].token, chart.left[1].burst
        acknowledge(chart)
        assert chart.machine.deadline() is None, "a timer fires in steady state"
        assert token > 0
    windows = sent(chart, "tel")
    assert [window.seq for window in windows] == [1, 2, 3]
    assert all(window.span_ms == 900_000 for window in windows)
    assert all(window.bundle == OLD.digest[:8] for window in windows)


@pytest.mark.parametrize("frames", [4, 7, 11])
@pytest.mark.parametrize("off", [0, 3, -3, 50 * MS, -50 * MS])
def test_a_host_that_is_a_little_late_or_early_changes_nothing(frames, off):
    chart = _working(AgentConfig(window_frames=frames))
    began = chart.now
    for beat in range(1, 6):
        burst = chart.found(Asks(RunModel))
        assert burst.frames == frames
        chart.now = began + beat * 15 * MINUTE + off
        chart >> frames_ran(burst.burst, frames)


def test_a_window_that_begins_off_the_beat_ends_on_it():
    chart = _working()
    began = chart.now
    burst = chart.found(Asks(RunModel)).burst
    chart >> After(7 * MINUTE) >> Disconnected("no alignment by this") >> frames_ran(burst, 2)
    rest = chart.found(Asks(RunModel))
    assert rest.frames == 2
    end = chart.now + rest.frames * rest.period_ns
    assert abs(end - began - 15 * MINUTE) < SECOND
    chart.now = began + 15 * MINUTE - MINUTE
    chart >> frames_ran(rest.burst, 2)
    whole = chart.found(Asks(RunModel))
    assert whole.frames == 4
    assert abs(chart.now + whole.frames * whole.period_ns - began - 30 * MINUTE) < SECOND


def test_offline_windows_are_kept_and_go_out_after_the_reconnect():
    chart = _working(bearer_up=True)
    burst = chart.found(Asks(RunModel)).burst
    chart >> Disconnected("reset")
    for _ in range(3):
        chart >> frames_ran(burst)
        burst = chart.found(Asks(RunModel)).burst
    connect(chart)
    assert [window.seq for window in sent(chart, "tel")] == [1, 2, 3]


def test_a_kill_cuts_the_burst_and_the_partial_window_is_reported():
    chart = _working()
    burst = chart.found(Asks(RunModel)).burst
    chart >> After(5 * MINUTE) >> Arrived("kill", kill_of(1, "gauge"))
    chart << Asks(Save) << Asks(CutBurst, burst=burst)
    chart >> Arrived("kill", kill_of(2, "gauge", "more"))
    chart << Never(CutBurst)
    chart >> frames_ran(burst, 2)
    chart << Asks(Publish, kind="tel") << Never(RunModel)
    assert sent(chart, "tel")[0].frames == 2


def test_a_revival_begins_at_a_phase_of_its_own():
    chart = _working()
    burst = chart.found(Asks(RunModel)).burst
    chart >> Arrived("kill", kill_of(1, "gauge")) >> frames_ran(burst, 1)
    revived = chart.now
    chart >> Arrived("kill", kill_of(2))
    chart << Never(RunModel)
    answer(chart)
    chart >> DUE
    chart << Asks(RunModel)
    assert revived < chart.now < revived + 15 * MINUTE


def test_a_flag_stops_inference_like_a_kill():
    chart = _working()
    burst = chart.found(Asks(RunModel)).burst
    chart >> Arrived("flags", flags_of(1, OFF), retained=True)
    chart << Asks(CutBurst, burst=burst)
    assert not chart.machine.enabled("gauge")


def test_a_burst_that_was_cut_before_its_first_frame_is_no_window():
    chart = _working()
    burst = chart.found(Asks(RunModel)).burst
    chart >> Arrived("kill", kill_of(1, "gauge")) >> frames_ran(burst, 0)
    assert not sent(chart, "tel")


def test_frames_of_no_burst_are_ignored():
    chart = _working()
    burst = chart.found(Asks(RunModel)).burst
    chart >> frames_ran(burst + 1)
    chart << SILENCE
    chart >> frames_ran(burst)
    chart >> frames_ran(burst)
    chart << SILENCE
    assert chart.machine.ignored == 2


def test_an_alarm_sounds_once_until_its_hysteresis():
    chart = _working()
    burst = chart.found(Asks(RunModel)).burst
    chart >> frames_ran(burst, reading=900)
    chart << Never(Act)
    chart >> frames_ran(burst + 1, reading=901)
    chart << Asks(Act, action="alarm_on", value=901) << Asks(Save, file="state")
    chart << Asks(RunModel, frames=8) << Asks(Publish, kind="ev") << Asks(Publish, kind="tel")
    chart >> frames_ran(burst + 2, reading=860)
    chart << Never(Act) << Asks(RunModel, frames=8)
    chart >> frames_ran(burst + 3, reading=849)
    chart << Asks(Act, action="alarm_off", value=849) << Asks(RunModel, frames=4)
    acknowledge(chart)
    assert [(event.kind, event.value) for event in sent(chart, "ev")] == [("alarm", 901)]


def test_a_frame_in_error_raises_no_alarm_and_stops_none():
    chart = _working()
    burst = chart.found(Asks(RunModel)).burst
    chart >> frames_ran(burst, reading=1000, error=1)
    chart << Never(Act)
    chart >> frames_ran(burst + 1, reading=1000)
    chart << Asks(Act, action="alarm_on")
    chart >> frames_ran(burst + 2, reading=0, error=1)
    chart << Never(Act)


def test_an_alarm_is_kept_through_a_power_cut():
    agents = Agents(OLD)
    chart = agents.boot(bearer_up=False)
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    burst = chart.found(Asks(RunModel)).burst
    chart >> frames_ran(burst, reading=950)
    state = chart.found(Asks(Save, file="state")).data
    again = connect(agents.boot(state))
    events = sent(again, "ev")
    assert [(event.kind, event.value, event.boot_id) for event in events] == [("alarm", 950, 1)]


def test_a_device_without_a_bundle_runs_nothing():
    chart = Agents(None).online()
    assert chart.machine.deadline() is None
    assert not [effect for effect in chart.all if isinstance(effect, Activate | RunModel)]


def test_validate_finds_a_device_that_rests_for_no_reason():
    chart = Agents(OLD).boot()
    chart.machine._work.at = 2**62
    with pytest.raises(AssertionError, match="nothing runs and nothing will"):
        chart.machine.validate()


def test_a_deadline_that_comes_early_begins_nothing():
    agents = Agents(OLD)
    chart = agents.boot()
    chart >> DeadlineReached()
    chart << Never(RunModel)


def test_a_device_without_frames_is_online_and_runs_none():
    chart = Agents(OLD, AgentConfig(window_frames=0)).online()
    chart >> After(HOUR) << Never(RunModel)
    chart >> Disconnected("no frames, no windows") << Never(RunModel)
