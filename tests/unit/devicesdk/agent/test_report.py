"""Reports: one a stimulus at most, none that says nothing new, always one where it may be missing."""

from __future__ import annotations

from msgspec.structs import replace

from devicesdk.agent.effects import Publish
from devicesdk.agent.stimuli import Arrived, Connected, Disconnected, PubAcked
from devicesdk.wire import codec
from devicesdk.wire.messages import Capabilities, Control, ControlVerb
from tests_kit.agent_bundles import Bundle, kill_of
from tests_kit.agent_charts import Agents, connect, sent, want_arrives
from tests_kit.charts import DUE, SILENCE, Asks, Never

OLD, NEW = Bundle(1), Bundle(2)


def _haves(chart):
    return [e for e in chart.left if isinstance(e, Publish) and e.kind == "have"]


def _reconnect(chart, *, session_present=True):
    chart >> Disconnected("reset") >> DUE
    return chart >> Connected(session_present=session_present)


def test_online_comes_before_the_report():
    chart = connect(Agents(OLD).boot())
    chart << Asks(Publish, kind="link", retain=True) << Asks(Publish, kind="have", retain=True)
    have = sent(chart, "have")[0]
    assert (have.boot_id, have.seq, have.slot, have.running) == (1, 1, "a", OLD.digest)
    assert (have.hardware_class, have.variant, have.generation) == ("rpi4", "int8", 0)
    link = sent(chart, "link")[0]
    assert (link.boot_id, link.session, link.online) == (1, 1, True)


def test_an_acknowledged_report_is_not_repeated_in_a_session_that_is_present():
    chart = _reconnect(Agents(OLD).online())
    chart << Asks(Publish, kind="link") << Never(Publish, kind="have")


def test_a_report_without_an_acknowledgement_is_sent_again():
    chart = connect(Agents(OLD).boot())
    link = chart.found(Asks(Publish, kind="link"))
    chart >> PubAcked(link.token)
    _reconnect(chart)
    chart << Asks(Publish, kind="have")


def test_a_session_that_is_lost_may_have_lost_the_report():
    chart = Agents(OLD).online()
    chart >> Disconnected("reset")
    connect(chart)
    chart << Asks(Publish, kind="have")
    assert [have.seq for have in sent(chart, "have")] == [1, 2]


def test_however_much_changes_one_stimulus_makes_one_report():
    chart = want_arrives(Agents(OLD).online(), NEW)
    assert len(_haves(chart)) == 1


def test_what_changed_offline_is_reported_once_online():
    chart = Agents(OLD).online()
    chart >> Disconnected("reset") >> Arrived("kill", kill_of(1, "gauge"))
    chart << Never(Publish)
    chart >> DUE >> Connected(session_present=True)
    assert len(_haves(chart)) == 1
    assert sent(chart, "have")[-1].kill_version == 1


def test_the_gateway_may_ask_for_a_report():
    chart = Agents(OLD).online()
    chart >> Arrived("ctl", codec.encode(Control(verb=ControlVerb.REPORT)))
    chart << Asks(Publish, kind="have") << SILENCE


def test_nothing_new_is_nothing_said():
    chart = Agents(OLD).online()
    chart >> Arrived("kill", kill_of(1))
    assert len(_haves(chart)) == 1
    chart >> Arrived("kill", kill_of(1))
    chart << SILENCE


def test_a_device_that_runs_nothing_says_so():
    chart = connect(Agents(None).boot())
    have = sent(chart, "have")[0]
    assert (have.running, have.variant, have.slot) == (b"", "", "a")


def test_a_change_that_was_taken_back_is_no_news():
    chart = Agents(OLD).online()
    chart.machine._shared.report_due = True
    chart >> PubAcked(10_000)
    chart << SILENCE


def test_capabilities_are_said_once_a_boot_and_where_the_gateway_asks():
    agents = Agents(OLD)
    can = Capabilities(runtime="1.23.2", memory_mib=512)
    agents.identity = replace(agents.identity, capabilities=can)
    chart = agents.online()
    assert [have.capabilities for have in sent(chart, "have")] == [can]
    want_arrives(chart, NEW)
    assert sent(chart, "have")[-1].capabilities is None
    chart >> Arrived("ctl", codec.encode(Control(verb=ControlVerb.REPORT)))
    assert sent(chart, "have")[-1].capabilities == can
