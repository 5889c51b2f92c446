"""A poisoned bundle is stopped before it touches a live device: a real gateway, a real broker, real devices, and the
real simulator as the gateway starts it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Dial, Endpoint
from devicesdk.wire.topics import Topics
from gateway.adapters.keys import init_keys
from gateway.cli import register
from tests_kit.device_stage import ENVIRONMENT, LAUNCH, QUICK, ROOT

pytestmark = pytest.mark.mosquitto
APP = typer.Typer()
register(APP)
PATIENCE_S = 120.0
DEVICES = ("kiosk-1", "kiosk-2", "kiosk-3")
POISONED = {"id": "spring", "bundle": "gauge@1.2.0", "waves": [0.4, 1.0], "soak": "20m"}
GOOD = {
    "id": "summer", "bundle": "gauge@1.1.0", "waves": [0.4, 1.0], "soak": "1s", "jitter": "0s",
    "policy": {"trial_ms": 1_000},
}  # fmt: skip
SETTINGS = {
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

    def on_connected(self, _) -> None:
        self.port.subscribe((Topics().every_device("want"),))

    def on_connect_failed(self, reason: str) -> None:
        raise AssertionError(reason)

    def on_disconnected(self, reason: str) -> None:
        pass

    def on_suback(self, _) -> None:
        self.ready.set()

    def on_puback(self, token: int, code: int) -> None:
        pass

    def on_message(self, message) -> None:
        self.wants.append(message.topic)


class Site:
    """A gateway process with its broker, devices, and a client of the API."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.processes: list[subprocess.Popen] = []
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

    def _start(self, log, *words: str, env: dict[str, str]) -> None:
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

    async def until(self, what: str, holds) -> None:
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


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.end()


async def rehearsed(site: Site, client: httpx.AsyncClient, plan: dict) -> dict:
    """Ask for a rehearsal, and wait for its verdict."""
    asked = await client.post("/rehearsals", json=plan)
    assert asked.status_code == 202, asked.text
    where = f"/rehearsals/{asked.json()['number']}"

    async def over() -> bool:
        return bool((await client.get(where)).json()["ended_ms"])

    await site.until(f"the verdict of {plan['id']}", over)
    return (await client.get(where)).json()


async def devices(client: httpx.AsyncClient) -> dict[str, dict]:
    return {one["id"]: one for one in (await client.get("/devices")).json()["devices"]}


async def test_a_poisoned_bundle_is_stopped_before_it_touches_a_live_device(site):
    site.serve()
    client = await site.client()
    for source in ("gauge/1.0.0", "gauge/1.1.0", "gauge-poisoned/1.2.0"):
        site.publish(source)
    for device in DEVICES:
        labels = {"profile": "rpi4-kiosk", "link": "fcc-dsl", "region": "eu"}
        assert (await client.put(f"/devices/{device}/labels", json={"labels": labels})).is_success
    factory = {"id": "factory", "bundle": "gauge@1.0.0", "waves": [1.0], "initial": True}
    assert (await client.post("/rollouts", json=factory)).status_code == 201
    port = int((site.state / "broker.port").read_text())
    ears = Ears(port)
    await ears.open()
    site.boot(port)

    async def all_online() -> bool:
        return all(one["online"] for one in (await devices(client)).values())

    await site.until("three devices online", all_online)

    refused = await client.post("/rollouts", json=POISONED)
    assert (refused.status_code, "found none" in refused.json()["detail"]) == (409, True), (
        refused.text
    )
    found = await rehearsed(site, client, POISONED)
    assert found["state"] == "failed", found["why"]
    assert "halted" in found["why"], found["why"]
    told = " ".join(found["verdict"]["story"])
    assert "failures: e-value" in told, told
    assert [run["held"] for run in found["verdict"]["runs"]] == [False, False]
    refused = await client.post("/rollouts", json=POISONED)
    assert refused.status_code == 409
    assert "rehearsal 1 failed" in refused.json()["detail"], refused.text
    report = await client.get("/rehearsals/1/reports/1")
    assert (report.status_code, "gauge@1.2.0" in report.text) == (200, True)
    assert ears.wants == [], "a device was offered something"
    assert {one["purpose"] for one in (await devices(client)).values()} == {"factory"}
    rollouts = (await client.get("/rollouts")).json()["rollouts"]
    assert rollouts == [], "the poisoned rollout is there"

    found = await rehearsed(site, client, GOOD)
    assert found["state"] == "held", (found["why"], found["verdict"])
    assert ears.wants == [], "a rehearsal touched a live device"
    assert (await client.post("/rollouts", json=GOOD)).status_code == 201

    async def completed() -> bool:
        state = (await client.get("/rollouts/summer")).json()["state"]
        assert state in ("running", "completed"), state
        return state == "completed"

    await site.until("the good rollout to complete", completed)
    assert len(set(ears.wants)) == len(DEVICES)
    assert {one["outcome"] for one in (await devices(client)).values()} == {"committed"}
    log = (await client.get("/audit")).json()["entries"]
    ended = [(one["subject"], one["outcome"]) for one in log if one["verb"] == "rehearsal.ended"]
    assert ended == [("spring", "failed"), ("summer", "held")]
    await client.aclose()
    ears.port.disconnect()
