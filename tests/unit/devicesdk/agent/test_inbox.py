"""What a message means for whom; garbage that changes nothing."""

from __future__ import annotations

import pytest

from devicesdk.agent.effects import Publish
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.stimuli import Arrived, FileRead
from devicesdk.bundle.trust import ROLE_FLAGS
from devicesdk.wire import codec
from devicesdk.wire.messages import Control, ControlVerb
from tests_kit.agent_bundles import SIGNERS, Bundle, kill_of
from tests_kit.agent_charts import Agents, acknowledge, answer, sent, want_arrives
from tests_kit.charts import DUE, SILENCE, Asks

OLD, NEW = Bundle(1), Bundle(2)


@pytest.mark.parametrize("kind", ["want", "kill", "flags", "ctl", "dat"])
@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00", b"\xc1\xff", bytes(5000), b"\x81\xa1p\xc4\x01x", SIGNERS[ROLE_FLAGS].seal(b"")],
)
def test_garbage_on_any_topic_is_counted_and_changes_nothing(kind, payload):
    chart = want_arrives(Agents(OLD).online(), NEW)
    before, due = chart.machine.snapshot(), chart.machine.deadline()
    chart >> Arrived(kind, payload)
    chart << SILENCE
    assert chart.machine.garbage + chart.machine.ignored <= 1
    assert (chart.machine.snapshot(), chart.machine.deadline()) == (before, due)
    assert all(effect.kind == NoteKind.GARBAGE for effect in chart.left)


def test_an_unknown_topic_is_ignored():
    chart = Agents(OLD).online() >> Arrived("weather", b"")
    assert [effect.kind for effect in chart.left] == [NoteKind.IGNORED]


def test_verbs_reach_the_download():
    chart = want_arrives(Agents(OLD).online(), NEW)
    chart >> FileRead("meta-manifest", None)
    get = sent(chart, "get")[-1]
    wait = Control(verb=ControlVerb.WAIT, transfer=get.transfer, seq=get.seq, retry_after_ms=9)
    chart >> Arrived("ctl", codec.encode(wait))
    assert [effect.kind for effect in chart.left] == [NoteKind.TOLD_TO_WAIT]
    chart >> DUE
    chart << Asks(Publish, kind="get")


def test_a_verb_that_the_broker_kept_is_of_another_day():
    chart = Agents(OLD).online()
    report = codec.encode(Control(verb=ControlVerb.REPORT))
    chart >> Arrived("ctl", report, retained=True)
    assert [effect.kind for effect in chart.left] == [NoteKind.RETAINED_VERB]


def test_a_device_that_is_asked_says_again_what_it_has():
    chart = Agents(OLD).online()
    acknowledge(chart)
    told = sent(chart, "have")
    chart >> Arrived("ctl", codec.encode(Control(verb=ControlVerb.REPORT)))
    assert len(sent(chart, "have")) == len(told) + 1, "the same words count: somebody lost them"


def test_an_answer_that_nobody_asked_for_is_ignored():
    chart = Agents(OLD).online()
    chart >> Arrived("ctl", codec.encode(Control(verb=ControlVerb.ANSWER, ask=7)))
    assert chart.machine.ignored == 1
    assert chart.machine.garbage == 0


def test_a_kill_list_is_durable_before_anything_follows_from_it():
    chart = Agents(OLD).online()
    before = len(chart.all)
    answer(chart >> Arrived("kill", kill_of(1)))
    kinds = [type(effect).__name__ for effect in chart.all[before:]]
    assert kinds.index("Save") < kinds.index("Publish"), "power may go right after"
