"""A playground's gateway: what is said when it cannot begin."""

import asyncio
import socket
from pathlib import Path

import pytest

from devicesim.playground.folder import FLEET, Folder
from devicesim.playground.process import GatewayProcess, PlaygroundError
from devicesim.rehearse import open_scenario
from gateway.adapters.brokers.process import listens


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "play")
    made.prepare()
    return made


async def test_a_port_that_is_taken_is_said_before_anything_is_started(folder):
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        gateway = GatewayProcess(folder)
        with pytest.raises(PlaygroundError, match=rf"port {port} .*--port"):
            await gateway.start(open_scenario(FLEET), port, "auto")
    assert not folder.log.exists(), "something was started"
    await gateway.stop()


async def test_one_that_ends_by_itself_is_told_with_its_last_words(folder):
    gateway = GatewayProcess(folder)
    with pytest.raises(PlaygroundError, match=r"(?s)ended with 2.*gateway.log.*found 'smoke'"):
        await gateway.start(open_scenario(FLEET), 0, "smoke")
    await gateway.stop()


@pytest.mark.mosquitto
async def test_whoever_will_not_wait_leaves_nobody_behind(folder):
    gateway = GatewayProcess(folder)
    await gateway.start(open_scenario(FLEET), 0, "auto")
    broker = gateway.broker_url.rpartition(":")[2]
    gateway.kill()
    async with asyncio.timeout(60):
        while listens("127.0.0.1", int(broker)):  # noqa: ASYNC110 - a socket that closes is no event
            await asyncio.sleep(0.05)
    await gateway.stop()
    assert not folder.pid.exists()


def test_it_judges_as_often_as_devices_tell_of_themselves():
    scenario = open_scenario(FLEET, ("clock.speed=12",))
    devices = sum(group.count for group in scenario.fleet)
    assert (devices, scenario.drift.window_ns // scenario.telemetry.window_ns) == (50, 2)
    assert Path(FLEET).name == "fleet.yaml"
