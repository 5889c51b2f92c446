"""Brokers that we start for a run: mosquitto and the embedded one, killed, frozen, restarted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import paho.mqtt.client as paho
import psutil
import pytest
from paho.mqtt import publish, subscribe

from devicesdk.aio.port import Endpoint
from gateway.adapters.brokers import embedded, find
from gateway.adapters.brokers.acl import acl_text
from gateway.adapters.brokers.find import open_broker
from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.adapters.brokers.process import BrokerError
from gateway.adapters.certificates import client_context, client_pair, make_tls

KINDS = [pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"]


def say(endpoint: Endpoint, payload: bytes, *, client_id="speaker", tls=None) -> None:
    publish.single(
        "fd/main/d/dev-1/have", payload, 1, True, endpoint.host, endpoint.port, client_id,
        tls=tls, protocol=paho.MQTTv5,
    )  # fmt: skip


def hear(endpoint: Endpoint) -> bytes:
    said = subscribe.simple(
        "fd/main/d/dev-1/have", 1, hostname=endpoint.host, port=endpoint.port,
        protocol=paho.MQTTv5,
    )  # fmt: skip
    return said.payload


@pytest.mark.parametrize("kind", KINDS)
async def test_it_serves_large_packets_on_loopback_alone_and_is_gone_after_stop(tmp_path, kind):
    async with await open_broker(kind, tmp_path / "broker") as broker:
        say(broker.endpoint, bytes(200_000))
        assert hear(broker.endpoint) == bytes(200_000)
        process = psutil.Process(broker.pid)
        listening = {c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening == {("127.0.0.1", broker.endpoint.port)}
        assert process.rlimit(psutil.RLIMIT_NOFILE)[0] >= min(
            65_536, process.rlimit(psutil.RLIMIT_NOFILE)[1]
        )
        pid = broker.pid
    assert not broker.alive
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_killed_one_comes_back_on_its_port(tmp_path, kind):
    async with await open_broker(kind, tmp_path) as broker:
        first = broker.pid
        broker.kill()
        assert not broker.alive
        await broker.restart()
        assert broker.pid != first
        say(broker.endpoint, b"again")
        assert hear(broker.endpoint) == b"again"


@pytest.mark.mosquitto
async def test_mosquitto_remembers_over_a_restart_unless_told_to_forget(tmp_path):
    async with await open_broker("mosquitto", tmp_path) as broker:
        say(broker.endpoint, b"kept")
        await broker.restart()
        assert hear(broker.endpoint) == b"kept"
        await broker.restart(forget=True)
        say(broker.endpoint, b"new")
        assert hear(broker.endpoint) == b"new"
        broker.freeze()
        await _until_stopped(broker.pid)
        broker.thaw()
        assert hear(broker.endpoint) == b"new"


async def _until_stopped(pid: int) -> None:
    for _ in range(3_000):
        if (state := psutil.Process(pid).status()) == psutil.STATUS_STOPPED:
            return
        await asyncio.sleep(0.02)  # the kernel stops a process when it next schedules it
    raise AssertionError(f"expected a frozen process, found one that is {state}")


@pytest.mark.mosquitto
async def test_a_broker_that_an_earlier_run_left_behind_makes_way(tmp_path):
    first = await open_broker("mosquitto", tmp_path)
    try:
        port = first.endpoint.port
        first._process._lock.close()  # as the kernel does for a run that was killed
        async with await open_broker("mosquitto", tmp_path, port=port) as second:
            assert second.pid != first.pid
            assert second.endpoint.port == port
            assert not first.alive
    finally:
        await first.stop()


@pytest.mark.mosquitto
async def test_a_taken_port_is_an_error_that_says_so(tmp_path):
    async with await open_broker("mosquitto", tmp_path / "a") as broker:
        with pytest.raises(BrokerError, match="somebody listens there"):
            await open_broker("mosquitto", tmp_path / "b", port=broker.endpoint.port)


@pytest.mark.mosquitto
async def test_auto_takes_mosquitto_and_without_it_the_embedded_one_and_says_what_it_lacks(
    tmp_path, monkeypatch, caplog
):
    async with await open_broker("auto", tmp_path / "a") as broker:
        assert broker.name.startswith("mosquitto 2.")
        assert broker.lacks == ()
    monkeypatch.setattr(find, "find_mosquitto", lambda: None)
    caplog.clear()
    async with await open_broker("auto", tmp_path / "b") as broker:
        assert broker.name == "embedded broker (rumqttd)"
        assert broker.lacks == embedded.LACKS
        assert "a restart forgets sessions" in caplog.text
        assert "apt-get install mosquitto" in caplog.text
        say(broker.endpoint, b"x")
        await broker.restart()


async def test_what_the_embedded_broker_is_said_to_lack_it_does_lack(tmp_path):
    async with await open_broker("embedded", tmp_path) as broker:
        say(broker.endpoint, b"forgotten")
        await broker.restart()
        told = []
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.on_message = lambda *a: told.append(a[2].payload)
        client.on_subscribe = lambda c, *_: c.publish("fd/main/fence", b"fence", 1)
        client.on_connect = lambda c, *_: c.subscribe([("fd/main/#", 1)])
        client.connect(broker.endpoint.host, broker.endpoint.port)
        while not told:
            assert client.loop(10.0) == paho.MQTT_ERR_SUCCESS
        assert told == [b"fence"]
        client.disconnect()


async def test_the_embedded_broker_ends_when_its_parent_does(tmp_path):
    broker = await open_broker("embedded", tmp_path)
    child = psutil.Process(broker.pid)
    broker._process._child.stdin.close()  # what the kernel does for a parent that is gone
    child.wait(60)
    assert not broker.alive
    await broker.stop()


@pytest.mark.mosquitto
async def test_certificates_permissions_and_names_hold_for_a_run_as_for_a_plant(tmp_path):
    now = datetime.now(UTC)  # noqa: TID251 - certificates live by the calendar
    tls = tmp_path / "tls"
    make_tls(tls, ("127.0.0.1",), ("gateway-data", "dev-1", "dev-2"), now, 30)
    (tmp_path / "acl").write_text(acl_text())
    async with await start_mosquitto(
        tmp_path, certificates=tls, acl=tmp_path / "acl", bind_names=True
    ) as broker:
        assert broker.url.startswith("mqtts://127.0.0.1:")
        assert broker.endpoint_for("dev-1").tls is not None
        for user in ("dev-2", "dev-1"):  # dev-2 may not speak for dev-1
            context = client_context(tls / "ca.crt", client_pair(tls, user))
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, user, protocol=paho.MQTTv5)
            client.tls_set_context(context)
            codes = []
            client.on_connect = lambda c, *_: c.publish("fd/main/d/dev-1/have", b"x", 1)
            client.on_publish = lambda *a, codes=codes: codes.append(a[3].value)
            client.connect(broker.endpoint.host, broker.endpoint.port)
            while not codes:
                assert client.loop(10.0) == paho.MQTT_ERR_SUCCESS
            assert (codes[0] >= 0x80) is (user == "dev-2")
            client.disconnect()


async def test_a_missing_mosquitto_is_an_error_when_it_was_named(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.adapters.brokers.mosquitto.find_mosquitto", lambda: None)
    with pytest.raises(BrokerError, match="apt-get install mosquitto"):
        await open_broker("mosquitto", tmp_path)
