"""The commands of docs/how-to/rotate-keys.md, in their order; a gateway and a device are tested elsewhere."""

import re
import shlex
from pathlib import Path

import typer
from typer.testing import CliRunner

from gateway.broker_cli import register

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "rotate-keys.md"


def commands():
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line)
            if words[:2] == ["fleetdrill", "keys"] and words[2] != "publish":
                yield words[1:]


def test_the_page_makes_releases_and_replaces_keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("models").symlink_to(ROOT / "models")
    secret = Path("passphrase")
    secret.touch(0o600)
    secret.write_text("correct horse battery staple\n")
    app, done = typer.Typer(), []
    register(app)
    for words in commands():
        outcome = CliRunner().invoke(app, words)
        assert outcome.exit_code == 0, f"{' '.join(words)}\n{outcome.output}"
        done.append(outcome.stdout)
    assert len(done) == 11
    assert "root 2: 364 days left" in done[-1]
    assert "gauge/1.0.0  release" in done[-1]
    assert "needed" not in done[-1]
