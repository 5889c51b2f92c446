"""Frames that wait or go out, as conversations with a whole agent."""

import msgspec
import pytest

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import (
    Act,
    CutBurst,
    DropTaken,
    Mode,
    Publish,
    ReadAnswer,
    RunModel,
    RunTaken,
    TakeFrames,
)
from devicesdk.agent.stimuli import (
    Arrived,
    Conditions,
    ConditionsChanged,
    Disconnected,
    FramesTaken,
)
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import Nack, Wait
from devicesdk.wire.messages import Ask, Control, ControlVerb
from devicesdk.wire.timebase import MINUTE, SECOND
from tests_kit.agent_bundles import Bundle, flags_of, kill_of
from tests_kit.agent_charts import Agents, acknowledge, frames_ran, sent
from tests_kit.charts import DUE, After, Asks, Never

OLD = Bundle(1)
CONFIG = AgentConfig(window_ns=MINUTE, offload_consent=True, urgency="batch")
OFFLOAD = {
    "rules": [{"name": "ask", "use": {"path": "offload", "side": 16}}],
    "offload": {"timeout_ms": 500},
}
DEFER = {
    "rules": [{"name": "wait", "when": {"plugged": False}, "use": {"path": "defer"}}, {"name": "run"}],
    "defer": {"bursts_max": 2}, "margin": {"hold_s": 0},
}  # fmt: skip
ON_BATTERY = Conditions(plugged=False)


def document(policy, offload=True):
    def flag(value):
        return {"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v"}

    flags = {"policy": flag(policy), "offload": flag(offload)}
    return msgspec.json.encode({"flags": flags})


def working(policy, effect, conditions=None, config=CONFIG):
    """An online device with a policy whose first burst has just begun."""
    chart = Agents(OLD, config).online()
    if conditions is not None:
        chart >> ConditionsChanged(conditions)
    chart >> Arrived(topics.FLAGS, flags_of(1, document(policy)), True)
    return burst(chart, effect)


def burst(chart, effect):
    while not [found for found in chart.left if isinstance(found, effect)]:
        chart >> DUE
    return chart


def taken(chart, conditions=Conditions()):  # noqa: B008 - a value
    """The frames of the burst that is being taken are on the host."""
    asked = acknowledge(chart).found(Asks(TakeFrames))
    chart >> After(asked.frames * asked.period_ns)
    pixels = bytes(8 * asked.frames) if asked.send else b""
    chart >> FramesTaken(asked.burst, asked.frames, pixels, conditions)
    return asked


def asked_of(chart):
    publish = chart.found(Asks(Publish, kind=topics.ASK, token=0, retain=False))
    return codec.decode(Ask, publish.payload)


def says(chart, verb, number, **fields):
    chart >> Arrived(topics.CTL, codec.encode(Control(verb=verb, ask=number, **fields)))


def test_frames_go_out_and_are_read_with_the_answer_and_reported_once():
    chart = working(OFFLOAD, TakeFrames)
    asked = taken(chart)
    assert (asked.side, asked.send) == (16, True)
    ask = asked_of(chart)
    assert (ask.manifest, ask.frames, len(ask.pixels)) == (OLD.digest, 4, 32)
    chart >> After(200_000_000)
    says(chart, ControlVerb.ANSWER, ask.number, outputs=b"four rows")
    chart << Asks(ReadAnswer, burst=asked.burst, slot="a", outputs=b"four rows")
    chart >> frames_ran(asked.burst)
    window = sent(chart, "tel")[-1]
    assert (window.frames, window.rules) == (4, {"ask": 1})
    assert window.latency[15] == 4 or window.latency.index(4) > 10, "the way there and back counts"
    burst(chart, TakeFrames)


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        (ControlVerb.WAIT, {"why": Wait.BUSY, "retry_after_ms": 90_000}),
        (ControlVerb.NACK, {"code": Nack.RESOURCE_NOT_FOUND}),
    ],
)
def test_a_gateway_that_says_no_is_left_alone_for_a_while_and_the_device_reads(verb, fields):
    chart = working(OFFLOAD, TakeFrames)
    asked = taken(chart)
    says(chart, verb, asked_of(chart).number, **fields)
    chart << Asks(RunTaken, burst=asked.burst, slot="a", mode=Mode("", 16))
    chart >> frames_ran(asked.burst)
    assert sent(chart, "tel")[-1].frames == 4
    burst(chart, RunModel)
    chart >> After(2 * MINUTE) >> frames_ran(chart.found(Asks(RunModel)).burst)
    burst(chart, TakeFrames)


def test_an_answer_that_comes_late_is_not_looked_at():
    chart = working(OFFLOAD, TakeFrames)
    asked = taken(chart)
    number = asked_of(chart).number
    began = chart.now
    chart >> DUE
    assert chart.now - began == 500_000_000
    chart << Asks(RunTaken, burst=asked.burst)
    says(chart, ControlVerb.ANSWER, number, outputs=b"x")
    chart << Never(ReadAnswer)
    assert chart.machine.ignored == 1
    chart >> frames_ran(asked.burst)
    assert len(sent(chart, "tel")) == 1


