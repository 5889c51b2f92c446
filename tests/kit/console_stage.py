"""A gateway process with its broker, real agents on real wires, and a browser's view of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import httpx

from devicesdk.agent.config import AgentConfig, BackoffConfig
from devicesdk.aio.clock import RealClock
from devicesdk.aio.port import Endpoint
from devicesdk.wire.timebase import MS, SECOND
from gateway.adapters.keys import key_file
from tests_kit.agent_bundles import KEYS, SIGNERS, Bundle, identity_of
from tests_kit.wired_rig import WiredRig

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
LOOK_S = 0.05
CONFIG = AgentConfig(window_ns=20 * SECOND, backoff=BackoffConfig(cap_ns=2 * SECOND))


class ConsoleStage:
    """Starts in its constructor; `close` ends it.

    Args:
        state: the gateway's folder.
        devices: names of devices that are enrolled and live.
    """

    BUNDLES: ClassVar = ((1, 20_000), (2, 60_000))
    """Number and bytes of the old bundle and of the new one."""
    LABELS: ClassVar = {"region": "eu"}
    SELECTOR: ClassVar[dict[str, str]] = {}
    """Who runs the old one from the factory."""

    def __init__(self, state: Path, devices: tuple[str, ...]) -> None:
        self.state, self.devices = state, devices
        write_keys(state / "keys")
        self.prepare()
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devicesdk", "gateway", "serve", "--state", str(state), "--broker", "mosquitto"],
            cwd=ROOT, env=env | {"FLEETDRILL_HTTP_PORT": "0"}, stderr=(state / "said").open("wb"),
        )  # fmt: skip
        self.until(lambda: b" ready " in (state / "said").read_bytes(), "the gateway")
        self.url = (state / "http.url").read_text().strip()
        self.token = (state / "admin.token").read_text().strip()
        self.api = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=PATIENCE_S,
            trust_env=False,
        )
        self.furnish()
        self._over = threading.Event()
        self._life = threading.Thread(target=lambda: asyncio.run(self._live()))
        self._life.start()

    def prepare(self) -> None:
        """What is in the state folder before the gateway starts: nothing but keys."""

    def furnish(self) -> None:
        """Two bundles, the devices' labels, and what they run from the factory."""
        self.old, self.new = (Bundle(number, size) for number, size in self.BUNDLES)
        for bundle in (self.old, self.new):
            self._publish(bundle)
        for name in self.devices:
            self.ask("PUT", f"/v1/devices/{name}/labels", {"labels": self.LABELS})
        factory = {"id": "factory", "bundle": self.old.manifest.name, "selector": self.SELECTOR}
        self.ask("POST", "/v1/rollouts", {**factory, "initial": True})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API as the first admin."""
        answer = self.api.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def make_token(self, role: str) -> str:
        """The text of a new token of a role."""
        made = self.ask("POST", "/v1/tokens", {"name": f"the-{role}", "role": role})
        return str(made["token"])

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until something is so."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / LOOK_S)):
            if reached():
                return
            pause.wait(LOOK_S)
        raise AssertionError(f"waited {PATIENCE_S} s in vain for {what}")

    def close(self) -> None:
        """End devices and gateway."""
        self._over.set()
        self._life.join(PATIENCE_S)
        self.api.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)

    def _publish(self, bundle: Bundle) -> None:
        for blob, _ in bundle.blobs.values():
            sent = self.api.put(f"/v1/blobs/{sha256(blob).hexdigest()}", content=blob)
            assert sent.status_code in (200, 201), sent.text
        self.ask("POST", "/v1/bundles", {"digest": bundle.digest.hex()})

    async def _live(self) -> None:
        endpoint = Endpoint(host="127.0.0.1", port=int((self.state / "broker.port").read_text()))
        clock = RealClock()
        rigs = [self._rig(endpoint, clock, name) for name in self.devices]
        while not self._over.is_set():
            for rig in rigs:
                rig.tick()
            await asyncio.sleep(0.01)
        for rig in rigs:
            rig.port.abort()

    def _rig(self, endpoint: Endpoint, clock: RealClock, name: str) -> WiredRig:
        rig = WiredRig(
            endpoint, clock, self.old, self.new, factory=self.old, config=CONFIG, rtt_ns=MS
        )
        rig.identity = identity_of(self.old, name)
        rig.boot()
        return rig


def write_keys(folder: Path) -> None:
    """The keys of `tests_kit.agent_bundles`, as a gateway's folder has them."""
    folder.mkdir(mode=0o700, parents=True)
    for role in ("director", "flags"):
        file = key_file(folder, role)
        number = list(SIGNERS).index(role) + 1
        file.write_text((bytes([number]) * 32).hex() + "\n")
        file.chmod(0o600)
    trust = {role: [key.hex() for key in keys] for role, keys in KEYS.items()}
    (folder / "trust.json").write_text(json.dumps(trust))
