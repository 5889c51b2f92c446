"""The commands of docs/how-to/keep-and-restore.md, in their order, with a gateway that runs."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/keep-and-restore.md"
PATIENCE_S = 120
pytestmark = pytest.mark.mosquitto


def lines():
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL):
        yield from block.splitlines()


class Shell:
    def __init__(self, folder, url):
        self.folder, self.url, self.gateway = folder, url, None
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        self.env |= {"FLEETDRILL_HTTP_PORT": "0", "PYTHONPATH": str(ROOT)}

    def run(self, line):
        words, env = shlex.split(line), dict(self.env)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            assert value.startswith("postgresql://fleetdrill@db.example/")
            env[name] = self.url
        assert words[0] == "fleetdrill", line
        if words[1:3] == ["gateway", "serve"]:
            return self.serve(words[-1])
        done = subprocess.run(
            [sys.executable, "-m", "devicesdk", *words[1:]],
            cwd=self.folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def serve(self, state):
        self.end()
        self.gateway = subprocess.Popen(
            [sys.executable, "-m", "devicesdk", "gateway", "serve", "--state", state],
            cwd=self.folder, env=self.env, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = []
        for line in self.gateway.stderr:
            said.append(line)
            if " ready" in line:
                return "".join(said)
        raise AssertionError(f"expected a gateway, found: {''.join(said)}")

    def end(self):
        if self.gateway is not None:
            self.gateway.send_signal(signal.SIGTERM)
            self.gateway.stderr.read()
            self.gateway.wait(PATIENCE_S)
            self.gateway.stderr.close()
            self.gateway = None


def test_the_page_keeps_a_gateway_and_brings_it_back_on_either_engine(tmp_path, postgres):
    shell = Shell(tmp_path, postgres.database())
    shell.serve("fleetdrill-state")
    shell.run("fleetdrill kill gauge --state fleetdrill-state")
    told = {}
    try:
        for line in lines():
            if "prune" in line:
                shell.end()
            if "serve" in line:
                # Without its keys it does not start.
                with pytest.raises(AssertionError, match=r"expected the director key in"):
                    shell.run(line)
                shutil.copytree(
                    tmp_path / "fleetdrill-state/keys",
                    tmp_path / "fleetdrill-new/keys",
                    dirs_exist_ok=True,
                )
            told[line.split(" --")[0]] = shell.run(line)
        fleet = json.loads(shell.run("fleetdrill fleet show --state fleetdrill-new --json"))
        assert fleet["fleet"]["kill_version"] > 10**12
        token = (tmp_path / "fleetdrill-new/admin.token").read_text()
        assert token.startswith("fd_first-2_"), "the backup's first token is good again"
        with postgres.connect(shell.url.rsplit("/", 1)[1].split("?")[0]) as connection:
            (rows,) = connection.execute(
                "SELECT count(*) FROM rows WHERE tbl = 'audit.entry'"
            ).fetchone()
        assert rows == 2
    finally:
        shell.end()
    assert len(told) == 6
    assert told["fleetdrill gateway prune"].startswith("0 blobs that nothing names")
    assert "killed: gauge, lights" in told["fleetdrill gateway restore backups/monday"]
    again = shell.run("fleetdrill gateway backup after --state fleetdrill-new --json")
    assert json.loads(again)["audit_entries"] == 4, "the restore and the new token were not logged"
