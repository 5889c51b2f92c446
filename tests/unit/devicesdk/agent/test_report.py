"""Reports: one a stimulus at most, none that says nothing new, always one where it may be missing."""

from __future__ import annotations

from msgspec.structs import replace

from devicesdk.agent.config import AgentConfig
from devicesdk.agent.effects import Publish, Save
from devicesdk.agent.stimuli import Arrived, Connected, Disconnected, PubAcked
from devicesdk.wire import codec
from devicesdk.wire.messages import Capabilities, Control, ControlVerb
from devicesdk.wire.timebase import SECOND
from tests_kit.agent_bundles import Bundle, flags_of, kill_of
from tests_kit.agent_charts import Agents, connect, dial, report_due, sent, want_arrives
from tests_kit.charts import DUE, SILENCE, After, Asks, Never

OLD, NEW = Bundle(1), Bundle(2)
FLAGS = b'{"flags":{"gauge":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}}'


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
    dial(chart) >> Connected(session_present=True)
    assert len(_haves(chart)) == 1
    assert sent(chart, "have")[-1].kill_version == 1


def test_the_gateway_may_ask_for_a_report():
    chart = Agents(OLD).online()
    chart >> Arrived("ctl", codec.encode(Control(verb=ControlVerb.REPORT)))
    chart << Asks(Publish, kind="have") << SILENCE


def test_nothing_new_is_nothing_said():
    chart = Agents(OLD).online()
    chart >> Arrived("kill", kill_of(1)) >> After(2 * SECOND) >> DUE
    assert len(_haves(chart)) == 1
    chart >> Arrived("kill", kill_of(1))
    chart << SILENCE


def _heard_by_all(chart):
    """A kill list; the device obeys."""
    chart >> Arrived("kill", kill_of(1, "gauge"))
    chart << Asks(Save) << SILENCE
    return chart


def test_what_a_whole_segment_hears_is_obeyed_at_once_and_reported_after_a_wait_of_ones_own():
    config = AgentConfig()
    waits = set()
    for seed in range(20):
        chart = Agents(OLD).online(seed=seed)
        _heard_by_all(chart)
        begun = chart.now
        assert not chart.machine.enabled("gauge")
        at = report_due(chart)
        waits.add(at - begun)
        while chart.now < at:
            chart << Never(Publish, kind="have")
            chart >> DUE
        chart << Asks(Publish, kind="have")
        assert sent(chart, "have")[-1].kill_version == 1
        assert report_due(chart) is None
    low, high = config.answer_after_ns, config.answer_after_ns + config.answer_spread_ns
    assert low <= min(waits) < low + config.answer_spread_ns // 4
    assert high - config.answer_spread_ns // 4 < max(waits) < high
    assert len(waits) == 20


def test_kill_list_and_flags_within_the_wait_make_one_report():
    chart = Agents(OLD).online()
    _heard_by_all(chart)
    at = report_due(chart)
    chart >> After(SECOND // 2) >> Arrived("flags", flags_of(1, FLAGS))
    chart << Never(Publish, kind="have")
    assert (at, "report") in chart.machine.dues(), "a second one does not put it off"
    before = len(sent(chart, "have"))
    while chart.now < at:
        chart >> DUE
    told = sent(chart, "have")[before:]
    assert [(have.kill_version, have.flags_rev) for have in told] == [(1, 1)]


def test_what_else_is_reported_takes_it_along():
    chart = _heard_by_all(Agents(OLD).online())
    want_arrives(chart, NEW)
    assert sent(chart, "have")[-1].kill_version == 1
    assert report_due(chart) is None


def test_a_device_that_comes_back_within_its_wait_reports_at_once():
    config = AgentConfig(answer_after_ns=60 * SECOND)
    chart = _heard_by_all(Agents(OLD, config).online())
    at = report_due(chart)
    dial(chart >> Disconnected("reset")) >> Connected(session_present=True)
    assert chart.now < at
    assert sent(chart, "have")[-1].kill_version == 1
    assert report_due(chart) is None


def test_without_a_wait_it_is_reported_in_the_same_instant():
    chart = _heard_by_all(Agents(OLD, AgentConfig(answer_after_ns=0, answer_spread_ns=0)).online())
    heard = chart.now
    chart >> DUE
    chart << Asks(Publish, kind="have")
    assert chart.now == heard


def test_the_draw_of_the_wait_shifts_no_other_draw():
    quiet, busy = Agents(OLD).online(), Agents(OLD).online()
    busy >> Arrived("flags", flags_of(1, FLAGS))
    assert report_due(busy) is not None
    draws = [chart.machine._shared.dice.below(10**9) for chart in (quiet, busy)]
    assert draws[0] == draws[1]


def test_what_came_due_offline_is_reported_once_online():
    chart = _heard_by_all(Agents(OLD).online())
    chart >> Disconnected("reset") >> After(3 * SECOND) >> DUE
    chart << Never(Publish, kind="have")
    dial(chart) >> Connected(session_present=True)
    assert sent(chart, "have")[-1].kill_version == 1


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
