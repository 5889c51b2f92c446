"""People and devices that never stop asking: load for a gateway that is killed again and again.

Decides what is asked at the door and by devices, that it is asked until it is answered, and what it was answered. Leaves
out what is asked over HTTP (operators.py), the gateway, and what must hold afterwards (test_acknowledged.py).

Rule: a verb at the door has no idempotency key, so it is one that may be done twice without harm.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

from paho.mqtt.client import Client, MQTTProtocolVersion
from paho.mqtt.enums import CallbackAPIVersion

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Have, Telemetry
from gateway.runtime.knock import NoGatewayError, knock
from gateway.runtime.verbs import EnrollDevice, VerbError

PAUSE_S = 0.05
DEVICES = 20


class Acknowledged(NamedTuple):
    """One answer: to what, with which status, after how many tries."""

    key: str
    verb: str
    subject: str
    status: int
    tries: int
    body: bytes = b""


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
