"""Secrets stay where they belong: a walk through a gateway's life, then every log and file is searched for them."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
PASSWORD = "pw-of-the-broker-7f3a"
MAY_HOLD = {"admin.token"}
"""Beside private keys: what is there to hold a secret, for its owner alone."""


def environment(**more):
    own = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
    return {**own, "PYTHONPATH": str(ROOT), "FLEETDRILL_HTTP_PORT": "0", **more}


@contextmanager
def gateway(folder, **more):
    """A gateway that logs everything there is to log; yields its state folder."""
    state, log = folder / "state", folder / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "devicesdk", "gateway", "serve", "--state", state, "--broker", "mosquitto", "--json-logs"],
            cwd=folder, env=environment(FLEETDRILL_LOG_LEVEL="DEBUG", **more), stderr=out, stdout=out,
        )  # fmt: skip
    try:
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / 0.05)):
            assert process.poll() is None, log.read_text()
            if b'"event": "ready"' in log.read_bytes():
                break
            pause.wait(0.05)
        yield state
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def walk(state):
    """Use tokens well and badly, everywhere they may be put; returns everything secret that was said."""
    admin = (state / "admin.token").read_text().strip()
    secrets = [admin, "fd_first_guess-4c1d"]
    url = (state / "http.url").read_text().strip()
    with httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {admin}"
        for number in range(3):
            body = {"name": f"ci-{number}", "role": "operator", "life": "1h"}
            made = client.post("/v1/tokens", json=body, headers={"Idempotency-Key": f"k{number}"})
            secrets.append(made.json()["token"])
        used, bad = secrets[2], secrets[1]
        client.put("/v1/devices/d-1/labels", json={"labels": {"site": "a"}})
        client.put("/v1/kills/x", headers={"Idempotency-Key": "once"})
        for token in (used, bad, f"{used}x"):
            theirs = {"Authorization": f"Bearer {token}"}
            for method, path in (("GET", "/v1/fleet"), ("PUT", "/v1/kills/y"), ("GET", "/v1/tokens"),
                                 ("GET", f"/v1/devices/{token}"), ("GET", f"/v1/fleet?token={token}"),
                                 ("GET", f"/v1/devices?cursor={token}"), ("GET", f"/{token}")):  # fmt: skip
                client.request(method, path, headers=theirs)
            client.post("/v1/rollouts", content=b'{"token": "%s"' % token.encode(),
                        headers={**theirs, "Content-Type": "application/json"})  # fmt: skip
        client.delete("/v1/tokens/ci-1")
        client.get("/v1/whoami", headers={"Authorization": f"Basic {used}"})
        client.get("/v1/audit?limit=100")
    return secrets


def private_keys(state):
    for file in (state / "keys").glob("*.key"):
        assert file.stat().st_mode & 0o077 == 0, f"{file} is read by others"
        seed = file.read_text().strip()
        yield seed.encode()
        yield bytes.fromhex(seed)


def places(folder):
    """Every file that a walk leaves, but for those that hold secrets for their owner."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name not in MAY_HOLD and file.suffix != ".key":
            yield file


@pytest.mark.mosquitto
def test_no_secret_is_in_any_log_or_row(tmp_path):
    with gateway(tmp_path, FLEETDRILL_BROKER_USERNAME="u", FLEETDRILL_BROKER_PASSWORD=PASSWORD) as state:  # fmt: skip
        said = walk(state)
        assert (state / "admin.token").stat().st_mode & 0o077 == 0
        assert (state / "gateway.db").stat().st_mode & 0o077 == 0
        hidden = [word.rsplit("_", 1)[1].encode() for word in said]
        hidden += [*private_keys(state), PASSWORD.encode()]
        assert len(hidden) >= 12
        live = [(file, file.read_bytes()) for file in places(tmp_path)]
    after = [(file, file.read_bytes()) for file in places(tmp_path)]
    found = [
        f"{file.relative_to(tmp_path)}: {secret[:12]!r}..."
        for file, content in (*live, *after)
        for secret in hidden
        if secret in content
    ]
    assert found == []
    assert any(file.name == "gateway.db" and content for file, content in after)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert any(line["event"] == "a stranger was refused" for line in lines)


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_the_password_of_a_database_is_not_told_when_it_does_not_answer(tmp_path, level):
    url = f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:1/x"
    done = subprocess.run(
        [sys.executable, "-m", "devicesdk", "gateway", "serve", "--broker", "embedded"], cwd=tmp_path,
        env=environment(FLEETDRILL_GATEWAY_DATABASE=url, FLEETDRILL_LOG_LEVEL=level),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_a_password_in_a_configuration_that_is_wrong_is_not_told(tmp_path):
    for words in ({"FLEETDRILL_BROKER_PASSWORD": PASSWORD, "FLEETDRILL_BROKER_KEEPALIVE_S": "soon"},
                  {"FLEETDRILL_BROKER_PASSWRD": PASSWORD},
                  {"FLEETDRILL_BROKER_URL": f"mqtt://u:{PASSWORD}@127.0.0.1:1:2"},
                  {"FLEETDRILL_BROKER_URL": f"http://u:{PASSWORD}@127.0.0.1"}):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "devicesdk", "gateway", "serve"], cwd=tmp_path,
            env=environment(**words), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert PASSWORD not in done.stdout + done.stderr, done.stderr
