"""`fleetdrill gateway serve` on PostgreSQL as processes: killed, refused, and without its database."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import register
from tests_kit.postgres import cluster

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120
APP = typer.Typer()
register(APP)
pytestmark = pytest.mark.mosquitto


class Site:
    """A state folder with a gateway process on a database."""

    def __init__(self, folder, url):
        self.state, self.process = folder, None
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        self.said = {"FLEETDRILL_HTTP_PORT": "0", "FLEETDRILL_GATEWAY_DATABASE": url}
        self.env |= self.said

    def run(self, *words):
        done = CliRunner().invoke(
            APP, [*words, "--state", str(self.state), "--json"], env=self.said
        )
        assert done.exit_code == 0, f"{words}: {done.output}"
        return json.loads(done.stdout)

    def serve(self):
        """Start it; returns what it said until it was ready, or until its end."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devicesdk", "gateway", "serve", "--state", self.state],
            cwd=ROOT, env=self.env, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = []
        for line in self.process.stderr:
            said.append(line)
            if " ready " in line:
                break
        return "".join(said)

    def ended(self, number=0):
        """Wait for its end; returns exit code and what it said last."""
        if number:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        code, self.process = self.process.returncode, None
        return code, said


@pytest.fixture
def site(request, tmp_path):
    made = []

    def make(name, url):
        made.append(Site(tmp_path / name, url))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None:
            one.ended(signal.SIGKILL)


def enrolled(site):
    return {device["id"] for device in site.run("fleet", "list")["devices"]}


def test_a_second_gateway_is_refused_and_takes_over_when_the_first_was_killed(site, postgres):
    url = postgres.database()
    first, second = site("first", url), site("second", url)
    assert " ready " in first.serve()
    first.run("fleet", "enroll", "kiosk-1")
    refused = second.serve()
    code, _ = second.ended()
    assert code == 2, refused
    assert f"found that fleetdrill gateway, process {first.process.pid} on" in refused
    first.run("fleet", "enroll", "kiosk-2")
    first.ended(signal.SIGKILL)
    assert " ready " in second.serve()
    assert enrolled(second) == {"kiosk-1", "kiosk-2"}
    code, said = second.ended(signal.SIGTERM)
    assert code == 0, said


def test_a_gateway_that_lost_its_session_ends_though_it_had_nothing_to_write(site, postgres):
    url = postgres.database()
    first, second = site("first", url), site("second", url)
    first.serve()
    name = url.rsplit("/", 1)[1].split("?")[0]
    with postgres.connect() as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        ).fetchall()
    assert ended == [(True,)], "a gateway has one session"
    code, said = first.ended()
    assert code == 2
    assert "another one may have the database now" in said
    assert " ready " in second.serve()


def test_kill_dash_nine_of_the_database_loses_nothing_that_was_answered(site, tmp_path):
    with cluster(durable=True) as server:
        gateway = site("state", server.database())
        gateway.serve()
        for number in range(5):
            gateway.run("fleet", "enroll", f"kiosk-{number}")
        server.kill()
        code, said = gateway.ended()
        assert code == 2
        assert "expected the connection to postgresql+psycopg://postgres@/" in said
        assert "database at" in gateway.serve(), "it started without its database"
        gateway.ended()
        server.start()
        assert " ready " in gateway.serve()
        assert enrolled(gateway) == {f"kiosk-{number}" for number in range(5)}
        gateway.run("gateway", "backup", str(tmp_path / "backup"))
        assert gateway.ended(signal.SIGTERM)[0] == 0
