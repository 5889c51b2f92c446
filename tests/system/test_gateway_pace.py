"""Windows, budgets and approvals of a rollout over HTTP, on a gateway that is a process."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.adapters.keys import init_keys
from gateway.cli import register

ROOT = Path(__file__).parents[2]
APP = typer.Typer()
register(APP)
PATIENCE_S = 60
pytestmark = pytest.mark.mosquitto


class Plant:
    """A gateway process with a bundle and four devices."""

    def __init__(self, folder):
        self.state = folder / "state"
        init_keys(self.state / "keys")
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devicesdk", "gateway", "serve", "--state", self.state,
             "--broker", "mosquitto"],
            cwd=ROOT, env={**env, "FLEETDRILL_HTTP_PORT": "0"}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        for line in self.process.stderr:
            if "ready" in line:
                break
        self.url = (self.state / "http.url").read_text().strip()
        self.token = (self.state / "admin.token").read_text().strip()

    def cli(self, *words):
        done = CliRunner().invoke(APP, [*words, "--state", str(self.state), "--json"])
        assert done.exit_code == 0, f"{words}: {done.output}"

    def http(self, method, path, body=None):
        request = urllib.request.Request(
            f"{self.url}/v1{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def plant(tmp_path):
    made = Plant(tmp_path)
    yield made
    made.process.send_signal(signal.SIGTERM)
    made.process.wait(PATIENCE_S)
    made.process.stderr.close()


def test_a_dry_run_a_window_a_budget_and_an_approval(plant):
    plant.cli("bundle", "publish", str(ROOT / "models/gauge/1.1.0"),
              "--key", str(plant.state / "keys" / "targets.key"))  # fmt: skip
    for number in range(4):
        plant.cli("fleet", "enroll", f"kiosk-{number}", "--label", f"site={'ab'[number % 2]}",
                  "--label", "tz=Europe/Berlin")  # fmt: skip
    plan = {
        "id": "r1", "bundle": "gauge@1.1.0", "waves": [0.5, 1.0],
        "windows": ["daily 00:00-24:00"], "budgets": {"site": 2}, "approvals": [0],
        "policy": {"plugged": True, "chip_c_max": 70},
    }  # fmt: skip
    status, seen = plant.http("POST", "/rollouts/preview", plan)
    assert status == 200, seen
    assert [(wave["size"], wave["approval"]) for wave in seen["waves"]] == [(2, True), (2, False)]
    assert {device["why"] for device in seen["devices"] if device["wave"] == 0} == {"at once"}
    assert plant.http("GET", "/rollouts")[1]["rollouts"] == [], "a dry run made something"

    assert plant.http("POST", "/rollouts", plan)[0] == 201
    _, view = plant.http("GET", "/rollouts/r1")
    assert (view["state"], view["approval"]) == ("waiting", 0)
    assert plant.http("POST", "/rollouts/r1/approve", {"wave": 1})[0] == 409
    status, said = plant.http("POST", "/rollouts/r1/approve", {"wave": 0, "why": "looked at it"})
    assert status == 200, said
    assert any("Somebody let wave 0 open: r1: looked at it." in line for line in said["said"])
    _, view = plant.http("GET", "/rollouts/r1")
    assert (view["state"], view["waves"][0]["offered"]) == ("running", 2)
    status, said = plant.http("POST", "/rollouts/r1/trigger-next")
    assert status == 409, said

    for wrong in ({"windows": ["whenever"]}, {"zone": "Mars/Olympus"}, {"budgets": {"site": 0}}):
        status, problem = plant.http("POST", "/rollouts", {**plan, "id": "r2", **wrong})
        assert status in (400, 409, 422), problem
