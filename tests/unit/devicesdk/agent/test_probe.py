"""Golden probes: when it suits the device, told once, and visible where they are missing."""

from __future__ import annotations

import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import RunModel, RunProbe
from devicesdk.agent.stimuli import Arrived, Conditions, ProbeRan
from devicesdk.wire.timebase import HOUR, MINUTE
from tests_kit.agent_bundles import Bundle, flags_of, kill_of
from tests_kit.agent_charts import Agents, acknowledge, frames_ran, sent, stage, want_arrives
from tests_kit.charts import DUE, Asks

OLD, NEW = Bundle(1), Bundle(2)
OFTEN = AgentConfig(probe_period_ns=2 * HOUR)
GOOD = ProbeRan("a", True, 0, 0, 0, "default")
BAD = ProbeRan("a", False, 179, 432, 19, "saturating")
FEATURE = b'{"flags":{"golden-probe":{"state":"%s","variants":{"on":true,"off":false},"defaultVariant":"off"}}}'


def _working(config=OFTEN, **kwargs):
    chart = Agents(OLD, config).online(**kwargs)
    while not [effect for effect in chart.left if isinstance(effect, RunModel)]:
        chart >> DUE
    return chart


def _window(chart, conditions=None):
    """End the burst that runs; the next one begins in the same breath."""
    burst = [effect.burst for effect in chart.all if isinstance(effect, RunModel)][-1]
    chart.now += 15 * MINUTE
    ran = frames_ran(burst) if conditions is None else frames_ran(burst, conditions=conditions)
    return acknowledge(chart >> ran)


def _probes(chart):
    return [effect for effect in chart.all if isinstance(effect, RunProbe)]


def _until_probe(chart, conditions=None, windows=20):
    for count in range(windows):
        _window(chart, conditions)
        if _probes(chart):
            return count
    return None


def test_a_probe_runs_within_a_period_at_a_phase_of_its_own():
    counts = [_until_probe(_working(seed=seed)) for seed in range(24)]
    assert None not in counts
    assert max(counts) <= 8, "the first probe of a boot comes within one period"
    assert len(set(counts)) > 4, "a fleet's probes come together"


def test_afterwards_once_a_period_and_never_two_at_a_time():
    chart = _working()
    _until_probe(chart)
    for _ in range(20):
        _window(chart)
    assert len(_probes(chart)) == 1, "asked again while the first answer is missing"
    chart >> GOOD
    for _ in range(17):
        _window(chart)
        if len(_probes(chart)) > len(sent(chart, "tel")) // 8:
            chart >> GOOD
    assert 2 <= len(_probes(chart)) <= 4


def test_the_residual_travels_in_the_next_window_once_and_a_missing_one_is_missing():
    chart = _working()
    _until_probe(chart)
    assert [window.probe_residual for window in sent(chart, "tel")] == [None] * len(
        sent(chart, "tel")
    )
    _window(chart >> GOOD)
    _window(chart)
    told = [(window.probe_residual, window.probe_failed) for window in sent(chart, "tel")[-2:]]
    assert told == [(0, False), (None, False)]


def test_a_failed_probe_says_how_it_failed():
    chart = _working()
    _until_probe(chart)
    _window(chart >> BAD)
    window = sent(chart, "tel")[-1]
    assert (window.probe_residual, window.probe_failed) == (179, True)
    assert (window.probe_worst, window.probe_flips) == (432, 19)
    assert window.probe_resembles == "saturating"


@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(plugged=False),
        Conditions(chip_c=61),
        Conditions(throttled=True),
    ],
)
def test_on_battery_hot_or_throttled_it_waits(conditions):
    chart = _working()
    assert _until_probe(chart, conditions) is None
    _window(chart)
    assert len(_probes(chart)) == 1, "it was overdue, and now it suits"


def test_a_kill_and_a_flag_stop_probes_and_nothing_else():
    killed = _working()
    killed >> Arrived("kill", kill_of(2, "golden-probe"), retained=True)
    assert _until_probe(killed) is None
    flagged = _working()
    flagged >> Arrived("flags", flags_of(2, FEATURE % b"ENABLED"), retained=True)
    assert _until_probe(flagged) is None
    assert len(sent(flagged, "tel")) >= 20, "inference went on"


def test_a_period_of_zero_means_never():
    assert _until_probe(_working(AgentConfig(probe_period_ns=0)), windows=120) is None


def test_a_new_image_is_probed_with_its_first_quiet_window():
    chart = acknowledge(want_arrives(_working(AgentConfig(probe_period_ns=240 * HOUR)), NEW))
    stage(chart, NEW) >> frames_ran(1)
    chart << Asks(RunModel, slot="b")
    assert not _probes(chart), "a trial is judged by its frames and left alone"
    _window(chart)
    [probe] = _probes(chart)
    assert (probe.slot, probe.manifest, probe.variant) == ("b", NEW.digest, "int8")


def test_an_answer_of_an_image_that_went_is_dropped():
    chart = _working()
    _until_probe(chart)
    acknowledge(want_arrives(chart, NEW))
    stage(chart, NEW)
    chart >> BAD
    _window(chart)
    _window(chart)
    assert all(window.probe_residual is None for window in sent(chart, "tel"))


def test_an_answer_nobody_asked_for_is_ignored():
    chart = _working()
    chart >> GOOD
    assert chart.machine.ignored == 1


def test_the_window_tells_how_hot_and_how_slow_the_chip_was_when_the_probe_was_asked_for():
    chart = _working()
    assert _until_probe(chart, Conditions(100, True, 47, False)) is not None
    acknowledge(chart >> GOOD)
    _window(chart, Conditions(100, True, 31, False))
    told = [window for window in sent(chart, "tel") if window.probe_residual is not None]
    assert [window.probe_chip_c for window in told] == [47], "the heat of another moment"
    assert [window.probe_latency for window in told] != [None]
