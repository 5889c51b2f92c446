"""What one read brings is told in order, together where the listener can take it together."""

from __future__ import annotations

import asyncio

import mqtt5
import pytest

from devicesdk.aio import lean_connection
from devicesdk.aio.lean_connection import FLUSH_BYTES, Connection
from devicesdk.aio.port import Dial


class Wire(asyncio.Transport):
    """Writes down what is sent."""

    def __init__(self):
        super().__init__()
        self.sent, self.writes = b"", 0
        self.closed = self.stuck = False

    def write(self, data):
        self.sent += data
        self.writes += 1

    def close(self):
        self.closed = True

    def abort(self):
        self.closed = True

    def get_write_buffer_size(self):
        return len(self.sent) if self.stuck else 0


class Single:
    """Hears one message at a time."""

    def __init__(self):
        self.heard = []
        self.on_first = None

    def on_connected(self, granted):
        self.heard.append("connected")

    def on_disconnected(self, reason):
        self.heard.append(reason)

    def on_suback(self, codes):
        self.heard.append(("suback", codes))

    def on_puback(self, token, code):
        self.heard.append(("puback", token, code))

    def on_message(self, message):
        self.heard.append(message.payload)
        if self.on_first is not None:
            self.on_first()

    def release(self):
        """As the owner."""


class Crowd(Single):
    """Hears together what came together."""

    def on_messages(self, messages):
        self.heard.append([message.payload for message in messages])
        if self.on_first is not None:
            self.on_first()


def publish(payload, packet_id=None, alias=None):
    qos = mqtt5.QoS.AT_LEAST_ONCE if packet_id else mqtt5.QoS.AT_MOST_ONCE
    return mqtt5.PublishPacket(
        "t", payload, qos=qos, packet_id=packet_id, topic_alias=alias
    ).write()


def arrive(connection, data):
    """As a loop does it."""
    room = connection.get_buffer(-1)
    room[: len(data)] = data
    connection.buffer_updated(len(data))


def end_turn(connection):
    """What was collected in this turn of the loop is written."""
    connection._loop.run_until_complete(asyncio.sleep(0))


@pytest.fixture
def connect():
    loop = asyncio.new_event_loop()

    def make(listener, **dial):
        connection = Connection(listener, listener, loop, Dial(client_id="d", **dial), b"hello", 0)
        wire = Wire()
        connection.connection_made(wire)
        arrive(connection, mqtt5.ConnAckPacket().write())
        return connection, wire

    yield make
    loop.close()


READ = publish(b"a") + publish(b"b") + publish(b"c", packet_id=7) + publish(b"d")


def test_a_listener_for_one_hears_one_at_a_time(connect):
    listener = Single()
    arrive(connect(listener)[0], READ)
    assert listener.heard == ["connected", b"a", b"b", b"c", b"d"]


def test_a_listener_for_many_hears_together_what_is_not_to_be_acknowledged(connect):
    listener = Crowd()
    arrive(connect(listener)[0], READ)
    assert listener.heard == ["connected", [b"a", b"b"], b"c", [b"d"]]


def test_the_next_read_is_another_call(connect):
    listener = Crowd()
    connection, _ = connect(listener)
    arrive(connection, READ[:-3])
    arrive(connection, READ[-3:])
    assert listener.heard == ["connected", [b"a", b"b"], b"c", [b"d"]]


def test_what_came_before_a_fault_is_heard_before_the_end(connect):
    listener = Crowd()
    arrive(connect(listener)[0], publish(b"a") + publish(b"b", alias=3) + publish(b"c"))
    assert listener.heard[:2] == ["connected", [b"a"]]
    assert "alias" in listener.heard[2]
    assert len(listener.heard) == 3


@pytest.mark.parametrize("ending", ["abort", "disconnect"])
def test_nothing_is_told_after_the_listener_ended_it_inside_the_call(connect, ending):
    listener = Crowd()
    connection, wire = connect(listener)
    listener.on_first = connection.abort if ending == "abort" else lambda: connection.disconnect(4)
    arrive(connection, READ)
    assert listener.heard == ["connected", [b"a", b"b"]]
    assert wire.closed


