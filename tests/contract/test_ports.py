"""The contract of `MqttPort`, once, for every adapter: on a real mosquitto, and on rude servers.

The other side is paho-mqtt in a thread of its own. The lean endpoint is played on both event loops. How
connections end is in test_port_ends.py.
"""

# ruff: noqa: F811 - pytest finds fixtures by the names that are imported

from __future__ import annotations

import asyncio
import ssl

import mqtt5
import pytest

from devicesdk.aio.port import (
    QUEUE_MESSAGES_MAX,
    REFUSED_FROM,
    Dial,
    Endpoint,
    PortFullError,
)
from tests.contract.ports_kit import (  # noqa: F401 - fixtures
    PACKET_BYTES_MAX,
    RECEIVE_MAX,
    Ear,
    FakeBroker,
    Relay,
    broker,
    connack,
    free_port,
    locked_broker,
    peer_of,
)
from tests.contract.ports_players import (  # noqa: F401 - fixtures
    connect,
    event_loop_policy,
    kind,
    make_port,
    name,
    round_trip,
    subscribed,
)

pytestmark = [
    pytest.mark.mosquitto,
    # The hook that replaces this fixture would change every test of the folder.
    pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture"),
]


# ---- connecting ----


async def test_a_connection_tells_what_the_broker_granted(connect, name):
    port, ear = await connect(name)
    granted = ear.all("connected")[0][0]
    assert port.connected
    assert not granted.session_present
    assert granted.receive_maximum == RECEIVE_MAX
    assert granted.packet_bytes_max == PACKET_BYTES_MAX
    assert granted.keepalive_s == 60


async def test_a_session_is_present_when_it_was_kept(connect, name):
    port, _ = await connect(name, session_expiry_s=60)
    port.disconnect()
    port, ear = await connect(name, session_expiry_s=60)
    assert ear.all("connected")[0][0].session_present
    port.disconnect()
    _, ear = await connect(name, session_expiry_s=60, clean_start=True)
    assert not ear.all("connected")[0][0].session_present


async def test_nobody_listens(make_port, name):
    port, ear = make_port(Endpoint(port=free_port()))
    port.connect(Dial(client_id=name))
    (reason,) = await ear.until("connect failed")
    assert "refused" in reason
    assert not port.connected


async def test_a_host_without_an_address(make_port, name):
    port, ear = make_port(Endpoint(host="no-such-host.invalid"))
    port.connect(Dial(client_id=name))
    await ear.until("connect failed")
    assert [line[0] for line in ear.heard] == ["connect failed"]


async def test_a_server_that_never_answers(make_port, name):
    async with FakeBroker(greeting=None).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name, timeout_s=0.5))
        assert await ear.until("connect failed") == ("timeout",)
        assert not port.connected


async def test_a_wrong_password_is_refused_and_the_right_one_is_not(
    make_port,
    locked_broker,
    name,
):
    wrong = Endpoint(port=locked_broker.port, username="dev-1", password="open")
    port, ear = make_port(wrong)
    port.connect(Dial(client_id=name))
    (reason,) = await ear.until("connect failed")
    assert "not authorized" in reason
    right = Endpoint(port=locked_broker.port, username="dev-1", password="sesame")
    port, ear = make_port(right)
    port.connect(Dial(client_id=name))
    await ear.until("connected")


async def test_tls_with_a_trusted_certificate(broker, connect, name):
    port, ear = await connect(name, Endpoint(port=broker.tls_port, tls=broker.trusted()))
    await subscribed(port, ear, f"{name}/#")
    port.publish(f"{name}/a", b"x" * 90_000, qos=1, token=1)
    assert (await ear.until("message"))[0].payload == b"x" * 90_000


async def test_tls_with_a_stranger_fails(broker, make_port, name):
    port, ear = make_port(Endpoint(port=broker.tls_port, tls=ssl.create_default_context()))
    port.connect(Dial(client_id=name))
    assert "certificate" in (await ear.until("connect failed"))[0]


async def test_a_unix_socket(broker, connect, name):
    port, ear = await connect(name, Endpoint(unix=broker.unix))
    assert await subscribed(port, ear, f"{name}/#") == (1,)


async def test_a_source_address(broker, connect, name):
    port, ear = await connect(name, Endpoint(port=broker.port, source=("127.0.0.9", 0)))
    assert await subscribed(port, ear, f"{name}/#") == (1,)


async def test_two_connects_at_once_are_an_error(connect, name):
    port, _ = await connect(name)
    with pytest.raises(RuntimeError, match="disconnect or abort first"):
        port.connect(Dial(client_id=name))


