"""The tutorial by the command line alone: the very commands of docs/tutorials/serve-a-fleet.md, on `make serve`, and what
it says that they print."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests_kit.playground_stage import PATIENCE_S, ROOT, PlaygroundStage

pytestmark = pytest.mark.mosquitto
PAGE = (ROOT / "docs" / "tutorials" / "serve-a-fleet.md").read_text()
SECTION = PAGE.partition("## By the command line\n")[2].partition("\n## ")[0]
BLOCK = re.compile(r"```sh\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)
PLACES = re.compile(r"^  ([a-z]+) {2,}(\S)", re.MULTILINE)
"""Where everything is: the name of each thing, and whether its path begins at the root."""
LOOKING = ("fleetdrill fleet ",)
"""Commands that may be asked until they say it: what they show takes its time."""
HALTS = 1


@pytest.fixture
def stage(tmp_path):
    made = PlaygroundStage(tmp_path / "playground", tmp_path)
    yield made
    made.close()


def pattern(expected):
    """What the page shows, as something that can be searched: … stands for anything, on its own line for lines."""
    lines = []
    for line in expected.strip("\n").splitlines():
        exact = ".*".join(map(re.escape, line.split("…")))
        lines.append("(?:.*\n)*?" if line.strip() == "…" else f"{exact} *\n(?:.*\n)*?")
    return re.compile("".join(lines))


def run(command, env, folder):
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_commands_of_the_tutorial_print_what_it_says(stage, tmp_path):
    assert PLACES.findall(PAGE)[:2] == PLACES.findall(stage.said())[:2]
    assert [name for name, _ in PLACES.findall(PAGE)] == [
        name for name, _ in PLACES.findall(stage.said())
    ]
    steps = [(command.strip(), expected) for command, expected in BLOCK.findall(SECTION)]
    exports, steps = steps[0][0], steps[1:]
    assert exports.startswith("export ")
    assert len(steps) > 10, "the page has lost its commands"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
    env |= {"PATH": path, "PYTHONPATH": str(ROOT)}
    exports = exports.replace("http://127.0.0.1:8140", stage.url)
    pause = threading.Event()
    for command, expected in steps:
        wanted = pattern(expected)
        for _ in range(int(PATIENCE_S)):
            code, out, err = run(f"{exports}\n{command}", env, tmp_path)
            if wanted.search(out) or not command.startswith(LOOKING):
                break
            pause.wait(0.5)
        assert code == (HALTS if " poison " in command else 0), f"{command}\n{out}\n{err}"
        assert wanted.search(out), f"{command}: expected\n{expected}\nfound\n{out}"
