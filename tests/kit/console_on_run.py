"""Small runs with folders, as `fleetdrill run` leaves them, and a console on them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from devicesim.rehearse import Rehearsal, open_scenario
from tests_kit.worlds import KIOSKS, ROLLOUT, scenario_text

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
LOOK_S = 0.05


def small_run(
    folder: Path, rest: str = ROLLOUT, *, until: int | None = None, count: int = 5
) -> Path:
    """The folder of a run of a few kiosks in two hours; its scenario lies beside it."""
    file = folder / "lab.yaml"
    file.write_text(scenario_text(rest, fleet=KIOSKS.format(count=count, link="fcc-dsl")))
    made = Rehearsal(open_scenario(file), file, out=folder / "runs")
    made.run(until)
    assert made.folder is not None
    return made.folder


class ConsoleOnRun:
    """`fleetdrill console RUN` as a process; `close` ends it.

    Args:
        folder: of the run.
        more: options.
    """

    def __init__(self, folder: Path, *more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devicesdk", "console", str(folder), *more],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().rstrip("/")
        assert self.url.startswith("http://127.0.0.1:"), f"expected an address, found {self.url!r}"
        self.stranger = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)
        script = self.stranger.get("/player/token.js").text
        found = re.search(r'"(fd_[^"]+)"', script)
        assert found is not None, f"expected the page's token, found {script}"
        self.token = found[1]
        self.api = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"},
            timeout=PATIENCE_S, trust_env=False,
        )  # fmt: skip

    def get(self, path: str) -> Any:
        """What is answered."""
        answer = self.api.get(path)
        assert answer.is_success, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def player(self) -> Any:
        """What the player does."""
        return self.get("/v1/run")["player"]

    def go(self, at_s: float) -> None:
        """Go to an instant, and wait until it is there."""
        told = self.api.post("/v1/run/go", json={"at_s": at_s})
        assert told.is_success, told.text
        self.until(lambda: self._there(at_s), f"{at_s} s")

    def _there(self, at_s: float) -> bool:
        player = self.player()
        return player["state"] == "paused" and player["now_ms"] == player["start_ms"] + at_s * 1000

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until something is so."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / LOOK_S)):
            if reached():
                return
            pause.wait(LOOK_S)
        raise AssertionError(f"waited {PATIENCE_S} s in vain for {what}: {self.player()}")

    def close(self) -> int:
        """End it; returns its exit code."""
        self.stranger.close()
        self.api.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode
