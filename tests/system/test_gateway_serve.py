"""`fleetdrill gateway serve` as a process, and the commands that talk to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
import typer
from typer.testing import CliRunner

from devicesdk.bundle.archive import pack
from gateway.adapters.keys import init_keys, read_signer
from gateway.cli import register
from tests_kit import tensor_models as little

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120
FLAG = '{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}'
APP = typer.Typer()
register(APP)
pytestmark = pytest.mark.mosquitto


class Site:
    """A state folder, a gateway process in it, and a shell."""

    def __init__(self, folder):
        self.state = folder / "state"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        self.env["FLEETDRILL_HTTP_PORT"] = "0"
        self.process = None

    def run(self, *words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "devicesdk", *words],
            cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def ask(self, *words):
        done = CliRunner().invoke(APP, [*words, "--state", str(self.state), "--json"])
        assert done.exit_code == 0, f"{words}: {done.output}"
        return json.loads(done.stdout)

    def serve(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devicesdk", "gateway", "serve", "--state", self.state, *words],
            cwd=ROOT, env=self.env, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = []
        for line in self.process.stderr:
            said.append(line)
            if "ready" in line:
                return said
        raise AssertionError(f"expected a gateway, found: {''.join(said)}")

    def end(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(number)
            said = self.process.stderr.read() if number != signal.SIGKILL else ""
            self.process.wait(PATIENCE_S)
            self.process.stderr.close()
            code, self.process = self.process.returncode, None
            return code, said
        return None


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.end()


def test_an_operator_publishes_rolls_out_and_kills_and_kill_dash_nine_loses_nothing(site):
    init_keys(site.state / "keys")
    (site.state / "keys" / "targets.key").rename(site.state.parent / "targets.key")
    site.serve("--broker", "mosquitto")
    source, key = str(ROOT / "models/gauge/1.1.0"), str(site.state.parent / "targets.key")
    published = site.ask("bundle", "publish", source, "--key", key)
    assert published["bundle"] == "gauge@1.1.0"
    archive = site.state.parent / "little.zip"
    archive.write_bytes(pack(little.bundle(read_signer(site.state.parent, "targets")).members))
    assert site.ask("bundle", "publish", str(archive))["bundle"] == "little@1.0.0"
    site.ask("fleet", "enroll", "kiosk-1", "--label", "region=eu")
    site.ask("rollout", "create", "r1", "--bundle", "gauge@1.1.0", "--waves", "50,100")
    site.ask("flag", "set", "all", "x", FLAG)
    site.ask("kill", "gauge")
    port = (site.state / "broker.port").read_text()
    site.end(signal.SIGKILL)
    said = site.serve("--broker", "mosquitto")
    assert (site.state / "broker.port").read_text() == port, "devices would not find it again"
    assert any(f":{port.strip()}" in line for line in said), said
    fleet = site.ask("fleet", "show")["fleet"]
    assert (fleet["kill_version"], fleet["flags_revs"], fleet["enrolled"]) == (1, {"all": 1}, 1)
    (view,) = site.ask("rollout", "list")
    assert (view["id"], view["state"]) == ("r1", "running")
    (twin,) = site.ask("fleet", "list")["devices"]
    assert twin["wanted"] == published["digest"]
    older = str(ROOT / "models/gauge/1.0.0")
    site.ask("bundle", "publish", older, "--key", key)
    prune = ("gateway", "prune", "--older-than", "0s", "--remove", "--state", str(site.state))
    assert "uses it" in site.run(*prune, code=2)
    wrong = Site(site.state.parent)
    wrong.env["FLEETDRILL_GATEWAY_DATABASE"] = f"sqlite:///{site.state.parent}/other.db"
    assert "maybe with another database than this one" in wrong.run(*prune, code=2)
    code, said = site.end()
    assert code == 0, said
    assert "stopped" in said
    stray = site.state / "blobs" / "ab" / f"ab{'0' * 62}"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"of a bundle that was never published")
    blobs = len(list((site.state / "blobs").glob("??/*")))
    assert blobs > 6
    assert site.run(*prune).startswith("1 blobs that nothing names; 1 older"), "more than that"
    assert not stray.exists()
    assert "by --config" in wrong.run(*prune, code=2)
    assert f"{blobs - 1} blobs" in site.run("gateway", "scrub", "--state", str(site.state))


def test_a_gateway_that_is_killed_takes_its_broker_with_it(site):
    site.serve("--broker", "mosquitto")
    port = int((site.state / "broker.port").read_text())
    broker = psutil.Process(int((site.state / "broker" / "broker.pid").read_text()))
    assert broker.name() == "mosquitto"
    everybody = [broker, *broker.children()]
    site.end(signal.SIGKILL)
    left = psutil.wait_procs(everybody, PATIENCE_S)[1]
    assert left == [], f"left behind: {left}"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)), "somebody listens where the broker did"
    site.serve("--broker", "mosquitto")
    assert site.end()[0] == 0


def test_the_first_run_makes_keys_and_says_what_they_are_good_for(site):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        site.env["FLEETDRILL_METRICS_PORT"] = str(probe.getsockname()[1])
    said = "".join(site.serve("--json-logs", "--broker", "mosquitto"))
    url = f"http://127.0.0.1:{site.env['FLEETDRILL_METRICS_PORT']}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        assert b"fleetdrill_gateway_turns_total" in answer.read()
    made = [json.loads(line) for line in said.splitlines() if "made signing keys" in line]
    assert made[0]["level"] == "WARNING"
    trust = json.loads((site.state / "keys" / "trust.json").read_text())
    assert trust["targets"] == []
    assert len(trust["director"]) == 1
    assert (site.state / "keys" / "director.key").stat().st_mode & 0o077 == 0
    assert (site.state / "gateway.db").stat().st_mode & 0o077 == 0
    serve = ("gateway", "serve", "--state", str(site.state), "--broker")
    assert "uses it" in site.run(*serve, "mosquitto", code=2)
    assert site.end(signal.SIGINT)[0] == 0
    assert "mqtt://host" in site.run(*serve, "ftp://x", code=2)


def test_a_start_that_ends_before_the_first_token_lies_there_is_made_good_by_the_next(site):
    file = site.state / "admin.token"
    (file / "in-the-way").mkdir(parents=True)
    with pytest.raises(AssertionError, match="expected a gateway"):
        site.serve("--broker", "mosquitto")
    site.end()
    (file / "in-the-way").rmdir()
    file.rmdir()
    site.serve("--broker", "mosquitto")
    url = (site.state / "http.url").read_text().strip()
    headers = {"Authorization": f"Bearer {file.read_text().strip()}"}
    asked = urllib.request.Request(f"{url}/v1/whoami", headers=headers)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        assert json.loads(answer.read())["name"] == "first"
