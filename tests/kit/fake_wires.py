"""Ports of the runtime, played by the test: connections that do what they are told, rows in memory.

One `log` tells what happened in which order, whichever port it came through.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from devicesdk.aio.port import Dial, Granted, Inbound, Listener, PortFullError
from devicesdk.wire.topics import Topics
from gateway.core.aside import ASIDE
from gateway.ports import BlobError
from gateway.runtime.life import Ports


class Wire:
    """One MQTT client; implements `MqttPort`."""

    def __init__(self, name: str, log: list[tuple[Any, ...]], ears: Listener) -> None:
        self.name, self.log, self.ears = name, log, ears
        self.loop = asyncio.get_running_loop()
        self.connected = False
        self.unsent_bytes = 0
        self.dials: list[Dial] = []
        self.session_present = False
        self.refuse_connects = 0
        self.subacks: list[tuple[int, ...] | None] = []
        """What to answer to the next subscriptions; None stays silent. Then everything is granted."""
        self.pubacks: list[int | None] = []
        """The same for publishes."""
        self.full = False
        self.sent: list[dict[str, Any]] = []
        self.next_id = 1

    def connect(self, dial: Dial) -> None:
        assert not self.connected, "connected twice"
        self.dials.append(dial)
        self.log.append(("connect", self.name))
        if self.refuse_connects:
            self.refuse_connects -= 1
            self.loop.call_soon(self.ears.on_connect_failed, "refused")
        else:
            self.connected = True
            self.loop.call_soon(self._connected)

    def _connected(self) -> None:
        if self.connected:
            self.ears.on_connected(Granted(session_present=self.session_present))

    def subscribe(self, filters: tuple[str, ...], qos: int = 1) -> None:
        self.log.append(("subscribe", self.name, filters, qos))
        codes = self.subacks.pop(0) if self.subacks else (qos,) * len(filters)
        if codes is not None:
            self.loop.call_soon(self.ears.on_suback, codes)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        token: int = 0,
        expiry_s: int = 0,
    ) -> None:
        if self.full:
            raise PortFullError("full")
        assert self.connected, "published while away"
        self.log.append(("publish", self.name, topic))
        self.sent.append({"topic": topic, "payload": payload, "qos": qos, "retain": retain,
                          "token": token, "expiry_s": expiry_s})  # fmt: skip
        if qos:
            code = self.pubacks.pop(0) if self.pubacks else 0
            if code is not None:
                self.loop.call_soon(self._puback, token, code)

    def _puback(self, token: int, code: int) -> None:
        if self.connected:
            self.ears.on_puback(token, code)

    def acknowledge(self, packet_id: int) -> None:
        self.log.append(("ack", packet_id))

    def disconnect(self, reason: int = 0) -> None:
        self.log.append(("disconnect", self.name))
        self.connected = False

    def abort(self) -> None:
        self.log.append(("abort", self.name))
        self.connected = False

    # -- what the test does

    def deliver(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> int:
        """A message arrives; returns its packet id."""
        packet_id = self.next_id if qos else 0
        self.next_id += bool(qos)
        self.ears.on_message(Inbound(topic, payload, qos, retain, packet_id))
        return packet_id

    def lose(self, reason: str = "reset") -> None:
        """The connection breaks."""
        self.connected = False
        self.next_id = 1
        self.ears.on_disconnected(reason)


class Wires:
    """Both connections of a gateway; the newest ones after a restart."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.names = Topics()
        self.refuse = {"control": 0, "data": 0}
        """How many connects each new wire refuses."""
        self.control: Wire
        self.data: Wire
        self.ports = Ports(
            lambda ears: self._make("control", ears), lambda ears: self._make("data", ears)
        )

    def _make(self, name: str, ears: Listener) -> Wire:
        wire = Wire(name, self.log, ears)
        wire.refuse_connects = self.refuse[name]
        setattr(self, name, wire)
        return wire

    def words(self, *kinds: str) -> list[tuple[Any, ...]]:
        """What was logged of some kinds."""
        return [entry for entry in self.log if entry[0] in kinds]


class MemoryStorage:
    """Durable rows in a dictionary; implements `gateway.ports.Storage`."""

    def __init__(self, log: list[tuple[Any, ...]]) -> None:
        self.log = log
        self.durable: dict[tuple[str, str], Any] = {}
        self.batch: dict[tuple[str, str], Any] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.fails: Exception | None = None

    def put(self, table: str, key: str, row: Any) -> None:
        self.batch[table, key] = row

    def commit(self) -> int:
        self.waiting.set()
        assert self.gate.wait(60), "nobody opened the gate"
        self.waiting.clear()
        if self.fails is not None:
            raise self.fails
        for name, row in self.batch.items():
            if row is None:
                self.durable.pop(name, None)
            else:
                self.durable[name] = row
        self.log.append(("commit", tuple(sorted({table for table, _ in self.batch}))))
        count, self.batch = len(self.batch), {}
        return count

    def forget(self) -> int:
        lost, self.batch = len(self.batch), {}
        return lost

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        for (table, key), row in sorted(self.durable.items()):
            if table not in ASIDE:
                yield table, key, row

    def page(self, table: str, after: str, limit: int) -> list[tuple[str, Any]]:
        found = {k: r for (t, k), r in self.durable.items() if t == table and k > after}
        return [(key, found[key]) for key in sorted(found)[:limit]]

    def close(self) -> None:
        pass


class MemoryBlobs:
    """Blobs in a dictionary; implements `gateway.ports.Blobs`."""

    def __init__(self) -> None:
        self.content: dict[bytes, bytes] = {}

    def put(self, data: bytes) -> bytes:
        digest = sha256(data).digest()
        self.content[digest] = data
        return digest

    def size_bytes(self, digest: bytes) -> int:
        self.verify(digest)
        return len(self.content[digest])

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        self.verify(digest)
        return self.content[digest][offset : offset + size]

    chunk = read

    def ready(self, digest: bytes) -> bool:
        return True

    def verify(self, digest: bytes) -> None:
        if digest not in self.content:
            raise BlobError(f"expected a blob {digest.hex()}, found none")

    def close(self) -> None:
        pass
