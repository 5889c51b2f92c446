"""Operators and devices that never stop asking: load for a gateway that is killed again and again.

Decides what each asks, that it retries until it is answered, and what it was answered. Leaves out the gateway and what
must hold afterwards (test_acknowledged.py).

Rules: a request over HTTP has an idempotency key of its own and is repeated under it until an answer comes that
ends it; a verb at the door has no key, so it is one that may be done twice without harm.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from paho.mqtt.client import Client, MQTTProtocolVersion
from paho.mqtt.enums import CallbackAPIVersion

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Have, Telemetry
from gateway.runtime.knock import NoGatewayError, knock
from gateway.runtime.verbs import EnrollDevice, VerbError

ANSWER_S_MAX = 10.0
PAUSE_S = 0.05
DEVICES = 20
AGAIN = (401, 429, 503)
"""Not ours (another program has the old port), too often, not now."""


class Acknowledged(NamedTuple):
    """One answer: to what, with which status, after how many tries."""

    key: str
    verb: str
    subject: str
    status: int
    tries: int


class Asker(threading.Thread):
    """Somebody who asks until told to stop; the last request is seen through."""

    def __init__(self, name: str, state: Path) -> None:
        super().__init__(name=name, daemon=True)
        self.state, self.enough = state, threading.Event()
        self.answers: list[Acknowledged] = []
        self.failed: BaseException | None = None

    def run(self) -> None:
        """Ask, one thing after the other."""
        try:
            number = 0
            while not self.enough.wait(PAUSE_S):
                number += 1
                self.ask(number)
        except BaseException as error:  # noqa: BLE001 - told by whoever joins
            self.failed = error

    def ask(self, number: int) -> None:
        """Ask for something, until it is answered."""
        raise NotImplementedError


class OverHttp(Asker):
    """Creates rollouts and steers every other one."""

    def ask(self, number: int) -> None:
        """One rollout, then its end."""
        name = f"{self.name}-{number}"
        self._insist("rollout.create", name, "/v1/rollouts", {"id": name, "bundle": "none@1.0.0"})
        if number % 2:
            self._insist("rollout.steer", name, f"/v1/rollouts/{name}/abort-keep", None)

    def _insist(self, verb: str, subject: str, path: str, body: dict[str, str] | None) -> None:
        key, tries = f"{verb}/{subject}", 0
        while True:
            tries += 1
            status, told = self._once(key, path, body)
            under_way = status == 409 and told.endswith("/conflict")
            if status and status not in AGAIN and not under_way:
                self.answers.append(Acknowledged(key, verb, subject, status, tries))
                return
            threading.Event().wait(PAUSE_S)

    def _once(self, key: str, path: str, body: dict[str, str] | None) -> tuple[int, str]:
        """Status and kind of problem; 0 for no answer."""
        try:
            url = (self.state / "http.url").read_text().strip()
            token = (self.state / "admin.token").read_text().strip()
            asked = urllib.request.Request(
                url + path,
                data=b"" if body is None else json.dumps(body).encode(),
                headers={
                    "Authorization": f"Bearer {token}",
                    "Idempotency-Key": key,
                    "Content-Type": "application/json",
                },
                method="POST",
            )
            with urllib.request.urlopen(asked, timeout=ANSWER_S_MAX) as answer:
                answer.read()
                return answer.status, ""
        except urllib.error.HTTPError as error:
            return error.code, _kind(error)
        except (OSError, http.client.HTTPException, ValueError):
            return 0, ""


def _kind(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read()).get("type", ""))
    except (OSError, http.client.HTTPException, ValueError):
        return ""


class AtTheDoor(Asker):
    """Enrols devices."""

    def ask(self, number: int) -> None:
        """One device."""
        device, tries = f"{self.name}-{number}", 0
        while True:
            tries += 1
            try:
                knock(self.state, EnrollDevice(device=device, labels={"n": str(number)}))
            except (NoGatewayError, VerbError, OSError):
                threading.Event().wait(PAUSE_S)
            else:
                self.answers.append(Acknowledged(device, "device.enroll", device, 200, tries))
                return


class Devices(Asker):
    """A fleet on one connection: reports and telemetry, QoS 1, in turn."""

    def __init__(self, state: Path, port: int) -> None:
        super().__init__("devices", state)
        self._client = Client(
            CallbackAPIVersion.VERSION2, "fleet", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._names = topics.Topics()
        self.sent = 0

    def ask(self, number: int) -> None:
        """All devices say something."""
        for device in range(DEVICES):
            name = f"live-{device}"
            have = codec.encode(Have(boot_id=1, seq=number))
            told = codec.encode(Telemetry(boot_id=1, seq=number, bundle=bytes(8), frames=0))
            self._client.publish(self._names.device(name, topics.HAVE), have, 1)
            self._client.publish(self._names.device(name, topics.TEL), told, 1)
            self.sent += 2

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()
