"""What was asked for after a refused write never happened: the agent does not wait for it."""

from __future__ import annotations

from hashlib import sha256

from devicesdk.agent.effects import Activate, CutBurst, RunKit, RunModel, Save
from devicesdk.agent.stimuli import FileHashed, KitRan, StorageFailed
from devicesdk.wire.messages import UpdateState
from tests_kit.agent_bundles import Bundle
from tests_kit.agent_charts import Agents, acknowledge, fetch, sent, stage, want_arrives
from tests_kit.charts import DUE, Asks, Never

OLD, NEW, THIRD = Bundle(1), Bundle(2), Bundle(3)


def refused(chart):
    """The save of the last batch was refused: the host performed nothing after it."""
    effects = list(chart.left)
    at = next(place for place, effect in enumerate(effects) if type(effect) is Save)
    chart >> StorageFailed("state", "worn out", tuple(effects[at + 1 :]))
    return effects[at + 1 :]


def lost(effects, kind):
    assert [e for e in effects if type(e) is kind], f"this batch asked for no {kind.__name__}"


def until_a_burst(chart):
    for _ in range(60):
        if [effect for effect in chart.left if type(effect) is RunModel]:
            return chart
        chart >> DUE
    raise AssertionError("no burst began")


def test_a_burst_that_was_never_cut_is_cut_after_all():
    chart = until_a_burst(Agents(OLD).online())
    chart = stage(want_arrives(chart, NEW), NEW)
    lost(refused(chart), CutBurst)
    chart << Asks(CutBurst) << Asks(Activate, slot="a")


def test_a_burst_that_never_began_is_not_waited_for():
    chart = until_a_burst(stage(want_arrives(Agents(OLD).online(), NEW), NEW))
    (begun,) = [effect for effect in chart.left if type(effect) is RunModel]
    chart >> StorageFailed("state", "worn out", (begun,))
    chart << Never(CutBurst) << Asks(Activate, slot="a")
    until_a_burst(chart) << Asks(RunModel, slot="a")


def test_a_rollback_that_could_not_be_saved_is_said_again_to_the_host():
    chart = stage(want_arrives(Agents(OLD).online(), NEW), NEW)
    chart >> StorageFailed("state", "worn out")
    effects = refused(chart)
    lost(effects, Activate)
    chart << Asks(Activate, slot="a")


def test_a_kit_that_never_ran_does_not_swallow_the_answer_of_the_next():
    chart = fetch(want_arrives(Agents(OLD).online(), NEW), NEW)
    chart >> FileHashed("slot-b", sha256(NEW.image).digest())
    lost(refused(chart), RunKit)
    acknowledge(chart)
    assert sent(chart, "have")[-1].reason == "storage"
    fetch(want_arrives(chart, THIRD, 2), THIRD)
    chart >> FileHashed("slot-b", sha256(THIRD.image).digest())
    chart << Asks(RunKit)
    chart >> KitRan("b", True, "", 1, 1)
    acknowledge(chart)
    assert sent(chart, "have")[-1].state is UpdateState.TRIAL
