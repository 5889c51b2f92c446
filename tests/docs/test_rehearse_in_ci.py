"""The samples of docs/how-to/rehearse-in-ci.md work, and the page shows what they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from devicesim.scenario import load

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "rehearse-in-ci.md"
SAMPLES = PAGE.parent / "samples"
WORKFLOW = (SAMPLES / "fleetdrill.yml").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def steps():
    # YAML 1.1 reads the key `on` as true, GitHub does not
    read = yaml.safe_load(re.sub(r"^on:", '"on":', WORKFLOW, flags=re.MULTILINE))
    return read, read["jobs"]["rehearse"]["steps"]


@pytest.fixture
def checkout(tmp_path):
    """Somebody's repository, with the samples where the page says."""
    folder = tmp_path / "tests" / "outages"
    folder.mkdir(parents=True)
    for name in ("test_outages.py", "carrier-outage.yaml"):
        shutil.copy(SAMPLES / name, folder)
    return tmp_path


def shell(command, checkout, **env):
    """Run a command as a runner does, with pytest's plugins by name and few workers."""
    words = command.replace("pytest ", f"{sys.executable} -m pytest -p no:cacheprovider ", 1)
    plugins = "devicesim.pytest_plugin,xdist.plugin"
    known = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": plugins}
    return subprocess.run(
        ["bash", "-c", words.replace("-n auto", "-n 2")], cwd=checkout, capture_output=True,
        text=True, check=False, timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT), **known, **env},
    )  # fmt: skip


def test_the_page_shows_the_samples():
    (shown,) = blocks("python")
    assert shown.partition("import fleetdrill")[2] in (SAMPLES / "test_outages.py").read_text()
    (yml,) = blocks("yml")
    assert yml in WORKFLOW


def test_the_workflow_is_one_by_github_s_schema():
    schema = json.loads((ROOT / "tests/golden/github-workflow.schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(steps()[0])
    wrong = json.loads(json.dumps(steps()[0]).replace("runs-on", "run-on"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(wrong)


def test_the_scenario_is_valid():
    assert load((SAMPLES / "carrier-outage.yaml").read_text(), (), None).checks.liveness


def test_the_steps_of_the_workflow_run(checkout):
    runs = {step["name"]: step["run"] for step in steps()[1] if "run" in step}
    assert runs["Install"] == "pip install 'fleetdrill[sim]' pytest pytest-xdist"
    done = shell(runs["Rehearse"], checkout, SEEDS="2", GITHUB_STEP_SUMMARY="summary.md")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    assert "test_a_carrier_outage` | 2 | all held |" in (checkout / "summary.md").read_text()
    (upload,) = [step for step in steps()[1] if "artifact" in step.get("uses", "")]
    assert "fleetdrill-reports/\nfleetdrill.xml" in upload["with"]["path"]
    assert (checkout / "fleetdrill.xml").is_file()


def test_the_commands_of_the_page_run(checkout):
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 3
    first, one = (
        shell(f"{line} -k without_jitter", checkout) for line in (commands[0], commands[1])
    )
    assert "3 passed" in first.stdout, first.stdout + first.stderr
    assert "1 passed" in one.stdout, one.stdout + one.stderr


def test_a_failing_seed_reads_as_on_the_page(checkout):
    file = checkout / "tests" / "outages" / "carrier-outage.yaml"
    file.write_text(file.read_text().replace(">= 45%", ">= 95%"))
    done = shell("pytest tests/outages --fleetdrill-seed 17 -k a_carrier_outage", checkout)
    told = " ".join(done.stdout.split())
    (shown,) = blocks("text")
    for line in (
        "half of the fleet stays (always) did not hold, first at",
        "again: ",
        "or: ",
        "look: ",
    ):
        assert line in told, done.stdout
        assert line in " ".join(shown.split())
    assert (checkout / "fleetdrill-reports/carrier-outage-seed-17/report.html").is_file()
