"""The commands of docs/how-to/serve-over-tls.md, in their order, on a gateway that runs; and its tables."""

import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from gateway.broker_cli import register
from gateway.config import HttpSection, load_config

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "serve-over-tls.md"
PATIENCE_S = 60
APP = typer.Typer()
register(APP)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def serve(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    running = []

    def serve(words):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "FLEETDRILL_HTTP_PORT": "0"}
        gateway = subprocess.Popen(
            [sys.executable, "-m", "devicesdk", *words, "--broker", "embedded"],
            env=env, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(gateway)
        said = []
        for line in gateway.stderr:
            said.append(line)
            if " ready " in line:
                return
        raise AssertionError(f"expected a gateway, found: {''.join(said)}")

    yield serve
    for gateway in running:
        gateway.send_signal(signal.SIGTERM)
        gateway.stderr.read()
        gateway.wait(PATIENCE_S)
        gateway.stderr.close()


def curl(words, folder):
    """What curl would ask, on the port that the gateway has."""
    assert words[:2] == ["curl", "--cacert"]
    context = ssl.create_default_context(cafile=folder / words[2])
    port = (folder / "fleetdrill-state" / "http.url").read_text().strip().rsplit(":", 1)[1]
    url = words[3].replace(":8140", f":{port}")
    assert url.startswith("https://localhost:")
    return httpx.get(url, verify=context, trust_env=False, timeout=PATIENCE_S)


def test_the_page_makes_a_certificate_serves_and_renews(tmp_path, serve):
    (tmp_path / "gateway.toml").write_text(blocks("toml")[0])
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    asked = 0
    for line in lines:
        words = shlex.split(line)
        if words[0] == "curl":
            answer = curl(words, tmp_path)
            assert answer.status_code == 200, answer.text
            assert answer.headers["strict-transport-security"]
            asked += 1
        elif words[:3] == ["fleetdrill", "gateway", "serve"]:
            serve(words[1:])
        else:
            assert words[0] == "fleetdrill", f"a command that nobody tests: {line}"
            before = (tmp_path / "keys/tls/http.crt").read_bytes() if "--renew" in words else b""
            done = CliRunner().invoke(APP, words[1:])
            assert done.exit_code == 0, f"{line}\n{done.output}"
            if before:
                assert (tmp_path / "keys/tls/http.crt").read_bytes() != before
                assert (tmp_path / "keys/tls/http.key").stat().st_mode & 0o077 == 0
    assert (asked, len(lines)) == (1, 5)


def test_a_certificate_is_not_made_twice_nor_renewed_before_it_is_there(tmp_path):
    keys = str(tmp_path / "keys")
    for words, code in ((["init", keys, "--tls"], 0), (["http", keys, "--renew"], 2), (["http", keys], 0),
                        (["http", keys], 2), (["http", keys, "--renew"], 0), (["http", str(tmp_path / "no")], 2)):  # fmt: skip
        done = CliRunner().invoke(APP, ["keys", *words])
        assert done.exit_code == code, done.output


def test_every_configuration_on_the_page_is_one_and_every_default_is_as_it_says():
    for block in blocks("toml"):
        assert load_config(block, {}).http != HttpSection()
        assert set(tomllib.loads(block)) == {"http"}
    plain = HttpSection()
    for row in re.findall(r"^\| (`.*?) \| (.*?) \|", PAGE.read_text(), re.MULTILINE):
        names = re.findall(r"`([a-z_]+)`", row[0])
        values = [float(word) for word in re.findall(r"[\d.]+", row[1])]
        assert [float(getattr(plain, name)) for name in names] == values, row
