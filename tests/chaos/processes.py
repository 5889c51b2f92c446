"""Processes that can be killed, frozen and started again, with what they said kept in one log file."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")},
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    "TZ": "UTC",
}
END_S_MAX = 60.0
LOOK_S = 0.02


class Process:
    """One program, started as often as one likes.

    Args:
        name: for people.
        command: program and arguments.
        log: where its standard error goes, appended.
    """

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self.command, self.log_file = name, command, log
        self._child: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def alive(self) -> bool:
        """Whether it runs (or stands frozen)."""
        return self._child is not None and self._child.poll() is None

    @property
    def log(self) -> str:
        """Everything it said."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> None:
        """Start it."""
        assert not self.alive, f"{self.name} runs already"
        self.starts += 1
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT
            )

    def kill(self) -> None:
        """kill -9."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(END_S_MAX)

    def freeze(self) -> None:
        """SIGSTOP."""
        assert self._child is not None, f"{self.name} was never started"
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._child is not None, f"{self.name} was never started"
        self._child.send_signal(signal.SIGCONT)

    async def terminate(self) -> int:
        """SIGTERM; returns the exit status, after a kill when it takes too long."""
        child = self._child
        if child is None or child.poll() is not None:
            return 0 if child is None else int(child.returncode)
        child.send_signal(signal.SIGCONT)
        child.terminate()
        loop = asyncio.get_running_loop()
        until = loop.time() + END_S_MAX
        while child.poll() is None and loop.time() < until:  # noqa: ASYNC110 - no event either
            await asyncio.sleep(LOOK_S)
        if child.poll() is None:
            self.kill()
        return int(child.wait(END_S_MAX))

    def tail(self, lines: int) -> str:
        """The end of what it said."""
        return "\n".join(f"    {self.name}: {line}" for line in self.log.splitlines()[-lines:])