async def test_a_dial_that_was_given_up_tells_nothing(make_port, broker, name):
    port, ear = make_port(Endpoint(port=broker.port))
    for _ in range(5):
        port.connect(Dial(client_id=name))
        port.abort()
    port.connect(Dial(client_id=name))
    await ear.until("connected")
    await asyncio.sleep(0.1)
    assert [line[0] for line in ear.heard] == ["connected"]


# ---- messages ----


async def test_subscribe_answers_with_a_code_for_each_filter(connect, name):
    port, ear = await connect(name)
    assert await subscribed(port, ear, f"{name}/a", f"{name}/b/#") == (1, 1)


async def test_messages_both_ways_with_qos_0_and_1(broker, connect, name):
    port, ear = await connect(name)
    async with peer_of(broker, f"{name}-peer") as peer:
        await subscribed(port, ear, f"{name}/down/#")
        await peer.subscribe(f"{name}/up/#")
        for qos in (0, 1):
            await peer.publish(f"{name}/down/{qos}", b"to you", qos)
            port.publish(f"{name}/up/{qos}", b"to me", qos=qos, token=70 + qos)
        assert await peer.until(2) == [(f"{name}/up/0", b"to me"), (f"{name}/up/1", b"to me")]
        await ear.until("message", 2)
        assert await ear.until("puback") == (71, 0)
    got = [(m.topic, m.payload, m.qos, m.retain) for m in ear.messages]
    assert got == [
        (f"{name}/down/0", b"to you", 0, False),
        (f"{name}/down/1", b"to you", 1, False),
    ]
    assert ear.messages[0].packet_id == 0
    assert ear.messages[1].packet_id != 0


async def test_retained_state_comes_marked_as_such(broker, connect, name):
    port, ear = await connect(name)
    port.publish(f"{name}/have", b"state", qos=1, retain=True)
    await ear.until("puback")
    await subscribed(port, ear, f"{name}/have")
    (message,) = await ear.until("message")
    assert message.retain
    port.publish(f"{name}/have", b"", qos=1, retain=True)
    await ear.until("message", 2)
    assert ear.messages[1].payload == b""


async def test_an_expiry_reaches_the_other_side(broker, connect, name):
    port, _ = await connect(name)
    async with peer_of(broker, f"{name}-peer") as peer:
        await peer.subscribe(f"{name}/#")
        port.publish(f"{name}/ctl", b"wait", qos=1, expiry_s=600)
        await peer.until(1)
        assert 540 <= peer.messages[0].properties.MessageExpiryInterval <= 600


async def test_many_messages_keep_their_order_and_tokens(connect, name):
    port, ear = await connect(name)
    await subscribed(port, ear, f"{name}/#")
    for i in range(300):
        port.publish(f"{name}/n", b"%d" % i, qos=1, token=i)
    await ear.until("puback", 300)
    await ear.until("message", 300)
    assert [m.payload for m in ear.messages] == [b"%d" % i for i in range(300)]
    assert ear.all("puback") == [(i, 0) for i in range(300)]


async def test_a_refused_publish_says_so(connect, name):
    port, ear = await connect(name)
    port.publish(f"forbidden/{name}", b"x", qos=1, token=9)
    assert await ear.until("puback") == (9, 0x87)


async def test_what_was_not_acknowledged_by_hand_comes_again(broker, connect, name, kind):
    wishes = {"manual_ack": True, "session_expiry_s": 60}
    port, ear = await connect(name, **wishes)
    async with peer_of(broker, f"{name}-peer") as peer:
        await subscribed(port, ear, f"{name}/#")
        for i in range(3):
            await peer.publish(f"{name}/{i}", b"x")
        await ear.until("message", 3)
        port.acknowledge(ear.messages[1].packet_id)
        await round_trip(port, ear, name)
        port.abort()
        port.connect(Dial(client_id=name, **wishes))
        await ear.until("connected", 2)
        await ear.until("message", 5)
        again = ear.messages[3:]
        assert [m.topic for m in again] == [f"{name}/0", f"{name}/2"]
        if kind != "aiomqtt":
            assert all(m.dup for m in again)
        for stale in (*ear.messages[:3], *again):
            port.acknowledge(stale.packet_id)
            port.acknowledge(stale.packet_id)
        await peer.publish(f"{name}/last", b"x")
        await ear.until("message", 6)
        assert port.connected, "an acknowledgement of an old connection reached the new one"


