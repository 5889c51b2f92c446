"""What was asked for after a refused write never happened: the agent does not wait for it."""

from __future__ import annotations

from hashlib import sha256

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import Activate, CutBurst, Delete, RunKit, RunModel, Save
from devicesdk.agent.stimuli import Arrived, FileHashed, KitRan, StorageFailed
from devicesdk.wire import topics
from devicesdk.wire.messages import UpdateState
from tests_kit.agent_bundles import Bundle, kill_of
from tests_kit.agent_charts import Agents, acknowledge, fetch, sent, stage, want_arrives
from tests_kit.charts import DUE, Asks, Never
from tests_kit.role_rig import Repository, RoleRig

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


def test_a_state_lost_behind_another_files_write_is_saved_again():
    chart = Agents(OLD).online() >> Arrived(topics.KILL, kill_of(1))
    save = chart.found(Asks(Save, file="state"))
    chart >> StorageFailed("trust", "full", (save,))
    chart << Asks(Save, file="state", data=save.data)


def test_a_state_lost_behind_a_state_waits_for_the_next_save():
    chart = Agents(OLD).online() >> Arrived(topics.KILL, kill_of(1))
    save = chart.found(Asks(Save, file="state"))
    chart >> StorageFailed("state", "full", (save,))
    chart << Never(Save)
    chart >> Arrived(topics.KILL, kill_of(2))
    chart << Asks(Save, file="state")


def test_trust_lost_behind_a_refused_state_is_saved_again():
    rig = RoleRig(Repository(OLD, NEW), OLD, NEW, factory=OLD).start()
    rig.want(NEW)
    assert rig.settles(NEW)
    kept = rig.disk.read("trust")
    assert kept is not None
    heard = StorageFailed("state", "full", (Save("trust", kept),))
    again = rig.agent.handle(heard, rig.now)
    assert [(e.file, e.data) for e in again if type(e) is Save] == [("trust", kept)]
    assert not [
        e for e in rig.agent.handle(StorageFailed("trust", "full"), rig.now) if type(e) is Save
    ]


def test_a_map_lost_behind_a_refused_write_is_not_believed():
    big = Bundle(2, 300_000)
    chart = want_arrives(Agents(OLD, AgentConfig(checkpoint_bytes=8192)).online(), big)
    fetch(chart, big)
    save = [e for e in chart.left if type(e) is Save and e.file == "map"][-1]
    want_arrives(chart, OLD, 2)
    chart >> StorageFailed("slot-b", "worn out", (save,))
    chart << Asks(Delete, file="map")
    chart >> StorageFailed("slot-b", "worn out", (save,))
    chart << Never(Delete)
