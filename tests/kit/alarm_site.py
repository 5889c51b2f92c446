"""A gateway process with quick alarms, the broker it is told of, and devices that fail every trial."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho

from devicesdk.wire import codec
from devicesdk.wire.messages import Event, Have, Link, Signed, UpdateState, Want
from tests_kit.agent_bundles import Bundle
from tests_kit.console_stage import write_keys

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
LOOK_S = 0.05
QUICK = {"look_s": 0.1, "probe_s": 0.2, "broker_s": 0.5, "calm_s": 0.5, "webhook_retry_s_min": 0.05,
         "webhook_retry_s_max": 0.2, "webhook_timeout_s": 10.0}  # fmt: skip
"""Of ``[alarms]``."""


class Site:
    """A state folder and a gateway in it; `serve` starts one, `close` ends it.

    Args:
        folder: an empty one.
        broker: as ``--broker`` takes it.
        said: of ``[alarms]``, beside `QUICK`.
    """

    def __init__(self, folder: Path, broker: str = "mosquitto", **said: Any) -> None:
        self.state, self._broker = folder / "state", broker
        write_keys(self.state / "keys")
        self._config = folder / "gateway.toml"
        words = [f"{key} = {_toml(value)}" for key, value in (QUICK | said).items()]
        self._config.write_text("[alarms]\n" + "\n".join(words) + "\n")
        self.process: subprocess.Popen[bytes] | None = None
        self.api: httpx.Client

    @property
    def said(self) -> str:
        """What the gateway logged so far."""
        return (self.state / "said").read_text()

    def serve(self) -> None:
        """Start, or start again."""
        (self.state / "http.url").unlink(missing_ok=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDRILL_")}
        words = ("gateway", "serve", "--state", self.state, "--broker", self._broker, "--config", self._config)  # fmt: skip
        with (self.state / "said").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "devicesdk", *words],
                cwd=ROOT, env=env | {"FLEETDRILL_HTTP_PORT": "0"}, stderr=log,
            )  # fmt: skip
        self.until(lambda: (self.state / "http.url").exists(), "the gateway")
        token = (self.state / "admin.token").read_text().strip()
        self.api = httpx.Client(
            base_url=(self.state / "http.url").read_text().strip(), timeout=PATIENCE_S, trust_env=False,
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        if self.process is not None:
            self.api.close()
            self.process.send_signal(number)
            self.process.wait(PATIENCE_S)
            self.process = None

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API as the first admin."""
        answer = self.api.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def alarms(self, **words: str) -> list[dict[str, Any]]:
        """Alarms, the oldest first."""
        found: list[dict[str, Any]] = self.ask("GET", f"/v1/alarms?{httpx.QueryParams(words)}")["alarms"]  # fmt: skip
        return found[::-1]

    def until(self, reached: Callable[[], Any], what: str) -> None:
        """Wait until something is so."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / LOOK_S)):
            if reached():
                return
            pause.wait(LOOK_S)
        raise AssertionError(f"waited {PATIENCE_S} s in vain for {what}")

    def publish(self, bundle: Bundle) -> None:
        """Store a bundle and register it."""
        for blob, _ in bundle.blobs.values():
            sent = self.api.put(f"/v1/blobs/{sha256(blob).hexdigest()}", content=blob)
            assert sent.status_code in (200, 201), sent.text
        self.ask("POST", "/v1/bundles", {"digest": bundle.digest.hex()})

    @property
    def broker_port(self) -> int:
        """Of the broker that the gateway started."""
        return int((self.state / "broker.port").read_text())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str | Path) else str(value)


class Failing:
    """Devices that answer every want with a trial that was rolled back.

    Args:
        port: of the broker.
        names: of the devices.
        running: digest of what they run.
    """

    def __init__(self, port: int, names: tuple[str, ...], running: bytes) -> None:
        self._running = running
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        for name in names:
            self._client.subscribe(f"fd/main/d/{name}/want", 1)
            self._say(name, "link", Link(boot_id=1, session=1, online=True))
            self._say(name, "have", Have(boot_id=1, seq=1, running=running))

    def _heard(self, _client: Any, _data: Any, message: Any) -> None:
        name = message.topic.split("/")[-2]
        want = codec.decode(Want, codec.decode(Signed, message.payload).payload)
        failed = {"generation": want.generation, "running": self._running, "reason": "latency"}
        state = UpdateState.ROLLED_BACK
        event = {"kind": "update", "generation": want.generation, "reason": "latency"}
        for number, said in enumerate((UpdateState.TRIAL, state), 1):
            seq = 2 * want.generation + number
            digest = want.manifest if said is UpdateState.TRIAL else self._running
            self._say(name, "ev", Event(boot_id=1, seq=seq, state=said, digest=digest, **event))  # type: ignore[arg-type]
        seq = 1 + want.generation
        self._say(name, "have", Have(boot_id=1, seq=seq, state=state, **failed))  # type: ignore[arg-type]

    def _say(self, name: str, kind: str, message: Any) -> None:
        retain = kind in ("link", "have")
        self._client.publish(f"fd/main/d/{name}/{kind}", codec.encode(message), qos=1, retain=retain)  # fmt: skip

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()
