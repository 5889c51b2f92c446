"""The commands of docs/how-to/trust-the-audit-log.md, in their order, on a gateway that runs."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import register
from gateway.core.audit import chain

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "trust-the-audit-log.md"
PATIENCE_S = 60
APP = typer.Typer()
register(APP)


def commands():
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL):
        yield from block.splitlines()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gateway = subprocess.Popen(
        [sys.executable, "-m", "devicesdk", "gateway", "serve", "--broker", "mosquitto"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        said = []
        for line in gateway.stderr:
            said.append(line)
            if " ready " in line:
                break
        else:
            raise AssertionError(f"expected a gateway, found: {''.join(said)}")
        yield tmp_path
    finally:
        gateway.terminate()
        gateway.stderr.read()
        gateway.wait(PATIENCE_S)
        gateway.stderr.close()


@pytest.mark.mosquitto
def test_the_page_looks_verifies_keeps_and_finds(folder):
    told = []
    for line in commands():
        words = shlex.split(line)
        if words[0] == "sqlite3":
            database = sqlite3.connect(folder / words[1])
            with database:
                assert database.execute(words[2]).rowcount == 1
            database.close()
            continue
        assert words[0] == "fleetdrill", f"a command that nobody tests: {line}"
        into = words.index(">>") if ">>" in words else len(words)
        done = CliRunner().invoke(APP, words[1:into])
        if into < len(words):
            (folder / words[into + 1]).write_text(done.stdout)
        told.append((words[1:3], done.exit_code, done.output))
    codes = [code for _, code, _ in told]
    assert codes == [0] * (len(codes) - 1) + [1], told
    assert "kill gauge done" in told[1][2]
    assert told[3][2].startswith("sound: 2 entries")
    found = told[-1][2]
    written = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)[-1]
    assert found == written, f"the page tells of another finding:\n{found}"


def test_every_finding_is_explained():
    source = Path(chain.__file__).parent
    kinds = set()
    for file in source.glob("*.py"):
        kinds |= set(re.findall(r'Finding\(\s*"(\w+)"', file.read_text()))
    explained = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert kinds == explained
