"""What a device says is judged by what it said before."""

import pytest

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Event, Have, Link, UpdateState
from gateway.conform.ledger import Ledger, Verdict
from gateway.conform.rules import BY_ID
from gateway.conform.watch import Watch


class Ear:
    def __init__(self):
        self.ledger = Ledger()
        self.watch = Watch(self.ledger)

    def hear(self, kind, message):
        self.watch.take(kind, codec.encode(message), 0)

    def have(self, seq, state=UpdateState.IDLE, generation=1, boot=1):
        self.hear(topics.HAVE, Have(boot_id=boot, seq=seq, state=state, generation=generation))

    def verdict(self, rule):
        return self.ledger.finding(BY_ID[rule]).verdict


@pytest.fixture
def ear():
    return Ear()


def test_garbage_is_held_against_the_device(ear):
    ear.watch.take(topics.HAVE, b"\xff", 0)
    assert ear.verdict("R1") is Verdict.BROKEN
    assert ear.ledger.finding(BY_ID["R1"]).evidence == "ff"


@pytest.mark.parametrize(
    ("boot", "seq", "verdict"), [(1, 6, "kept"), (2, 1, "kept"), (1, 4, "broken")]
)
def test_reports_grow(ear, boot, seq, verdict):
    ear.have(5)
    ear.have(seq, boot=boot)
    assert ear.verdict("R2") == verdict


def test_the_same_report_again_is_the_broker(ear):
    ear.have(5)
    ear.have(5)
    assert len(ear.watch.haves) == 1


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ("OFFERED WAITING DOWNLOADING WAITING VERIFIED TRIAL COMMITTED", "kept"),
        ("DOWNLOADING TRIAL DOWNLOADING", "broken"),
        ("COMMITTED FAILED", "broken"),
        ("FAILED FAILED", "kept"),
    ],
)
def test_states_go_forward(ear, states, verdict):
    for seq, state in enumerate(states.split(), 1):
        ear.have(seq, UpdateState[state])
    assert ear.verdict("R5") == verdict


def test_another_generation_begins_again(ear):
    ear.have(1, UpdateState.COMMITTED, generation=1)
    ear.have(2, UpdateState.OFFERED, generation=2)
    assert ear.verdict("R5") is Verdict.KEPT
    assert ear.watch.in_state(2, UpdateState.OFFERED) is not None
    assert ear.watch.in_state(2, UpdateState.COMMITTED) is None


def test_presence_is_ordered_by_boot_and_session_and_offline_is_final(ear):
    for session, online in ((2, True), (1, False), (2, False), (2, True)):
        ear.hear(topics.LINK, Link(boot_id=1, session=session, online=online))
    assert ear.watch.link.session == 2
    assert not ear.watch.online


def test_events_grow_and_one_number_has_one_content(ear):
    def event(seq, state):
        return Event(boot_id=1, seq=seq, kind="update", state=state, generation=3)

    ear.hear(topics.EV, event(1, UpdateState.DOWNLOADING))
    ear.hear(topics.EV, event(2, UpdateState.TRIAL))
    ear.hear(topics.EV, event(1, UpdateState.DOWNLOADING))
    assert ear.verdict("R6") is Verdict.KEPT
    assert [e.state for e in ear.watch.told(3)] == [UpdateState.DOWNLOADING, UpdateState.TRIAL]
    ear.hear(topics.EV, event(2, UpdateState.FAILED))
    assert ear.verdict("R6") is Verdict.BROKEN
