"""PUBACKs leave in the order of arrival, each once, and never on another connection."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.runtime.acks import Acks

QUICK = settings(derandomize=True, max_examples=200, deadline=None, database=None)


def arrived(acks, *packet_ids, epoch=1):
    for packet_id in packet_ids:
        acks.arrived(packet_id, epoch)


def test_who_is_dealt_with_waits_for_those_before():
    acks, sent = Acks(), []
    arrived(acks, 1, 2, 3)
    acks.settle((2, 3), sent.append)
    assert (sent, acks.held, len(acks)) == ([], True, 3)
    acks.settle((1,), sent.append)
    assert (sent, acks.held, len(acks)) == ([1, 2, 3], False, 0)


def test_what_is_not_waited_for_is_not_acknowledged():
    acks, sent = Acks(), []
    arrived(acks, 1)
    acks.settle((0, 7), sent.append)
    acks.settle((1, 1), sent.append)
    acks.settle((1,), sent.append)
    assert (sent, acks.held) == ([1], False)


def test_the_next_connection_begins_anew():
    acks, sent = Acks(), []
    arrived(acks, 1, 2)
    acks.settle((2,), sent.append)
    arrived(acks, 9, epoch=2)
    acks.settle((1, 2), sent.append)
    assert (sent, acks.held, len(acks)) == ([], False, 1), "an earlier connection's are void"
    acks.settle((9,), sent.append)
    assert sent == [9]


def test_a_packet_that_comes_twice_is_acknowledged_once():
    acks, sent = Acks(), []
    arrived(acks, 4, 4)
    acks.settle((4,), sent.append)
    arrived(acks, 4)
    assert (sent, acks.held, len(acks)) == ([4], False, 1), "its id may be used again afterwards"


@QUICK
@given(st.permutations(range(1, 12)), st.lists(st.integers(1, 4), min_size=12, max_size=12))
def test_whatever_the_order_of_dealing_the_order_of_arrival_is_kept(order, sizes):
    acks, sent, left = Acks(), [], list(order)
    arrived(acks, *range(1, 12))
    for size in sizes:
        acks.settle(left[:size], sent.append)
        del left[:size]
        assert sent == list(range(1, len(sent) + 1))
        assert acks.held == (len(acks) > len(left))
    assert len(sent) == 11
    assert not acks.held
