"""`make serve` as a newcomer starts it, in a folder of its own, with devices that live thirty times as fast as we do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0
LOOK_S = 0.1
SPEED = 30
"""A quarter of an hour of devices' time, after which lenses haze over, in thirty seconds; a minute of trial in two."""


class PlaygroundStage:
    """Starts in its constructor; `close` presses Ctrl-C.

    Args:
        folder: of the playground.
        home: where what it prints is kept.
        name: of the file there.
    """

    def __init__(self, folder: Path, home: Path, name: str = "said") -> None:
        self.folder, self._said = folder, home / name
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        self.process = subprocess.Popen(
            ["make", "--no-print-directory", "-o", "setup", "-o", "broker", "serve",
             f"BIN={Path(sys.executable).parent}", "PORT=0", f"PLAY=--folder {folder} --speed {SPEED}"],
            cwd=ROOT, env=env | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}, stdout=self._said.open("wb"),
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            self.until(lambda: "devices are online" in self.said(), "all devices")
        except BaseException:
            self.close()
            raise
        self.url = re.search(r"console +(http://\S+)/console/", self.said())[1]
        self.token_file = Path(re.search(r"token +(\S+)", self.said())[1])
        self.token = self.token_file.read_text().strip()
        self.api = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=PATIENCE_S,
            trust_env=False,
        )

    def said(self) -> str:
        """What it has printed."""
        return self._said.read_text()

    def ask(self, path: str) -> Any:
        """What the API answers."""
        answer = self.api.get(path)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def devices(self, label: str = "") -> list[dict[str, Any]]:
        """Twins of devices, all or those with a label."""
        words = f"&label={label}" if label else ""
        return list(self.ask(f"/v1/devices?limit=1000{words}")["devices"])

    def until(self, reached: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / LOOK_S)):
            if reached():
                return
            assert self.process.poll() is None, f"it ended before {what}:\n{self.said()}"
            pause.wait(LOOK_S)
        raise AssertionError(f"waited {PATIENCE_S} s in vain for {what}:\n{self.said()}")

    def players(self) -> dict[str, int]:
        """Process ids of the command itself and of all that work for it in this folder, by their command lines."""
        mark = str(self.folder).encode()
        found = {}
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = file.read_bytes()
            except OSError:
                continue
            if mark in words and b"\0-o\0" not in words:
                found[words.replace(b"\0", b" ").decode()] = int(file.parent.name)
        return found

    def close(self) -> None:
        """Press Ctrl-C, as a terminal does: everybody in the foreground hears it."""
        if hasattr(self, "api"):
            self.api.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(PATIENCE_S)