def test_what_answers_reads_leaves_in_one_write_before_the_next_turn(connect):
    listener = Single()
    connection, wire = connect(listener)
    end_turn(connection)
    wire.sent, wire.writes = b"", 0
    arrive(connection, publish(b"a", packet_id=7))
    arrive(connection, publish(b"b", packet_id=8))
    assert wire.sent == b"", "a process of many connections reads them all before it writes"
    end_turn(connection)
    assert wire.sent == mqtt5.PubAckPacket(7).write() + mqtt5.PubAckPacket(8).write()
    assert wire.writes == 1


def test_what_was_collected_goes_with_the_goodbye(connect):
    connection, wire = connect(Single())
    wire.sent = b""
    arrive(connection, publish(b"a", packet_id=7))
    connection.disconnect(0)
    assert wire.sent.startswith(mqtt5.PubAckPacket(7).write())
    written = wire.sent
    end_turn(connection)
    assert wire.sent == written


def test_what_was_collected_is_lost_with_an_abort(connect):
    connection, wire = connect(Single())
    end_turn(connection)
    wire.sent = b""
    arrive(connection, publish(b"a", packet_id=7))
    connection.abort()
    end_turn(connection)
    assert wire.sent == b""


def test_nothing_is_written_to_a_socket_that_is_gone(connect):
    listener = Single()
    connection, wire = connect(listener)
    end_turn(connection)
    wire.sent = b""
    arrive(connection, publish(b"a", packet_id=7))
    connection.connection_lost(None)
    end_turn(connection)
    assert wire.sent == b""
    assert listener.heard[-1] == "closed by the broker"


def test_a_broker_that_sends_for_ever_and_reads_nothing_is_hung_up_on(connect, monkeypatch):
    monkeypatch.setattr(lean_connection, "BACKLOG_BYTES_MAX", 2 * FLUSH_BYTES)
    listener = Single()
    connection, wire = connect(listener)
    wire.stuck = True
    flood = publish(b"", packet_id=7) * 8_000
    for _ in range(20):
        if wire.closed:
            break
        arrive(connection, flood)
    assert wire.closed, f"{len(wire.sent)} bytes of acknowledgements are held for it"
    assert "takes nothing" in listener.heard[-1]
    assert len(wire.sent) <= 3 * FLUSH_BYTES + 100


def test_much_leaves_at_once_and_only_once(connect):
    connection, wire = connect(Single())
    end_turn(connection)
    wire.sent, wire.writes = b"", 0
    listener = connection._listener
    listener.on_first = lambda: connection.publish("t", bytes(70_000), 0, 0, 0, retain=False)
    arrive(connection, publish(b"a"))
    assert len(wire.sent) > 70_000
    end_turn(connection)
    assert wire.writes == 1


PUBACK = mqtt5.PubAckPacket(1).write()
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


@pytest.fixture
def unproven(connect):
    """A connection with a message that waits for its PUBACK, and its wire, from here on."""
    listener = Single()
    connection, wire = connect(listener, proven_acks=True, keepalive_s=0)
    listener.on_first = lambda: connection.publish("t", b"said", 1, 5, 0, retain=False)
    arrive(connection, publish(b"say something"))
    end_turn(connection)
    wire.sent, listener.on_first = b"", None
    return listener, connection, wire


def test_the_ping_of_a_proof_travels_with_the_next_write(unproven):
    listener, connection, wire = unproven
    listener.on_first = lambda: connection.publish("t", b"more", 0, 0, 0, retain=False)
    arrive(connection, PUBACK + publish(b"say more"))
    end_turn(connection)
    assert b"more" in wire.sent
    assert wire.sent.endswith(PINGREQ), f"the ping is not in the same write: {wire.sent!r}"
    assert ("puback", 5, 0) not in listener.heard, "nothing has proven it yet"
    arrive(connection, PINGRESP)
    assert listener.heard[-1] == ("puback", 5, 0)
    assert wire.sent.count(PINGREQ) == 1


def test_the_ping_of_a_proof_waits_for_a_write_and_not_for_long(unproven):
    listener, connection, wire = unproven
    arrive(connection, PUBACK)
    assert wire.sent == b"", "a ping is not worth a write of its own yet"
    loop = connection._loop
    give_up = loop.time() + 30
    while not wire.sent and loop.time() < give_up:
        loop.run_until_complete(asyncio.sleep(0.01))
    assert wire.sent == PINGREQ
    arrive(connection, PINGRESP)
    assert listener.heard[-1] == ("puback", 5, 0)
