"""docs/how-to/look-at-a-rehearsal-in-the-console.md: its commands open what they say, its routes answer."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests_kit.console_on_run import PATIENCE_S, ROOT, ConsoleOnRun, small_run

PAGE = (ROOT / "docs" / "how-to" / "look-at-a-rehearsal-in-the-console.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
BODIES = {"go": {"at_s": 60}, "play": {"speed": 60}, "pause": {}, "follow": {}}


@pytest.fixture
def opened():
    made = []
    yield lambda *words: made.append(ConsoleOnRun(*words)) or made[-1]
    for console in made:
        assert console.close() == 0


def test_the_first_command_opens_a_finished_run(opened, tmp_path):
    words = shlex.split(BLOCKS[0])
    assert words == ["fleetdrill", "console", "runs/looked-at/first-light-42", "--open"]
    console = opened(small_run(tmp_path), "--at", "20m")
    console.until(lambda: console.player()["state"] == "paused", "twenty minutes")
    player = console.player()
    assert player["now_ms"] - player["start_ms"] == 20 * 60_000
    reading = re.findall(r"`GET (/v1/[^`]+)`", PAGE)
    assert len(reading) == 3
    for path in reading:
        console.get(path.replace("{device}", "kiosk-0001"))
    playing = [word.strip("/") for word in re.findall(r"`POST /v1/run/(\w+)`|`(/\w+)`", PAGE) for word in word if word]  # fmt: skip
    told = [name for name in playing if name in BODIES]
    assert sorted(told) == sorted(BODIES)
    for name in told:
        assert console.api.post(f"/v1/run/{name}", json=BODIES[name]).status_code == 200
    assert console.api.put("/v1/kills/gauge").json()["type"] in PAGE


def test_a_run_that_goes_on_is_followed_to_its_end(opened, tmp_path):
    first, second = (shlex.split(line) for line in BLOCKS[1].splitlines())
    assert first[:2] == ["fleetdrill", "run"]
    assert second[:2] == ["fleetdrill", "console"]
    run = subprocess.Popen(
        [sys.executable, "-m", "devicesdk", "run", "scenarios/first-light.yaml", "--set", "scale=0.05",
         "--out", str(tmp_path), "--no-explain"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder = tmp_path / "first-light-42"
    stopped_in_the_middle(run, folder / "trace.bin")
    console = opened(folder)
    console.until(lambda: console.player()["state"] == "paused", "where the run has come to")
    player = console.player()
    assert (player["finished"], player["alive"], player["following"]) == (False, True, True)
    assert player["start_ms"] < player["now_ms"] == player["reach_ms"] < player["end_ms"]
    os.kill(run.pid, signal.SIGCONT)
    assert run.wait(PATIENCE_S) in (0, 1)
    console.until(lambda: console.player()["same"] is not None, "the end of the run")
    player = console.player()
    assert player["same"] is True
    assert player["finished"]
    assert player["now_ms"] == player["end_ms"]


def stopped_in_the_middle(run: "subprocess.Popen[bytes]", trace: Path) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        if trace.is_file() and trace.stat().st_size:
            break
        pause.wait(0.005)
    os.kill(run.pid, signal.SIGSTOP)
    assert run.poll() is None, "expected a run that goes on"
    assert not (trace.parent / "record.json").exists(), "expected a run that has not ended"
