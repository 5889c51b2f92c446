"""A stage for attacks: a whole plant behind the production broker, and a raider.

`Raider` speaks bytes, not MQTT: what a library would refuse to send, it sends. `HOSTILE` is what it says.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import mqtt5
import msgpack

from devicesdk.aio.lean_packets import Reader
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS, ROLE_TARGETS, key_id
from devicesdk.wire import codec
from devicesdk.wire.messages import FlagSnapshot, Have, KillList, Link, Signed, Want
from gateway.adapters.certificates import Authority, client_pair
from gateway.runtime import verbs
from tests.system.broker_stage import DAYS, PATIENCE_S, Plant
from tests_kit.agent_bundles import SIGNERS, pattern
from tests_kit.device_stage import rss_kib
from tests_kit.works import Works

TARGET, WITNESS, VILLAIN = "dev-1", "witness", "dev-3"
"""The device that is attacked, the one that must not notice, the one that turned bad."""
ODD = "od d"
"""A name that somebody gave a password by mistake: not a device id."""
TOPIC = "fd/main/d/{}/{}"


WANTED = codec.encode(
    Want(device=WITNESS, generation=2**53, deployment="x", manifest=bytes(32), manifest_bytes=100)
)


def _hostile() -> dict[str, bytes]:
    have = codec.encode(Have(boot_id=1, seq=1, hardware_class="pi"))
    kill = codec.encode(KillList(version=2**53, features=("gauge",)))
    flags = codec.encode(FlagSnapshot(rev=2**53, segment="all", document=b'{"flags":{}}'))
    return {
        "nothing": b"",
        "noise": pattern(3, 300),
        "truncated": have[:-3],
        "followed": have + b"\x00",
        "huge numbers": msgpack.packb({"b": 2**64 - 1, "q": -(2**63), "x": 2**64 - 1, "n": 2**40}),
        "floats": msgpack.packb({"b": float("nan"), "q": float("inf")}),
        "wrong types": msgpack.packb({"b": "1", "q": [2], "on": {}, "c": 7, "p": None}),
        "number keys": msgpack.packb({1: 1, None: 2}),
        "extensions": msgpack.packb({"b": msgpack.ExtType(5, b"x"), "q": msgpack.Timestamp(1)}),
        "a byte that is never used": b"\xc1" + have,
        "deep maps": b"\x81\xa1a" * 10_000 + b"\xc0",
        "deep arrays": b"\x91" * 60_000,
        "claims a lot": b"\xdf\xff\xff\xff\xff",
        "not text": b"\x81\xa1b\xa3\xff\xfe\xfd",
        "another kind": codec.encode(Link(boot_id=1, session=1, online=True)),
        "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "forged want": SIGNERS[ROLE_DIRECTOR].seal(WANTED),
        "forged kill": SIGNERS[ROLE_FLAGS].seal(kill),
        "forged flags": SIGNERS[ROLE_FLAGS].seal(flags),
        "wrong role": SIGNERS[ROLE_TARGETS].seal(WANTED),
        "unsigned": WANTED,
        "large": bytes(200 * 1024),
    }


HOSTILE = _hostile()
"""Payloads that no peer in order sends; none of the signing keys is one that devices trust."""


def publish_bytes(
    topic: bytes | str, payload: bytes, *, qos: int = 1, retain: bool = False, packet_id: int = 1
) -> bytes:
    """A PUBLISH of MQTT 5 by hand: the topic may be anything."""
    name = topic.encode() if isinstance(topic, str) else topic
    body = struct.pack(">H", len(name)) + name
    body += struct.pack(">H", packet_id) if qos else b""
    body += b"\x00" + payload
    return bytes([0x30 | qos << 1 | retain]) + _length(len(body)) + body


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


class Raider:
    """One connection of somebody who got hold of a certificate."""

    def __init__(self, plant: Plant, user: str) -> None:
        self.user, self._sent, self._reader = user, 0, Reader(1_000_000)
        self.line = secure_line(plant, user)
        self.line.sendall(mqtt5.ConnectPacket(user, clean_start=True, keep_alive=60).write())
        (welcome,) = self._read()
        assert welcome.reason_code == 0, f"expected {user} to be let in, found {welcome}"
        self.closed = False

    def throw(
        self, topic: bytes | str, payload: bytes, *, qos: int = 1, retain: bool = False
    ) -> None:
        """Send one publish, whatever becomes of it."""
        self._sent += qos
        packet_id = self._sent % 65_535 + 1
        try:
            self.line.sendall(
                publish_bytes(topic, payload, qos=qos, retain=retain, packet_id=packet_id)
            )
        except OSError:
            self.closed = True

    def land(self) -> list[int]:
        """Read until everything was answered, or the broker hung up; returns the answers' codes."""
        codes: list[int] = []
        while len(codes) < self._sent and not self.closed:
            packets = self._read()
            self.closed = not packets
            for packet in packets:
                if isinstance(packet, mqtt5.PubAckPacket):
                    codes.append(int(packet.reason_code))
                elif isinstance(packet, mqtt5.DisconnectPacket):
                    self.closed = True
        self._sent = 0
        return codes

    def leave(self) -> None:
        self.line.close()

    def _read(self) -> list[mqtt5.Packet]:
        """The packets of the next read; none when the broker hung up."""
        while True:
            try:
                data = self.line.recv(65_536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            packets = self._reader.feed(data)
            if packets or not data:
                return packets


def secure_line(plant: Plant, user: str | None) -> ssl.SSLSocket:
    """A TLS connection to the broker with somebody's certificate."""
    line = socket.create_connection(("127.0.0.1", plant.port), PATIENCE_S)
    return plant.context(user).wrap_socket(line, server_hostname="localhost")


class Site(Works):
    """A plant: the production broker, a gateway, two devices, each with its certificate."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TARGET, WITNESS)
        (folder / "broker").mkdir()
        self.plant = Plant(folder / "broker")
        try:
            self._prepare()
            self._start()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        now = datetime.now(UTC)  # noqa: TID251 - certificates live by the calendar
        Authority.open(self.plant.tls).issue_client("gateway-transfers", now, DAYS)
        passwords = self.plant.folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", passwords, ODD, "right"], check=True)
        self.plant.reload()
        self.plant.until_logged("Reloading config")

    def _start(self) -> None:
        self.gateway_with(self.plant.tls)
        self.until(lambda: self.ask(verbs.Overview()), "the gateway to open its door")
        for device, role in ((TARGET, "target"), (WITNESS, "witness")):
            self.ask(verbs.EnrollDevice(device=device, labels={"role": role}))
            self.device_with_certificate(device)
        self.undisturbed()
        self.rss_kib = self.memory()

    def gateway_with(self, certificates: Path, name: str = "gateway") -> None:
        self.gateway(
            name=name,
            FLEETDRILL_BROKER_URL=f"mqtts://localhost:{self.plant.port}",
            FLEETDRILL_BROKER_CERTIFICATES=str(certificates),
        )

    def device_with_certificate(self, ident: str) -> None:
        pair, broker = client_pair(self.plant.tls, ident), f"mqtts://localhost:{self.plant.port}"
        trust = ("--ca", self.plant.tls / "ca.crt")
        self.device(ident, broker, *trust, "--cert", pair.certificate, "--key", pair.key)

    def device_with_password(self, ident: str, password: str) -> None:
        secret = self.folder / f"{ident}.password"
        secret.write_text(password)
        broker = f"mqtts://localhost:{self.plant.password_port}"
        trust = ("--ca", self.plant.tls / "ca.crt")
        self.device(ident, broker, *trust, "--username", ident, "--password-file", secret)

    def hostile(self) -> dict[str, bytes]:
        """`HOSTILE`, and what names keys that devices trust here, with signatures that are none."""
        trust = json.loads((self.folder / "keys/trust.json").read_text())
        keys = {role: key_id(bytes.fromhex(public[0])) for role, public in trust.items()}
        forged = {
            f"no signature of {role}": codec.encode(
                Signed(payload=WANTED, key_id=key, signature=pattern(7, 64))
            )
            for role, key in keys.items()
        }
        return HOSTILE | forged

    def memory(self) -> dict[str, int]:
        """Resident KiB of each process, the broker's too."""
        return {**super().memory(), "broker": rss_kib(self.plant.process.pid)}

    def close(self) -> None:
        super().close()
        self.plant.close()
