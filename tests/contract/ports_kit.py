"""What the port contract is played with: a broker, an ear, an independent client, a relay, a script.

Nothing here knows which adapter is being tested.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import mqtt5
import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devicesdk.aio.port import Granted, Inbound

PATIENCE_S = 60.0
RECEIVE_MAX = 8
PACKET_BYTES_MAX = 100_000
CONFIG = """\
listener {plain} 127.0.0.1
listener {tls} 127.0.0.1
cafile {folder}/cert.pem
certfile {folder}/cert.pem
keyfile {folder}/key.pem
listener 0 {folder}/broker.sock
per_listener_settings false
allow_anonymous {anonymous}
user root
persistence false
max_inflight_messages {receive_max}
max_packet_size {packet_max}
set_tcp_nodelay true
acl_file {folder}/acl
log_dest stderr
log_type information
log_type error
"""
ACL = "topic readwrite #\ntopic deny forbidden/#\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_certificate(folder: Path) -> None:
    """A certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


class Broker:
    """One mosquitto on free ports: plain, TLS and a Unix socket."""

    def __init__(self, folder: Path, passwords: dict[str, str] | None = None) -> None:
        binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if binary is None:
            pytest.fail("expected the broker mosquitto, found none: apt-get install mosquitto")
        self.folder, self.port, self.tls_port = folder, free_port(), free_port()
        self.unix = str(folder / "broker.sock")
        write_certificate(folder)
        (folder / "acl").write_text(ACL)
        config = CONFIG.format(
            plain=self.port,
            tls=self.tls_port,
            folder=folder,
            anonymous=str(not passwords).lower(),
            receive_max=RECEIVE_MAX,
            packet_max=PACKET_BYTES_MAX,
        )
        for name, password in (passwords or {}).items():
            tool = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
            subprocess.run([tool, "-b", "-c", folder / "passwords", name, password], check=True)
            config += f"password_file {folder}/passwords\n"
            with (folder / "acl").open("a") as acl:
                acl.write(f"user {name}\ntopic readwrite #\n")
        (folder / "mosquitto.conf").write_text(config)
        self.process = subprocess.Popen(
            [binary, "-c", folder / "mosquitto.conf"], stderr=subprocess.PIPE
        )
        said = []
        for line in self.process.stderr:
            said.append(line.decode())
            if "running" in said[-1]:
                return
        pytest.fail(f"expected mosquitto to start, found that it ended and said: {said}")

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "cert.pem"))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.process.stderr.close()


class Ear:
    """A listener that writes down what it hears and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []
        self._changed = asyncio.Event()
        self.on_next_message: Callable[[Inbound], None] | None = None

    def _write(self, *line: object) -> None:
        self.heard.append(line)
        self._changed.set()

    def on_connected(self, granted: Granted) -> None:
        self._write("connected", granted)

    def on_connect_failed(self, reason: str) -> None:
        self._write("connect failed", reason)

    def on_disconnected(self, reason: str) -> None:
        self._write("disconnected", reason)

    def on_suback(self, codes: tuple[int, ...]) -> None:
        self._write("suback", codes)

    def on_puback(self, token: int, code: int) -> None:
        self._write("puback", token, code)

    def on_message(self, message: Inbound) -> None:
        self._write("message", message)
        if self.on_next_message is not None:
            self.on_next_message(message)

    def all(self, what: str) -> list[tuple]:
        return [line[1:] for line in self.heard if line[0] == what]

    @property
    def messages(self) -> list[Inbound]:
        return [line[0] for line in self.all("message")]

    async def until(self, what: str, count: int = 1) -> tuple:
        """The arguments of the `count`th call of this kind."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while len(self.all(what)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        lines = self.all(what)
        assert len(lines) >= count, (
            f"waited {PATIENCE_S} s for call {count} of on_{what}; heard: {self.heard}"
        )
        return lines[count - 1]


class Peer:
    """A paho-mqtt client in its own thread, on the other side of the broker."""

    def __init__(self, broker: Broker, name: str) -> None:
        loop = asyncio.get_running_loop()
        self.messages: list[paho.MQTTMessage] = []
        self._answered = asyncio.Event()
        self._changed = asyncio.Event()

        def on_message(_c, _u, message) -> None:
            loop.call_soon_threadsafe(self._take, message)

        def answered(*_a) -> None:
            loop.call_soon_threadsafe(self._answered.set)

        mqtt = self.mqtt = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5
        )
        mqtt.on_message = on_message
        mqtt.on_connect = mqtt.on_subscribe = mqtt.on_publish = answered
        mqtt.connect("127.0.0.1", broker.port)
        mqtt.loop_start()

    def _take(self, message: paho.MQTTMessage) -> None:
        self.messages.append(message)
        self._changed.set()

    async def done(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._answered.wait()
        self._answered.clear()

    async def subscribe(self, *filters: str) -> None:
        self.mqtt.subscribe([(f, paho.SubscribeOptions(qos=1)) for f in filters])
        await self.done()

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        self.mqtt.publish(topic, payload, qos, retain)
        await self.done()

    async def until(self, count: int) -> list[tuple[str, bytes]]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while len(self.messages) < count:
                    self._changed.clear()
                    await self._changed.wait()
        got = [(m.topic, m.payload) for m in self.messages]
        assert len(got) >= count, f"waited {PATIENCE_S} s for message {count}, found {got}"
        return got


@contextlib.asynccontextmanager
async def peer_of(broker: Broker, name: str) -> AsyncIterator[Peer]:
    peer = Peer(broker, name)
    await peer.done()
    try:
        yield peer
    finally:
        peer.mqtt.disconnect()
        await asyncio.to_thread(peer.mqtt.loop_stop)


class Relay:
    """Passes bytes between a client and a broker, until it is frozen."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.port = 0

    def freeze(self) -> None:
        """Stop passing bytes, both ways, and let everybody believe that all is well."""
        self._thawed.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b"first"
        while data:
            data = await reader.read(65_536)
            await self._thawed.wait()  # a frozen path does not tell of an end either
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [
            asyncio.ensure_future(self._pass(reader, far_writer)),  # noqa: TID251 - awaited below
            asyncio.ensure_future(self._pass(far_reader, writer)),  # noqa: TID251 - awaited below
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            far_writer.close()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Relay]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._thawed.set()
            server.close()


class FakeBroker:
    """A server that says what a test tells it to, in place of a broker; counts what it is sent."""

    def __init__(self, *, greeting: bytes | None) -> None:
        self.greeting = greeting
        self.packets: list[mqtt5.Packet] = []
        self.port = 0
        self._writer: asyncio.StreamWriter | None = None
        self._changed = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        if self.greeting is not None:
            writer.write(self.greeting)
        rest = b""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                rest += data
                with contextlib.suppress(IndexError):
                    while rest:
                        packet, length = mqtt5.read(memoryview(rest))
                        rest = rest[length:]
                        self.packets.append(packet)
                        self._changed.set()
        writer.close()

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    def of(self, kind: type) -> list:
        return [p for p in self.packets if isinstance(p, kind)]

    async def until(self, kind: type, count: int = 1) -> list:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while len(self.of(kind)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        assert len(self.of(kind)) >= count, (
            f"waited {PATIENCE_S} s for {count} {kind.__name__}, found {self.packets}"
        )
        return self.of(kind)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[FakeBroker]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            if self._writer is not None:
                self._writer.close()
            server.close()


def connack(**grants: object) -> bytes:
    return mqtt5.ConnAckPacket(**grants).write()


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def locked_broker(tmp_path_factory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("locked"), {"dev-1": "sesame"})
    yield made
    made.stop()
