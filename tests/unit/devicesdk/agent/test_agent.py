"""The router: who hears what, garbage that changes nothing, files that cannot be read."""

from __future__ import annotations

import pytest

from devicesdk.agent.agent import Agent, BrokenAgent
from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import Activate, Connect, Disconnect, Publish, RunModel, Save
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.stimuli import (
    Arrived,
    BearerChanged,
    Booted,
    Connected,
    ConnectFailed,
    DeadlineReached,
    Disconnected,
    FileRead,
    StorageFailed,
    Subscribed,
)
from devicesdk.bundle.chunks import RememberingDigests
from tests_kit.agent_bundles import VERIFIER, Bundle, identity_of, kill_of
from tests_kit.agent_charts import (
    CALM,
    Agents,
    acknowledge,
    connect,
    fetch,
    frames_ran,
    sent,
    want_arrives,
)
from tests_kit.charts import DUE, SILENCE, Asks, Never

OLD, NEW = Bundle(1), Bundle(2)


def test_the_deadline_names_its_reason():
    agents = Agents(OLD)
    chart = agents.boot(bearer_up=False)
    assert chart.machine.deadline()[1] == "work"
    chart = agents.boot()
    assert chart.machine.deadline()[1] == "session"
    connect(chart)
    acknowledge(chart)
    want_arrives(chart, NEW, jitter_ms=1)
    acknowledge(chart)
    assert chart.machine.deadline()[1] == "update"
    chart >> DUE
    chart >> FileRead("meta-manifest", None)
    acknowledge(chart)
    assert chart.machine.deadline()[1] in ("download", "work")
    chart = connect(agents.boot())
    assert chart.machine.deadline()[1] in ("outbox", "work")


def test_a_host_that_knows_of_the_acknowledgement_needs_no_timer_for_a_window():
    chart = Agents(OLD).online()
    acknowledge(chart)
    while not any(isinstance(effect, RunModel) for effect in chart.left):
        chart >> DUE
    chart >> frames_ran(chart.found(Asks(RunModel)).burst)
    due, why = chart.machine.deadline()
    assert why == "outbox"
    assert chart.machine.deadline(acked_by=due + 1) == (due, "outbox"), "it comes too late"
    assert chart.machine.deadline(acked_by=due) is None
    acknowledge(chart)
    assert chart.machine.deadline() is None


def test_nothing_to_do_means_no_deadline():
    assert Agents(None).online().machine.deadline() is None


def test_an_agent_boots_once():
    chart = Agents(OLD).boot()
    with pytest.raises(AssertionError, match="restore a new agent"):
        chart.machine.handle(Booted(2, None, True, CALM), 0)


def test_a_state_that_cannot_be_read_runs_nothing_and_takes_the_next_update():
    chart = Agents(OLD).boot(b"not a state", b"not a map")
    kinds = [effect.kind for effect in chart.left if hasattr(effect, "kind")]
    assert NoteKind.STATE_LOST in kinds
    assert NoteKind.MAP_LOST in kinds
    chart << Never(Activate)
    connect(chart)
    acknowledge(chart)
    fetch(want_arrives(chart, NEW), NEW)
    assert any(type(effect).__name__ == "HashFile" for effect in chart.left)


def test_a_new_agent_is_one_that_left_the_factory():
    fresh = Agent(AgentConfig(), identity_of(OLD), VERIFIER, 7)
    assert fresh.snapshot() == Agents(OLD).restore(None).snapshot()
    fresh.validate()


def test_the_host_may_bring_digests_that_remember():
    digests = RememberingDigests()
    for _ in range(2):
        agent = Agent.restore(AgentConfig(), identity_of(OLD), VERIFIER, 7, None, None, digests)
        assert agent._shared.digests is digests


def test_publishes_without_acknowledgement_end_the_connection_at_last():
    chart = connect(Agents(OLD).boot())
    chart.machine._work.at = 2**61
    first = chart.now
    chart >> DUE
    chart << Asks(Publish, kind="link") << Asks(Publish, kind="have")
    chart >> DUE
    chart << Asks(Disconnect)
    assert chart.now - first == 120_000_000_000
    assert chart.machine.deadline()[1] == "session"


def test_a_carrier_that_returns_connects_after_a_while():
    chart = Agents(OLD).boot(bearer_up=False)
    chart >> BearerChanged(up=True)
    chart << Never(Connect)
    chart >> DUE
    chart << Asks(Connect)
    for failure in (ConnectFailed("refused"), Disconnected("before the CONNACK")):
        chart >> failure
        chart << Never(Connect)
        chart >> DUE
        chart << Asks(Connect)


def test_a_download_goes_on_in_the_next_session():
    chart = want_arrives(Agents(OLD).online(), NEW)
    chart >> FileRead("meta-manifest", None)
    chart >> Disconnected("reset")
    chart << Never(Publish)
    chart >> DUE >> Connected(session_present=True)
    chart << Asks(Publish, kind="get")


def test_a_link_that_stays_dead_fails_the_update_by_a_deadline():
    chart = want_arrives(Agents(OLD).online(), NEW)
    chart >> FileRead("meta-manifest", None)
    for _ in range(200):
        acknowledge(chart)
        if sent(chart, "have")[-1].reason == "link":
            return
        chart >> DUE
    raise AssertionError("never gave up")


def test_a_failed_save_is_not_taken_for_done():
    chart = Agents(OLD).online()
    chart >> Arrived("kill", kill_of(1))
    chart >> StorageFailed("state", "full")
    chart >> Arrived("kill", kill_of(2))
    chart << Asks(Save, file="state")
    chart >> StorageFailed("map", "full")
    chart << SILENCE


def test_what_comes_out_of_place_does_no_harm():
    chart = Agents(OLD).online()
    for stimulus in (
        Connected(session_present=True),
        Subscribed((0,) * 5),
        ConnectFailed("late"),
        DeadlineReached(),
        BearerChanged(up=True),
    ):
        chart >> stimulus
        chart << SILENCE


def test_what_is_broken_is_told_with_its_place():
    chart = Agents(OLD).boot()
    chart.machine._slots.committed = "b"
    with pytest.raises(BrokenAgent, match=r"device kiosk-0001, boot 1, session .*: slot b runs"):
        chart.machine.validate()
