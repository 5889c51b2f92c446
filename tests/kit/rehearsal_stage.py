"""A gateway that rehearses, its broker, devices of its own, a witness of what they are offered, and a client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
import typer
from typer.testing import CliRunner

from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint
from devicesdk.wire.topics import Topics
from gateway.adapters.keys import init_keys
from gateway.cli import register
from tests_kit.device_stage import ENVIRONMENT, LAUNCH, QUICK, ROOT

APP: Final = typer.Typer()
register(APP)
PATIENCE_S: Final = 120.0
DEVICES: Final = ("kiosk-1", "kiosk-2", "kiosk-3")
SETTINGS: Final = {
    "FLEETDRILL_HTTP_PORT": "0", "FLEETDRILL_REHEARSAL_GATE": "required", "FLEETDRILL_REHEARSAL_SEEDS": "2",
    "FLEETDRILL_REHEARSAL_DEVICES_MIN": "120",
}  # fmt: skip


class Ears:
    """Hears every want that passes the broker."""

    def __init__(self, port: int) -> None:
        self.wants: list[str] = []
        self.ready = asyncio.Event()
        self.port = LeanPort(Endpoint(port=port), self)

    async def open(self) -> None:
        self.port.connect(Dial(client_id="witness", clean_start=True))
        await asyncio.wait_for(self.ready.wait(), PATIENCE_S)

    def on_connected(self, _: Any) -> None:
        self.port.subscribe((Topics().every_device("want"),))

    def on_connect_failed(self, reason: str) -> None:
        raise AssertionError(reason)

    def on_disconnected(self, reason: str) -> None:
        pass

    def on_suback(self, _: Any) -> None:
        self.ready.set()

    def on_puback(self, token: int, code: int) -> None:
        pass

    def on_message(self, message: Any) -> None:
        self.wants.append(message.topic)


class Site:
    """A gateway process with its broker, devices, and a client of the API."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        self.env |= SETTINGS

    def publish(self, source: str) -> None:
        words = ("bundle", "publish", str(ROOT / "models" / source), "--state", str(self.state))
        done = CliRunner().invoke(APP, [*words, "--key", str(self.state / "keys/targets.key")])
        assert done.exit_code == 0, done.output

    def serve(self) -> None:
        init_keys(self.state / "keys")
        with (self.folder / "gateway.log").open("wb") as log:
            words = ("gateway", "serve", "--state", str(self.state), "--broker", "mosquitto")
            self._start(log, "-m", "devicesdk", *words, env=self.env)

    def _start(self, log: Any, *words: str, env: dict[str, str]) -> None:
        self.processes.append(
            subprocess.Popen([sys.executable, *words], cwd=ROOT, env=env, stderr=log)
        )

    def boot(self, port: int) -> None:
        config = self.folder / "device.json"
        config.write_text(json.dumps(QUICK))
        for device in DEVICES:
            with (self.folder / f"{device}.log").open("wb") as log:
                self._start(
                    log, "-c", LAUNCH, "run", "--broker", f"mqtt://127.0.0.1:{port}", "--id", device,
                    "--state", str(self.folder / device), "--trust", str(self.state / "keys/trust.json"),
                    "--config", str(config), env=ENVIRONMENT,
                )  # fmt: skip

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await holds():  # noqa: ASYNC110 - others are asked, and tell nobody
                    await asyncio.sleep(0.05)
        except TimeoutError:
            log = (self.folder / "gateway.log").read_text()[-3_000:]
            raise AssertionError(
                f"expected {what} within {PATIENCE_S} s; the gateway: {log}"
            ) from None

    async def client(self) -> httpx.AsyncClient:
        async def there() -> bool:
            return (self.state / "http.url").exists() and (self.state / "admin.token").exists()

        await self.until("a gateway", there)
        token = (self.state / "admin.token").read_text().strip()
        return httpx.AsyncClient(
            base_url=(self.state / "http.url").read_text().strip() + "/v1",
            headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S, trust_env=False,
        )  # fmt: skip

    def end(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(PATIENCE_S)

    async def rehearsed(self, client: httpx.AsyncClient, number: int) -> dict[str, Any]:
        """A rehearsal that has ended."""
        where = f"/rehearsals/{number}"

        async def over() -> bool:
            return bool((await client.get(where)).json()["ended_ms"])

        await self.until(f"the end of rehearsal {number}", over)
        found: dict[str, Any] = (await client.get(where)).json()
        return found
