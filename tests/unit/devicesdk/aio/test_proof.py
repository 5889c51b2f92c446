"""An acknowledgement is told when a ping that left after it was answered, not before."""

from __future__ import annotations

from devicesdk.aio.proof import Proof


def test_nothing_wants_a_ping_until_something_is_acknowledged():
    assert not Proof().wants_ping


def test_a_ping_that_left_before_proves_nothing():
    proof = Proof()
    proof.pinged()  # the keep-alive's
    proof.acked(1, 0)
    assert proof.answered() == []
    assert proof.wants_ping


def test_one_ping_proves_all_that_came_before_it_and_nothing_after():
    proof = Proof()
    proof.acked(1, 0)
    proof.acked(2, 0x10)
    proof.pinged()
    proof.acked(3, 0)
    assert not proof.wants_ping, "one at a time"
    assert proof.answered() == [(1, 0), (2, 0x10)]
    assert proof.wants_ping, "the third has come too late for the first ping"
    proof.pinged()
    assert proof.answered() == [(3, 0)]
    assert not proof.wants_ping


def test_a_ping_of_the_keep_alive_that_left_after_it_proves_too():
    proof = Proof()
    proof.acked(1, 0)
    proof.pinged()
    proof.acked(2, 0)
    proof.pinged()  # the keep-alive's
    assert proof.answered() == [(1, 0)]
    assert proof.answered() == [(2, 0)]


def test_a_wait_for_company_begins_once_and_only_for_something_unproven():
    proof = Proof()
    assert not proof.begin_wait()
    proof.acked(1, 0)
    assert proof.begin_wait()
    proof.acked(2, 0)
    assert not proof.begin_wait(), "one timer is enough"
    proof.pinged()  # with a write that came first
    proof.waits = False
    assert not proof.begin_wait(), "a ping is on its way"


def test_an_answer_to_no_ping_proves_nothing():
    proof = Proof()
    proof.acked(1, 0)
    assert proof.answered() == []