def test_an_answer_to_another_boots_ask_fits_nothing():
    chart = working(OFFLOAD, TakeFrames)
    taken(chart)
    number = asked_of(chart).number
    says(chart, ControlVerb.ANSWER, number - 2**20, outputs=b"x")
    chart << Never(ReadAnswer)


def test_when_the_link_dies_the_frames_are_run_here():
    chart = working(OFFLOAD, TakeFrames)
    asked = taken(chart)
    asked_of(chart)
    chart >> Disconnected("the carrier went") << Asks(RunTaken, burst=asked.burst)
    chart >> frames_ran(asked.burst)
    burst(chart, RunModel) << Never(TakeFrames)


def test_a_kill_drops_what_was_asked_and_what_waits():
    chart = working(OFFLOAD, TakeFrames)
    asked = taken(chart)
    chart >> Arrived(topics.KILL, kill_of(1, "gauge"), True)
    chart << Asks(DropTaken, burst=asked.burst)
    chart << Never(RunTaken)
    assert not chart.machine._work.running


def test_a_cut_while_frames_are_taken_drops_them():
    chart = working(OFFLOAD, TakeFrames)
    asked = chart.found(Asks(TakeFrames))
    off = b'{"flags":{"gauge":{"state":"ENABLED","variants":{"off":false},"defaultVariant":"off"}}}'
    chart >> Arrived(topics.FLAGS, flags_of(2, off), True) << Asks(CutBurst, burst=asked.burst)
    (
        chart
        >> FramesTaken(asked.burst, 1, bytes(8), Conditions())
        << Asks(DropTaken, burst=asked.burst)
    )
    assert sent(chart, "tel") == []


def test_deferred_frames_wait_bounded_and_run_when_the_plug_is_in():
    chart = working(DEFER, TakeFrames, ON_BATTERY)
    bursts = []
    for _ in range(3):
        bursts.append(taken(chart, ON_BATTERY).burst)
        if len(bursts) < 3:
            burst(chart, TakeFrames)
    assert [e.burst for e in chart.all if isinstance(e, DropTaken)] == bursts[:1], "oldest first"
    burst(chart, TakeFrames)
    asked = chart.found(Asks(TakeFrames))
    chart >> After(MINUTE)
    chart >> FramesTaken(asked.burst, asked.frames, b"", Conditions(plugged=True))
    chart << Asks(RunTaken, burst=bursts[2], mode=Mode())
    chart >> frames_ran(bursts[2]) << Asks(RunTaken, burst=asked.burst)
    chart >> frames_ran(asked.burst)
    windows = sent(chart, "tel")
    assert [window.frames for window in windows] == [4, 4]
    assert all(55_000 < window.span_ms <= 61_000 for window in windows), "spans are of the taking"
    assert windows[0].rules["wait"] == 4
    burst(chart, RunModel)


def test_no_consent_nothing_leaves():
    for config in (
        AgentConfig(window_ns=MINUTE),
        AgentConfig(window_ns=MINUTE, offload_consent=True, regulatory_mode="privacy"),
    ):
        chart = working(OFFLOAD, RunModel, config=config)
        chart << Asks(RunModel, mode=Mode("", 16))
        assert not [effect for effect in chart.all if isinstance(effect, TakeFrames)]


def test_rate_resolution_and_batching_under_pressure():
    rules = [{"name": "low", "use": {"frames_permille": 500, "windows": 4, "side": 8}}]
    chart = working({"rules": rules}, RunModel)
    run = chart.found(Asks(RunModel, mode=Mode("", 8)))
    chart >> After(run.frames * run.period_ns) >> frames_ran(run.burst, run.frames)
    run = chart.found(Asks(RunModel))
    assert run.frames == 8, "half of the frames of four windows"
    assert run.frames * run.period_ns <= 4 * MINUTE + SECOND


def test_readings_that_nobody_believes_give_the_last_known_one_with_its_age_and_no_alarm():
    policy = {
        "rules": [{"name": "normal"}],
        "fallback": {"confidence_bin_min": 5, "bursts_down": 1, "bursts_up": 2},
    }
    chart = working(policy, RunModel)
    chart >> After(MINUTE) >> frames_ran(chart.found(Asks(RunModel)).burst, reading=444)
    chart << Never(Act)
    run = chart.found(Asks(RunModel))
    chart >> After(MINUTE) >> frames_ran(run.burst, reading=999, error=1)
    chart << Asks(Act, action="last_known", value=444, age_ms=60_000)
    chart << Never(Act, action="alarm_on")
    acknowledge(chart)


def test_the_rate_limit_bounds_what_a_policy_asks_for():
    config = AgentConfig(window_ns=SECOND, window_frames=100, frame_period_ns_min=50_000_000)
    rules = [{"name": "fast", "use": {"frames_permille": 4000}}]
    chart = working({"rules": rules}, RunModel, config=config)
    run = chart.found(Asks(RunModel))
    assert run.period_ns >= 50_000_000
    assert run.frames <= 20
