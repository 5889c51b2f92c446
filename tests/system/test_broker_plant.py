"""A whole small plant through the production broker: the gateway's own process with its certificates, a
real device with its own, and nothing refused that either of them has to say.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from gateway.adapters.brokers.process import free_port
from gateway.adapters.certificates import client_pair
from gateway.adapters.keys import init_keys
from tests.system.broker_stage import Plant

pytestmark = pytest.mark.mosquitto
ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
OUR_COMMANDS = (
    "import typer; from gateway import cli; from devicesdk.host import cli as device\n"
    "app = typer.Typer(); cli.register(app); device.register(app); app()"
)


class Town:
    """The plant, a gateway and a device, each a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "broker").mkdir()
        self.plant = Plant(folder / "broker")
        self.processes = []
        self.debug()
        init_keys(folder / "keys")
        self.metrics_port = free_port()
        self.broker = f"mqtts://localhost:{self.plant.port}"

    def debug(self) -> None:
        """Have the broker log what it refuses."""
        text = self.plant.config.read_text()
        self.plant.config.write_text(
            text.replace("log_type error", "log_type error\nlog_type debug")
        )
        self.plant.reload()
        self.plant.until_logged("Reloading config")

    def command(self, *words, **variables):
        env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        return [sys.executable, "-c", OUR_COMMANDS, *map(str, words)], env

    def start(self, name, *words, **variables):
        command, env = self.command(*words, **variables)
        with (self.folder / f"{name}.log").open("wb") as out:
            process = subprocess.Popen(
                command, env=env, cwd=self.folder, stdout=out, stderr=subprocess.STDOUT
            )
        self.processes.append(process)

    def gateway(self) -> None:
        self.start(
            "gateway", "gateway", "serve", "--state", self.folder / "state",
            FLEETDRILL_BROKER_URL=self.broker,
            FLEETDRILL_BROKER_CERTIFICATES=str(self.plant.tls),
            FLEETDRILL_GATEWAY_KEYS=str(self.folder / "keys"),
            FLEETDRILL_METRICS_PORT=str(self.metrics_port),
        )  # fmt: skip

    def device(self, ident: str) -> None:
        pair = client_pair(self.plant.tls, ident)
        self.start(
            ident, "device", "run", "--broker", self.broker, "--id", ident,
            "--state", self.folder / ident, "--trust", self.folder / "keys/trust.json",
            "--ca", self.plant.tls / "ca.crt", "--cert", pair.certificate, "--key", pair.key,
        )  # fmt: skip

    def ask(self, *words) -> dict | None:
        command, env = self.command(*words, "--state", self.folder / "state", "--json")
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        return json.loads(done.stdout) if done.returncode == 0 else None

    def metric(self, name: str) -> float | None:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE_S
            ) as answer:
                text = answer.read().decode()
        except OSError:
            return None
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)]
        return sum(map(float, values)) if values else None

    def until(self, look, what: str):
        give_up = time.monotonic() + PATIENCE_S  # noqa: TID251 - real processes, a real clock
        while not (found := look()):
            assert time.monotonic() < give_up, f"waited in vain for {what}\n{self.story()}"  # noqa: TID251
            time.sleep(0.1)  # noqa: TID251
        return found

    def story(self) -> str:
        return "\n".join(
            f"--- {log.name}\n{log.read_text()[-2000:]}" for log in self.folder.glob("*.log")
        )

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(PATIENCE_S)
        self.plant.close()


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.close()


def test_gateway_and_device_do_their_work_within_the_permissions(town):
    town.gateway()
    town.until(lambda: town.metric("fleetdrill_gateway_connected ") == 1, "the gateway to connect")
    assert town.ask("fleet", "enroll", "dev-1"), town.story()
    town.device("dev-1")
    town.until(
        lambda: town.metric('fleetdrill_gateway_messages_received_total{kind="have"}'),
        "the device's report to reach the gateway",
    )
    assert town.ask("kill", "camera"), town.story()
    listed = town.ask("fleet", "list")
    assert [(d["id"], d["online"]) for d in listed["devices"]] == [("dev-1", True)]
    town.until(
        lambda: town.metric('fleetdrill_gateway_messages_published_total{kind="kill"}'),
        "the kill list to be published",
    )
    town.until(
        lambda: town.metric("fleetdrill_gateway_outbox_messages ") == 0, "the outbox to empty"
    )
    town.until(
        lambda: town.metric("fleetdrill_broker_messages_dropped_total ") == 0,
        "the broker's count of drops",
    )
    refused = [line for line in town.plant.log().splitlines() if "Denied PUBLISH" in line]
    assert refused == []
    for user in ("gateway-control", "gateway-data", "gateway-monitor", "dev-1"):
        times = town.plant.log().count(f"as {user} (p5")
        assert times == 1, f"expected one connection of {user}, found {times}: do two share a name?"
