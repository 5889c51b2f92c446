"""The outgoing books of one connection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.aio.lean_window import IN_FLIGHT_MAX, PACKET_ID_MAX, SUBSCRIBES_MAX, Window
from devicesdk.aio.port import PortFullError


def send(window: Window, token: int, packet: bytes = b"packet") -> tuple[int, bool]:
    packet_id = window.allot()
    return packet_id, window.admit(packet_id, token, packet)


def test_ids_count_from_one_and_come_back_after_the_last():
    window = Window(receive_maximum=10)
    ids = []
    for token in range(PACKET_ID_MAX + 2):
        packet_id, _ = send(window, token)
        ids.append(packet_id)
        assert window.settle(packet_id) == token
    assert ids[0] == 1
    assert ids[-3:] == [PACKET_ID_MAX, 1, 2]


def test_an_id_without_an_answer_is_passed_over():
    window = Window(receive_maximum=10)
    stuck, _ = send(window, 7)
    asked = window.ask(1)
    assert (stuck, asked) == (1, 2)
    for _ in range(PACKET_ID_MAX - 2):
        window.settle(send(window, 0)[0])
    assert send(window, 8)[0] == 3


def test_an_id_that_was_allotted_and_not_taken_is_allotted_again():
    window = Window(receive_maximum=10)
    assert window.allot() == window.allot() == 1


def test_what_does_not_fit_the_window_waits_in_order():
    window = Window(receive_maximum=2)
    sent = [send(window, token, b"%d" % token) for token in range(4)]
    assert [now for _, now in sent] == [True, True, False, False]
    assert (window.in_flight, window.held, window.held_bytes) == (2, 2, 2)
    assert window.release() is None, "nothing may leave before an answer"
    assert window.settle(sent[1][0]) == 1
    assert window.release() == b"2"
    assert window.release() is None
    assert window.settle(sent[0][0]) == 0
    assert window.release() == b"3"
    assert (window.in_flight, window.held, window.held_bytes) == (2, 0, 0)


def test_a_newcomer_does_not_overtake_what_waits():
    window = Window(receive_maximum=1)
    first, _ = send(window, 0)
    send(window, 1, b"waits")
    window.settle(first)
    assert send(window, 2, b"comes later")[1] is False
    assert window.release() == b"waits"


def test_an_answer_to_nothing_is_told_apart():
    window = Window(receive_maximum=1)
    send(window, 0)
    held, _ = send(window, 1)
    assert window.settle(held) is None, "a publish that was never sent cannot be acknowledged"
    assert window.settle(999) is None
    assert window.answer(999) is None


def test_the_queue_refuses_the_newest():
    window = Window(receive_maximum=1, queue_messages_max=2)
    for token in range(3):
        send(window, token)
    with pytest.raises(PortFullError, match="at most 2 publishes"):
        window.allot()
    assert window.held == 2


def test_a_generous_broker_leaves_ids_for_the_rest():
    window = Window(receive_maximum=65_535, queue_messages_max=1)
    for token in range(IN_FLIGHT_MAX):
        assert send(window, token)[1]
    assert not send(window, IN_FLIGHT_MAX)[1]


def test_subscribes_are_answered_by_id_with_their_number_of_filters():
    window = Window(receive_maximum=1)
    first, second = window.ask(3), window.ask(1)
    assert first != second
    assert window.answer(second) == 1
    assert window.answer(first) == 3
    assert window.answer(first) is None


def test_subscribes_are_bounded():
    window = Window(receive_maximum=1)
    for _ in range(SUBSCRIBES_MAX):
        window.ask(1)
    with pytest.raises(PortFullError, match="unanswered subscribes"):
        window.ask(1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 5), st.lists(st.one_of(st.just("send"), st.integers(0, 9)), max_size=120))
def test_whatever_the_order_of_answers_all_leave_once_in_order(limit, steps):
    window = Window(receive_maximum=limit)
    flying: list[int] = []
    waiting: dict[bytes, int] = {}
    left: list[bytes] = []
    count = 0
    for step in steps:
        if step == "send":
            packet = b"%d" % count
            packet_id, now = send(window, count, packet)
            count += 1
            assert packet_id not in flying
            assert packet_id not in waiting.values()
            if now:
                flying.append(packet_id)
                left.append(packet)
            else:
                waiting[packet] = packet_id
        elif flying:
            assert window.settle(flying.pop(step % len(flying))) is not None
            while (packet := window.release()) is not None:
                flying.append(waiting.pop(packet))
                left.append(packet)
        assert len(flying) == window.in_flight <= limit
        assert len(waiting) == window.held
        assert not waiting or len(flying) == limit, "room in the window, and something waits"
    assert left == [b"%d" % i for i in range(len(left))]
