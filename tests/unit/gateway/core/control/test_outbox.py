"""The durable outbox: nothing decided is lost, nothing newer is deleted by an older answer."""

from __future__ import annotations

import pytest

from gateway.core import rows
from gateway.core.control.outbox import Outbox
from gateway.core.effects import Persist, Publish
from gateway.core.internal import CONTROL_TOKENS, TOKEN_STRIDE
from gateway.core.rows import OutboxRow


class Box:
    """An outbox, its rows as a store has them, and what it published."""

    def __init__(self, in_flight_max=2):
        self.box, self.rows, self.sent = Outbox(in_flight_max), {}, []

    def take(self, out):
        for effect in out:
            if isinstance(effect, Persist):
                assert effect.table == rows.OUTBOX
                self.rows[effect.key] = effect.row
                if effect.row is None:
                    del self.rows[effect.key]
            else:
                assert isinstance(effect, Publish)
                self.sent.append(effect)
        self.box.validate()
        return out

    def put(self, topic, payload=b"1", kind="want"):
        out = []
        self.box.put(topic, kind, payload, out)
        return self.take(out)

    def up(self):
        out = []
        self.box.up(out)
        return self.take(out)

    def ack(self, publish):
        out = []
        self.box.acked(publish.token, out)
        return self.take(out)

    @property
    def topics(self):
        return [publish.topic for publish in self.sent]


def test_a_row_is_durable_in_the_batch_that_publishes_it_and_goes_with_the_answer():
    box = Box()
    box.up()
    persist, publish = box.put("d/1/want")
    assert (persist.key, persist.row) == ("d/1/want", OutboxRow("want", b"1"))
    assert publish.retain
    assert publish.token % TOKEN_STRIDE == CONTROL_TOKENS
    assert box.box.in_flight == box.box.rows_count == 1
    box.ack(publish)
    assert box.rows == {}
    assert box.box.in_flight == box.box.rows_count == 0


def test_without_a_broker_rows_wait_and_kill_and_flags_go_first():
    box = Box()
    for topic, kind in (("b", "want"), ("a", "want"), ("f/all", "flags"), ("k", "kill")):
        box.put(topic, kind=kind)
    assert box.sent == []
    box.up()
    assert box.topics == ["k", "f/all"], (
        "the window of 2 is full: wants wait, kill and flags do not"
    )
    box.ack(box.sent[0])
    box.ack(box.sent[1])
    assert box.topics == ["k", "f/all", "a", "b"]


def test_kill_does_not_wait_for_the_window():
    box = Box(in_flight_max=1)
    box.up()
    box.put("a")
    box.put("b")
    box.put("k", kind="kill")
    assert box.topics == ["a", "k"]


def test_the_newest_decision_wins_and_an_older_answer_does_not_delete_it():
    box = Box(in_flight_max=5)
    box.up()
    box.put("a", b"old")
    box.put("a", b"new")
    old, new = box.sent
    box.ack(old)
    assert box.rows["a"].payload == b"new", "the answer to the old publish deleted the new row"
    box.ack(new)
    assert box.rows == {}


def test_a_newer_decision_that_has_to_wait_survives_the_older_answer():
    box = Box(in_flight_max=1)
    box.up()
    box.put("a", b"old")
    box.put("a", b"new")
    box.ack(box.sent[0])
    assert [publish.payload for publish in box.sent] == [b"old", b"new"]
    box.ack(box.sent[1])
    assert box.rows == {}


def test_after_a_reconnect_everything_left_is_published_again_and_old_answers_are_void():
    box = Box()
    box.up()
    box.put("a")
    box.box.down()
    box.put("b")
    assert box.topics == ["a"]
    before = box.sent[0]
    box.up()
    assert box.topics == ["a", "a", "b"]
    box.ack(before)
    assert set(box.rows) == {"a", "b"}, "an answer from the earlier connection was believed"


def test_a_restart_publishes_what_is_left():
    box = Box()
    box.put("a")
    restarted = Box()
    for topic, row in box.rows.items():
        restarted.box.restore(topic, row)
    restarted.up()
    assert restarted.topics == ["a"]


def test_questions_are_not_retained_and_leave_no_row():
    box = Box(in_flight_max=1)
    out = []
    box.box.ask("d/1/ctl", "ctl", b"", 60, out)
    assert out == [], "nobody can be asked without a broker"
    box.up()
    box.box.ask("d/1/ctl", "ctl", b"", 60, out)
    (publish,) = box.take(out)
    assert (publish.retain, publish.expiry_ns) == (False, 60)
    box.put("a")
    assert box.topics == ["d/1/ctl"], "a question counts as in flight"
    box.ack(publish)
    assert box.topics == ["d/1/ctl", "a"]


def test_books_that_would_lose_a_row_do_not_pass():
    box = Box()
    box.up()
    box.box.restore("a", OutboxRow("want", b""))
    with pytest.raises(AssertionError, match="nothing will publish"):
        box.box.validate()
