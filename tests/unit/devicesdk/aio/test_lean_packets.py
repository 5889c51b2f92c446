"""Bytes to packets: any pieces, any noise, any size."""

from __future__ import annotations

from itertools import pairwise

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesdk.aio.lean_packets import (
    CARRIED_BYTES_MAX,
    MALFORMED,
    PACKET_TOO_LARGE,
    PING,
    SCRATCH_BYTES,
    Reader,
    connect_packet,
    disconnect_packet,
    problem_of,
    subscribe_packet,
)
from devicesdk.aio.port import Dial, Endpoint, Will

STREAM = b"".join(
    mqtt5.PublishPacket(f"t/{i}", bytes([i]) * (i * 13), qos=mqtt5.QoS.AT_MOST_ONCE).write()
    for i in range(1, 20)
)


def parse(data: bytes) -> mqtt5.Packet:
    packet, length = mqtt5.read(memoryview(data))
    assert length == len(data)
    return packet


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=30))
def test_a_stream_cut_anywhere_gives_the_same_packets(cuts):
    reader = Reader(1_000)
    bounds = [0, *sorted(set(cuts)), len(STREAM)]
    packets = []
    for begin, end in pairwise(bounds):
        packets += reader.feed(STREAM[begin:end])
    assert reader.fault is None
    assert [p.topic for p in packets] == [f"t/{i}" for i in range(1, 20)]
    assert all(p.payload == bytes([i]) * (i * 13) for i, p in enumerate(packets, 1))


class Shared:
    """Reads several streams through one buffer, as a loop does."""

    def __init__(self, packet_bytes_max, count):
        scratch = memoryview(bytearray(SCRATCH_BYTES + CARRIED_BYTES_MAX))
        self.readers = [Reader(packet_bytes_max, scratch) for _ in range(count)]

    def arrive(self, which, data):
        packets, reader = [], self.readers[which]
        while data:
            room = reader.room()
            count = min(len(room), len(data))
            room[:count] = data[:count]
            packets += reader.filled(count)
            data = data[count:]
        return packets


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 900)), max_size=60))
def test_streams_that_share_a_buffer_do_not_mix(reads):
    shared, at = Shared(1_000, 3), [0, 0, 0]
    packets = [[], [], []]
    for which, count in (*reads, (0, len(STREAM)), (1, len(STREAM)), (2, len(STREAM))):
        packets[which] += shared.arrive(which, STREAM[at[which] : at[which] + count])
        at[which] += count
    for mine in packets:
        assert [p.payload for p in mine] == [bytes([i]) * (i * 13) for i in range(1, 20)]


@pytest.mark.parametrize("size", [CARRIED_BYTES_MAX - 9, CARRIED_BYTES_MAX + 9, 700_000])
@pytest.mark.parametrize("step", [40_000, 65_536, SCRATCH_BYTES + CARRIED_BYTES_MAX, 10**6])
def test_a_packet_longer_than_what_is_carried_comes_whole(size, step):
    long = mqtt5.PublishPacket("long", bytes(range(250)) * (size // 250)).write()
    stream, shared, packets = STREAM + long + STREAM, Shared(1_000_000, 1), []
    for begin in range(0, len(stream), step):
        packets += shared.arrive(0, stream[begin : begin + step])
    assert [p.topic for p in packets] == [f"t/{i}" for i in range(1, 20)] + ["long"] + [
        f"t/{i}" for i in range(1, 20)
    ]
    assert packets[19].payload == bytes(range(250)) * (size // 250)
    assert shared.readers[0]._partial is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_noise_never_raises_and_is_never_kept_beyond_the_bound(pieces):
    reader = Reader(100)
    for piece in pieces:
        reader.feed(piece)
        kept = len(reader._partial or b"")
        assert kept <= 100


def test_what_was_whole_before_the_noise_is_still_good():
    reader = Reader(1_000)
    packets = reader.feed(STREAM + b"\x00\x00")
    assert len(packets) == 19
    assert reader.fault.code == MALFORMED
    assert reader.feed(STREAM) == [], "a refused stream stays refused"


def test_text_that_is_no_utf8_is_malformed_and_no_panic():
    reader = Reader(1_000)
    assert reader.feed(b"\x30\x08\x00\x03\xff\xfe\xfd\x00ab") == []
    assert reader.fault.code == MALFORMED
    assert "UTF-8" in reader.fault.reason


@pytest.mark.parametrize("pieces", [1, 5], ids=["at once", "in pieces"])
def test_a_packet_over_the_bound_is_refused(pieces):
    packet = mqtt5.PublishPacket("t", bytes(500)).write()
    reader = Reader(400)
    step = -(-len(packet) // pieces)
    for i in range(0, len(packet), step):
        assert reader.feed(packet[i : i + step]) == []
    assert reader.fault.code == PACKET_TOO_LARGE
    assert "at most 400 bytes" in reader.fault.reason


def test_a_packet_of_exactly_the_bound_is_taken():
    packet = mqtt5.PublishPacket("t", bytes(500)).write()
    reader = Reader(len(packet))
    assert reader.feed(packet[:-1]) == []
    assert len(reader.feed(packet[-1:])) == 1
    assert reader.fault is None


def test_connect_carries_what_the_dial_says():
    dial = Dial(
        client_id="dev-1",
        keepalive_s=30,
        session_expiry_s=3_600,
        receive_maximum=20,
        packet_bytes_max=65_536,
        will=Will("d/link", b"gone", retain=True),
    )
    packet = parse(connect_packet(Endpoint(username="dev-1", password="sésame"), dial))
    assert (packet.client_id, packet.keep_alive, packet.clean_start) == ("dev-1", 30, False)
    assert (packet.username, packet.password) == ("dev-1", "sésame".encode())
    assert (packet.session_expiry_interval, packet.receive_max) == (3_600, 20)
    assert packet.max_packet_size == 65_536
    will = packet.will
    assert (will.topic, will.payload, will.retain, will.qos) == ("d/link", b"gone", True, 1)


def test_connect_without_will_and_password():
    packet = parse(connect_packet(Endpoint(), Dial(client_id="dev-1", clean_start=True)))
    assert (packet.will, packet.username, packet.password) == (None, None, None)
    assert packet.clean_start


def test_subscribe_asks_the_same_qos_for_each_filter():
    packet = parse(subscribe_packet(7, ("a/#", "b"), 1))
    assert packet.packet_id == 7
    assert [(f.pattern, f.max_qos) for f in packet.topic_filters] == [("a/#", 1), ("b", 1)]


def test_disconnect_and_ping():
    assert parse(disconnect_packet(0x04)).reason_code == 0x04
    assert isinstance(parse(PING), mqtt5.PingReqPacket)


def test_a_connack_is_a_welcome_only_with_what_we_need():
    codes = mqtt5.ConnAckReasonCode
    assert problem_of(mqtt5.ConnAckPacket()) is None
    assert problem_of(mqtt5.ConnAckPacket(max_qos=mqtt5.QoS.AT_LEAST_ONCE)) is None
    refused = problem_of(mqtt5.ConnAckPacket(reason_code=codes.SERVER_BUSY))
    assert refused == "refused: server busy"
    assert "QoS 1" in problem_of(mqtt5.ConnAckPacket(max_qos=mqtt5.QoS.AT_MOST_ONCE))
    assert "retained" in problem_of(mqtt5.ConnAckPacket(retain_available=False))