async def test_without_manual_ack_a_message_comes_once(broker, connect, name):
    port, ear = await connect(name, session_expiry_s=60)
    async with peer_of(broker, f"{name}-peer") as peer:
        await subscribed(port, ear, f"{name}/#")
        for i in range(RECEIVE_MAX * 3):
            await peer.publish(f"{name}/{i}", b"x")
        await ear.until("message", RECEIVE_MAX * 3)
        await round_trip(port, ear, name)
        port.abort()
        port.connect(Dial(client_id=name, session_expiry_s=60))
        await ear.until("connected", 2)
        await peer.publish(f"{name}/last", b"x")
        await ear.until("message", RECEIVE_MAX * 3 + 1)
    assert ear.messages[-1].topic == f"{name}/last"
    assert len(ear.messages) == RECEIVE_MAX * 3 + 1


async def test_the_listener_may_end_the_connection_inside_a_call(broker, connect, name):
    port, ear = await connect(name)
    ear.on_next_message = lambda _message: port.abort()
    async with peer_of(broker, f"{name}-peer") as peer:
        await subscribed(port, ear, f"{name}/#")
        for _ in range(3):
            peer.mqtt.publish(f"{name}/x", b"x", 0)
        await ear.until("message")
        await asyncio.sleep(0.2)
    assert len(ear.messages) == 1
    assert ear.all("disconnected") == []


async def test_nothing_is_sent_or_queued_while_not_connected(make_port, broker, name):
    port, ear = make_port(Endpoint(port=broker.port))
    port.publish(f"{name}/early", b"x", qos=1)
    port.subscribe((f"{name}/#",))
    port.acknowledge(1)
    port.connect(Dial(client_id=name))
    port.publish(f"{name}/early", b"x", qos=1)
    await ear.until("connected")
    assert await subscribed(port, ear, f"{name}/#") == (1,)
    port.publish(f"{name}/later", b"x", qos=1)
    await ear.until("message")
    assert [m.topic for m in ear.messages] == [f"{name}/later"]


# ---- bounds ----


async def test_a_publish_larger_than_the_broker_takes_is_an_error(connect, name):
    port, ear = await connect(name)
    with pytest.raises(ValueError, match=f"at most {PACKET_BYTES_MAX} bytes"):
        port.publish(f"{name}/x", bytes(PACKET_BYTES_MAX), qos=1)
    port.publish(f"{name}/x", bytes(PACKET_BYTES_MAX - 200), qos=1, token=3)
    token, code = await ear.until("puback")
    assert token == 3
    assert code < REFUSED_FROM


async def test_a_topic_with_a_wildcard_is_an_error(connect, name):
    port, ear = await connect(name)
    with pytest.raises(ValueError, match=r"(?i)topic"):
        port.publish(f"{name}/#", b"x")
    with pytest.raises(ValueError, match=r"(?i)topic|filter|wildcard"):
        port.subscribe((f"{name}/#/x",))
    assert await subscribed(port, ear, f"{name}/#") == (1,)


async def test_never_more_in_flight_than_the_broker_named(make_port, name):
    async with FakeBroker(greeting=connack(receive_max=3)).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name))
        await ear.until("connected")
        for i in range(7):
            port.publish(f"{name}/x", b"%d" % i, qos=1, token=i)
        sent = await server.until(mqtt5.PublishPacket, 3)
        await asyncio.sleep(0.1)
        assert len(server.of(mqtt5.PublishPacket)) == 3
        assert port.unsent_bytes > 0
        server.say(mqtt5.PubAckPacket(sent[0].packet_id).write())
        sent = await server.until(mqtt5.PublishPacket, 4)
        assert [p.payload for p in sent] == [b"0", b"1", b"2", b"3"]
        assert await ear.until("puback") == (0, 0)
        server.say(mqtt5.PubAckPacket(999).write())  # never sent: nobody's business
        server.say(mqtt5.PubAckPacket(sent[1].packet_id).write())
        await server.until(mqtt5.PublishPacket, 5)
        ids = [p.packet_id for p in server.of(mqtt5.PublishPacket)]
        assert len(set(ids[2:])) == 3, f"expected different ids in flight, found {ids}"


async def test_a_proven_acknowledgement_waits_for_the_brokers_next_turn(make_port, name):
    async with FakeBroker(greeting=connack()).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name, proven_acks=True))
        await ear.until("connected")
        for i in range(3):
            port.publish(f"{name}/x", b"", qos=1, token=i)
        sent = await server.until(mqtt5.PublishPacket, 3)
        server.say(b"".join(mqtt5.PubAckPacket(p.packet_id).write() for p in sent[:2]))
        await server.until(mqtt5.PingReqPacket, 1)
        assert ear.all("puback") == [], "acknowledged, and nothing says that it was saved"
        server.say(mqtt5.PubAckPacket(sent[2].packet_id).write() + mqtt5.PingRespPacket().write())
        await server.until(mqtt5.PingReqPacket, 2)
        assert ear.all("puback") == [(0, 0), (1, 0)], "the third came after the ping had left"
        server.say(mqtt5.PingRespPacket().write())
        await ear.until("puback", 3)
        assert len(server.of(mqtt5.PingReqPacket)) == 2


