"""The gateway of a playground: `fleetdrill gateway serve` as a process of its own.

Decides its configuration, when it is ready, and how it ends. Leaves out the gateway (gateway/service.py), which starts the
broker.

Rules: Ctrl-C is for us, who end it in our own time; one that an earlier, killed playground left in this very folder is
ended first, and no other process ever; a port that is taken is said before anything is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import Final

from devicesdk.wire.timebase import SECOND
from devicesim.playground.folder import Folder
from devicesim.scenario.schema import Scenario
from gateway.adapters.brokers.process import leftover, listens
from gateway.service import PORT_FILE, TOKEN_FILE, URL_FILE

START_S_MAX: Final = 120.0
STOP_S_MAX: Final = 30.0
LOOK_S: Final = 0.05
LOG_TAIL_LINES: Final = 12
HOST: Final = "127.0.0.1"
VARIABLES: Final = "FLEETDRILL_"
_CONFIG: Final = """\
# Written by `fleetdrill playground` at each start: what is changed here is lost.
[http]
port = {port}

[broker]
url = "{broker}"

# Devices here tell of themselves every {window_s:g} s and not every quarter of an hour: so are they judged.
[collect]
window_ns = {window_ns}
psi_raise_min = {effect}
psi_clear_max = {clear}
"""


class PlaygroundError(RuntimeError):
    """The playground cannot begin or go on; says why."""


class GatewayProcess:
    """The process.

    Args:
        folder: of the playground.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.command = (
            sys.executable, "-m", "devicesdk", "gateway", "serve",
            "--state", str(folder.gateway), "--config", str(folder.config),
        )  # fmt: skip
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self, scenario: Scenario, port: int, broker: str) -> None:
        """Start it; returns when it answers.

        Args:
            scenario: says how often devices are judged, in its own time.
            port: of API and console on the loopback; 0 for a free one.
            broker: as `gateway serve` takes it.

        Raises:
            PlaygroundError: the port is taken, or it ended.
        """
        folder = self._folder
        await self._end_leftover()
        if port and listens(HOST, port):
            raise PlaygroundError(
                f"expected port {port} of {HOST} to be free for the console, found that somebody listens there: "
                "end that program, or name another port with --port (0: a free one)"
            )
        drift, speed = scenario.drift, scenario.clock.speed
        window_ns = max(SECOND, round(drift.window_ns / speed))
        folder.config.write_text(
            _CONFIG.format(
                port=port, broker=broker, window_ns=window_ns, effect=drift.effect_min,
                clear=drift.effect_min / 2, window_s=scenario.telemetry.window_ns / speed / SECOND,
            )
        )  # fmt: skip
        (folder.gateway / URL_FILE).unlink(missing_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(VARIABLES)}
        with folder.log.open("ab") as log:
            child = self._child = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, start_new_session=True,
            )  # fmt: skip
        folder.pid.write_text(str(child.pid))
        await self._until_ready()

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(START_S_MAX):
                while not (self._folder.gateway / URL_FILE).exists():
                    self.check()
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise PlaygroundError(
                f"expected the gateway to be ready within {START_S_MAX:g} s, found that it is not; "
                f"{self._tail()}"
            ) from None

    def check(self) -> None:
        """See that it runs.

        Raises:
            PlaygroundError: it ended by itself.
        """
        code = None if self._child is None else self._child.poll()
        if code is not None:
            raise PlaygroundError(
                f"expected the gateway to run, found that it ended with {code}; {self._tail()}"
            )

    @property
    def url(self) -> str:
        """Of its API; the console is below it."""
        return (self._folder.gateway / URL_FILE).read_text().strip()

    @property
    def token_file(self) -> str:
        """Where the first token is."""
        return str(self._folder.gateway / TOKEN_FILE)

    @property
    def broker_url(self) -> str:
        """Where its broker listens."""
        port = (self._folder.gateway / PORT_FILE).read_text().strip()
        return f"mqtt://{HOST}:{port}"

    async def stop(self) -> None:
        """Ask it to end, and wait; kill it if it does not."""
        child = self._child
        if child is None:
            return
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(child.wait, STOP_S_MAX)
        if child.poll() is None:
            child.kill()
            await asyncio.to_thread(child.wait)
        self._child = None
        self._folder.pid.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once, and with it the broker that it started; what it had not made durable is lost."""
        if self._child is not None:
            self._child.kill()

    async def _end_leftover(self) -> None:
        pid = leftover(self._folder.pid, self.command)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S_MAX):
                while leftover(self._folder.pid, self.command) is not None:  # noqa: ASYNC110 - nor has a process
                    await asyncio.sleep(LOOK_S)

    def _tail(self) -> str:
        lines = self._folder.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join((f"the end of {self._folder.log}:", *lines))
