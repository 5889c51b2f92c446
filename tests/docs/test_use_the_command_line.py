"""The commands of docs/how-to/use-the-command-line.md, walked over HTTP with the tokens that the page speaks of."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from devicesdk.bundle.archive import pack
from devicesdk.packing.cli import register as register_tool
from gateway.cli import register
from tests_kit import tensor_models as little
from tests_kit.agent_bundles import SIGNERS
from tests_kit.console_stage import ConsoleStage

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "use-the-command-line.md"
APP = typer.Typer()
register_tool(APP)
register(APP)
pytestmark = pytest.mark.mosquitto


def commands():
    """Words of each line, and the file that its output goes to."""
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            said, _, into = line.replace(">>", ">").partition(">")
            yield shlex.split(said), into.strip()


@pytest.fixture
def stage(tmp_path):
    made = ConsoleStage(tmp_path / "fleetdrill-state", ("kiosk-1",))
    yield made
    made.close()


def test_every_command_does_what_the_page_says(stage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Under the page's name: a bundle that is quickly made.
    archive = pack(little.bundle(SIGNERS["targets"]).members)
    (tmp_path / "gauge-1.1.0.zip").write_bytes(archive)
    (tmp_path / "audit-trust.json").write_bytes(
        (stage.state / "keys/audit-trust.json").read_bytes()
    )
    (tmp_path / "auditor.token").write_text(stage.make_token("security"))
    env, seen = {"FLEETDRILL_URL": None}, []
    for words, into in commands():
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            env[name] = stage.url if name == "FLEETDRILL_URL" else value
            continue
        assert words[0] == "fleetdrill", words
        mine = env | ({"FLEETDRILL_TOKEN_FILE": "auditor.token"} if words[1] == "audit" else {})
        done = CliRunner().invoke(APP, words[1:], env=mine)
        assert done.exit_code == 0, f"{' '.join(words)}\n{done.output}"
        if into:
            with (tmp_path / into).open("a") as file:
                file.write(done.stdout)
        seen.append((words[1:3], done.stdout))
    said = {" ".join(words): text for words, text in seen}
    assert said["token whoami"].startswith("ana  releaser  whole fleet")
    assert "spring" in said["rollout status"]
    assert said["audit verify"].startswith("sound")
    assert "little@1.0.0" in said["bundle list"]
