"""`fleetdrill broker` as a process: it says where it listens, serves, and ends with Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import paho.mqtt.client as paho
import psutil
import pytest

from devicesdk.aio.port import Endpoint
from gateway.adapters.brokers.find import endpoint_of
from gateway.adapters.certificates import client_context, client_pair

COMMAND = (
    "import typer; from gateway.broker_cli import register; a = typer.Typer(); register(a); a()"
)
PATIENCE_S = 60


def start(folder, *words):
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "broker", "--state", folder, "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = process.stdout.readline().strip()
    assert url, f"expected a URL, found that it said: {process.stderr.read()}"
    return process, url


def connects(endpoint: Endpoint, user: str, context=None) -> int:
    codes = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, user, protocol=paho.MQTTv5)
    client.on_connect = lambda *a: codes.append(a[3].value)
    if context is not None:
        client.tls_set_context(context)
    client.connect(endpoint.host, endpoint.port)
    while not codes:
        assert client.loop(10.0) == paho.MQTT_ERR_SUCCESS
    client.disconnect()
    return codes[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words",
    [pytest.param([], marks=pytest.mark.mosquitto), ["--embedded"]],
    ids=["auto", "embedded"],
)
def test_it_serves_until_it_is_told_to_end(tmp_path, words, number):
    process, url = start(tmp_path, *words)
    try:
        assert connects(endpoint_of(url), "anybody") == 0
        child = psutil.Process(process.pid).children()[0]
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0, process.stderr.read()
        assert not child.is_running()
        assert "Ctrl-C stops it" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.mosquitto
def test_with_tls_it_makes_certificates_and_lets_their_holders_in(tmp_path):
    process, url = start(tmp_path, "--tls", "--device", "dev-1")
    try:
        tls = tmp_path / "tls"
        context = client_context(tls / "ca.crt", client_pair(tls, "dev-1"))
        assert url.startswith("mqtts://")
        assert connects(endpoint_of(url, tls), "dev-1", context) == 0
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        process.communicate()


@pytest.mark.mosquitto
def test_it_says_when_the_broker_ended_by_itself(tmp_path):
    process, _ = start(tmp_path)
    try:
        os.kill(psutil.Process(process.pid).children()[0].pid, signal.SIGKILL)
        assert process.wait(PATIENCE_S) == 3
        assert "ended by itself" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
