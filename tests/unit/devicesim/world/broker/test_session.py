from __future__ import annotations

from collections import deque

import pytest

from devicesdk.wire.timebase import NEVER
from devicesim.world.broker.packets import Message, Outlet
from devicesim.world.broker.session import PACKET_ID_MAX, Session


class Deaf:
    def accepted(self, now, connack) -> None: ...
    def deliver(self, now, packet_id, message, dup) -> None: ...
    def closed(self, now, reason) -> None: ...


OUTLET: Outlet = Deaf()


def online(window: int = 2) -> Session:
    session = Session("dev")
    session.attach(OUTLET, window, None)
    session.validate()
    return session


def test_packet_ids_wrap_and_skip_what_is_in_flight() -> None:
    session = online()
    session.inflight = {1: Message("t", b""), PACKET_ID_MAX: Message("t", b"")}
    session.next_packet_id = PACKET_ID_MAX
    assert [session.take_packet_id() for _ in range(2)] == [2, 3]
    session.next_packet_id = PACKET_ID_MAX - 1
    assert session.take_packet_id() == PACKET_ID_MAX - 1
    session.inflight.clear()
    assert [session.take_packet_id() for _ in range(2)] == [PACKET_ID_MAX, 1]


def test_a_member_list_is_made_once() -> None:
    session = Session("dev")
    assert session.alone(1) is session.alone(1) == ((session, 1),)
    assert session.alone(0) == ((session, 0),)


def test_what_is_in_flight_is_to_be_sent_again() -> None:
    session = online()
    session.inflight = {5: Message("t", b""), 3: Message("t", b"")}
    session.room = 0
    session.detach()
    session.validate()
    session.attach(OUTLET, 1, 100)
    assert session.resend == deque([5, 3])
    assert (session.room, session.packet_bytes_max) == (1, 100)


def waste(session: Session) -> None:
    session.queue = deque([Message("t", b"")])


def overdraw(session: Session) -> None:
    session.room = 1


def forget_resend(session: Session) -> None:
    session.resend = deque([9])
    session.inflight = {}
    session.window = session.room = 0
    session.outlet = session.outlet_qos0 = None


def due(session: Session) -> None:
    session.expires_at_ns = NEVER - 1


@pytest.mark.parametrize(
    ("break_it", "story"),
    [
        (waste, "2 free places in the window while"),
        (overdraw, "expected room 2 - 0, found 1"),
        (forget_resend, "not in flight"),
        (due, "connected and yet due to end"),
    ],
)
def test_broken_invariants_tell_their_story(break_it, story: str) -> None:
    session = online()
    break_it(session)
    with pytest.raises(AssertionError, match=story):
        session.validate()
