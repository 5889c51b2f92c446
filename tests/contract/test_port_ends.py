"""The contract of `MqttPort`: how connections end, and how a dead one is found.

One contract for every adapter, on a real mosquitto and on rude servers.
"""

# ruff: noqa: F811 - pytest finds fixtures by the names that are imported

from __future__ import annotations

import asyncio
import contextlib

import mqtt5
import pytest

from devicesdk.aio.port import (
    REASON_WITH_WILL,
    Dial,
    Endpoint,
    Will,
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
    subscribed,
)
from tests_kit.lateness import measured

pytestmark = [
    pytest.mark.mosquitto,
    # The hook that replaces this fixture would change every test of the folder.
    pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture"),
]


# ---- ends ----


async def ended(port, ear):
    await ear.until("disconnected")
    await asyncio.sleep(0.01)
    assert not port.connected
    assert len(ear.all("disconnected")) == 1
    return ear.all("disconnected")[0][0]


@pytest.mark.parametrize("how", ["abort", "with will", "normal"])
async def test_the_will_is_published_when_it_should(broker, connect, name, how):
    async with peer_of(broker, f"{name}-peer") as peer:
        await peer.subscribe(f"{name}/#")
        port, ear = await connect(name, will=Will(f"{name}/link", b"offline", retain=False))
        if how == "abort":
            port.abort()
        else:
            port.disconnect(REASON_WITH_WILL if how == "with will" else 0)
        if how == "normal":
            await connect(f"{name}-2", will=Will(f"{name}/next", b"offline", retain=False))
            port, _ = await connect(f"{name}-2")  # its will is the fence: take-over publishes it
            assert await peer.until(1) == [(f"{name}/next", b"offline")]
        else:
            assert await peer.until(1) == [(f"{name}/link", b"offline")]
        assert [line[0] for line in ear.heard] == ["connected"]


async def test_a_goodbye_takes_along_what_was_published_before(broker, connect, name):
    async with peer_of(broker, f"{name}-peer") as peer:
        await peer.subscribe(f"{name}/#")
        port, _ = await connect(name)
        port.publish(f"{name}/last", b"words", qos=0)
        await asyncio.sleep(0)
        port.disconnect()
        assert await peer.until(1) == [(f"{name}/last", b"words")]


async def test_a_taken_over_connection_is_told(connect, name):
    port, ear = await connect(name)
    _, other = await connect(name)
    assert await ended(port, ear)
    assert other.all("disconnected") == []
    port.connect(Dial(client_id=f"{name}-back"))
    await ear.until("connected", 2)


async def test_a_port_connects_again_inside_the_call_that_told_the_end(connect, name):
    port, ear = await connect(name)
    told = ear.on_disconnected

    def again(reason):
        told(reason)
        port.connect(Dial(client_id=f"{name}-back"))

    ear.on_disconnected = again
    await connect(name)
    await ear.until("connected", 2)
    assert port.connected


async def test_the_brokers_word_is_passed_on(make_port, name):
    async with FakeBroker(greeting=connack()).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name))
        await ear.until("connected")
        code = mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN
        server.say(mqtt5.DisconnectPacket(reason_code=code).write())
        assert "server shutting down" in await ended(port, ear)


@pytest.mark.parametrize(
    "noise",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20,
        b"\x00\x00",
        b"\x30\x08\x00\x03\xff\xfe\xfd\x00ab",
        b"\xff" * 8,
        mqtt5.AuthPacket(authentication_method="x").write(),
    ],
    ids=["http", "reserved", "no-text", "ones", "auth"],
)
async def test_noise_instead_of_packets_ends_the_connection(make_port, name, noise):
    async with FakeBroker(greeting=connack()).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name))
        await ear.until("connected")
        server.say(noise)
        assert await ended(port, ear)


async def test_noise_instead_of_a_connack_fails_the_dial(make_port, name):
    async with FakeBroker(greeting=b"SSH-2.0-OpenSSH_9.2\r\n" * 9).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name, timeout_s=60.0))
        await ear.until("connect failed")
        assert ear.heard[0][1] != "timeout"
        assert [line[0] for line in ear.heard] == ["connect failed"]


async def test_a_server_that_hangs_up_before_the_connack_fails_the_dial(make_port, name):
    async with FakeBroker(greeting=None).open() as server:
        port, ear = make_port(Endpoint(port=server.port))
        port.connect(Dial(client_id=name, timeout_s=60.0))
        await server.until(mqtt5.ConnectPacket)
        server._writer.close()
        (reason,) = await ear.until("connect failed")
        assert reason != "timeout"


# ---- keep-alive ----


KEEPALIVE_S = 3
"""A broker ends a connection after one and a half of them without a word: who is not given a processor for
so long has no connection, and no test of one."""


async def silence_is_found(broker, make_port, name):
    loop = asyncio.get_running_loop()
    async with Relay(broker.port).open() as relay, measured() as lateness:
        port, ear = make_port(Endpoint(port=relay.port))
        port.connect(Dial(client_id=f"{name}-silent", keepalive_s=KEEPALIVE_S))
        await ear.until("connected")
        await asyncio.sleep(KEEPALIVE_S * 1.6)  # alive by its pings alone
        assert port.connected, ear.heard
        relay.freeze()
        begun, late_s = loop.time(), lateness.late_s
        with contextlib.suppress(AssertionError):
            await ear.until("disconnected")
        took = loop.time() - begun - (lateness.late_s - late_s)
    assert ear.all("disconnected") == [("silent",)]
    assert took <= 1.5 * KEEPALIVE_S + 1, f"found after {took} s"


async def one_that_only_writes_hears_pings(connect, name):
    port, ear = await connect(f"{name}-writes", keepalive_s=KEEPALIVE_S)
    for _ in range(20 * KEEPALIVE_S):
        port.publish(f"{name}/x", b"x")
        await asyncio.sleep(0.1)
    assert port.connected, ear.heard


async def one_that_only_reads_pings(broker, connect, name):
    port, ear = await connect(f"{name}-reads", keepalive_s=KEEPALIVE_S)
    async with peer_of(broker, f"{name}-peer") as peer:
        await subscribed(port, ear, f"{name}/#")
        for _ in range(20 * KEEPALIVE_S):
            peer.mqtt.publish(f"{name}/y", b"y", 0)
            await asyncio.sleep(0.1)
    assert port.connected, ear.heard


async def test_alive_by_pings_and_dead_after_one_and_a_half_keepalives(
    broker,
    connect,
    make_port,
    name,
):
    async with asyncio.TaskGroup() as group:  # side by side: they mostly wait
        group.create_task(one_that_only_writes_hears_pings(connect, name))
        group.create_task(one_that_only_reads_pings(broker, connect, name))
        group.create_task(silence_is_found(broker, make_port, name))