async def test_a_ping_that_left_before_the_acknowledgement_proves_nothing(make_port, name):
    async with FakeBroker(greeting=connack()).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name, proven_acks=True, keepalive_s=1))
        await ear.until("connected")
        await server.until(mqtt5.PingReqPacket, 1)  # the keep-alive's
        port.publish(f"{name}/x", b"", qos=1, token=7)
        sent = await server.until(mqtt5.PublishPacket, 1)
        server.say(mqtt5.PubAckPacket(sent[0].packet_id).write())
        server.say(mqtt5.PingRespPacket().write())
        await server.until(mqtt5.PingReqPacket, 2)
        assert ear.all("puback") == [], "that ping had left before"
        server.say(mqtt5.PingRespPacket().write())
        assert await ear.until("puback") == (7, 0)


async def test_a_late_proof_ends_no_connection_on_which_data_flows(make_port, name):
    async with FakeBroker(greeting=connack()).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name, proven_acks=True, keepalive_s=1))
        await ear.until("connected")
        port.publish(f"{name}/x", b"", qos=1, token=7)
        sent = await server.until(mqtt5.PublishPacket, 1)
        server.say(mqtt5.PubAckPacket(sent[0].packet_id).write())
        await server.until(mqtt5.PingReqPacket, 1)
        for _ in range(30):  # three keep-alives, and never a PINGRESP
            server.say(mqtt5.PublishPacket(f"{name}/y", b"").write())
            port.publish(f"{name}/z", b"")
            await asyncio.sleep(0.1)
        assert port.connected, ear.heard[-1]
        server.say(mqtt5.PingRespPacket().write())
        assert await ear.until("puback") == (7, 0)


async def test_many_proven_acknowledgements_keep_their_order(connect, name):
    port, ear = await connect(name, proven_acks=True)
    for i in range(300):
        port.publish(f"{name}/n", b"%d" % i, qos=1, token=i)
    await ear.until("puback", 300)
    assert [token for token, _ in ear.all("puback")] == list(range(300))


async def test_a_full_queue_refuses_the_newest(make_port, name):
    async with FakeBroker(greeting=connack(receive_max=1)).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name))
        await ear.until("connected")
        port.publish(f"{name}/x", b"", qos=1)
        await server.until(mqtt5.PublishPacket)
        with pytest.raises(PortFullError, match="wait for on_puback"):  # noqa: PT012
            for _ in range(QUEUE_MESSAGES_MAX + 2):
                port.publish(f"{name}/x", b"x", qos=1)
        assert port.connected


async def test_what_the_broker_does_not_take_is_bounded(make_port, name):
    async with FakeBroker(greeting=connack()).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name))
        await ear.until("connected")
        server._writer.transport.pause_reading()
        payload = bytes(4 * 1024 * 1024)
        with pytest.raises(PortFullError, match="unsent bytes"):  # noqa: PT012
            for _ in range(64):
                port.publish(f"{name}/x", payload)
                await asyncio.sleep(0)
        assert 50_000_000 < port.unsent_bytes <= 64 * 1024 * 1024
        assert port.connected


async def test_a_packet_larger_than_we_take_ends_the_connection(make_port, name):
    async with FakeBroker(greeting=connack()).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name, packet_bytes_max=1_000))
        await ear.until("connected")
        server.say(mqtt5.PublishPacket("a", bytes(2_000)).write())
        assert "too large" in (await ear.until("disconnected"))[0]
        assert ear.messages == []
        (goodbye,) = await server.until(mqtt5.DisconnectPacket)
        assert goodbye.reason_code == mqtt5.DisconnectReasonCode.PACKET_TOO_LARGE


async def test_packets_come_in_any_pieces(make_port, name):
    async with FakeBroker(greeting=connack()).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name))
        await ear.until("connected")
        stream = b"".join(mqtt5.PublishPacket("a", bytes([i]) * 40).write() for i in range(5))
        for i in range(0, len(stream), 7):
            server.say(stream[i : i + 7])
            await asyncio.sleep(0.001)
        await ear.until("message", 5)
        assert [m.payload for m in ear.messages] == [bytes([i]) * 40 for i in range(5)]
