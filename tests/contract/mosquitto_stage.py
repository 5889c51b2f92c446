"""The contract's verbs on a real mosquitto, through one of two MQTT libraries.

Nothing runs behind a script's back: clients are read by hand, and a verb returns when every client
has read whatever the broker wrote to it (`MosquittoStage.settle`).
"""

from __future__ import annotations

import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import mqtt5
import pytest

from tests.contract.memory_stage import INFLIGHT_MAX, PACKET_BYTES_MAX, QUEUE_MAX, Logs
from tests.contract.paho_client import PahoClient
from tests.contract.socket_client import SocketClient, Wish

PATIENCE_S = 60.0
CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence {persistence}
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
max_inflight_messages {inflight}
max_queued_messages {queued}
max_packet_size {packet}
set_tcp_nodelay true
connection_messages false
log_dest stderr
log_type information
log_type error
"""


class Mosquitto:
    """One mosquitto process on a free loopback port."""

    def __init__(self, folder: Path, *, persistence: bool) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.config = folder / "mosquitto.conf"
        self.config.write_text(
            CONFIG.format(
                port=self.port,
                folder=folder,
                persistence=str(persistence).lower(),
                inflight=INFLIGHT_MAX,
                queued=QUEUE_MAX,
                packet=PACKET_BYTES_MAX,
            )
        )
        self.start()

    def start(self) -> None:
        binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if binary is None:
            pytest.fail("expected the broker mosquitto, found none: apt-get install mosquitto")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([binary, "-c", self.config], stderr=log)
        self.await_answer()

    def await_answer(self) -> None:
        """Wait for a first CONNACK: a mosquitto that says it runs may still ignore SIGTERM."""
        hello = mqtt5.ConnectPacket("first", clean_start=True).write()
        give_up = time.monotonic() + PATIENCE_S  # noqa: TID251 - a real broker has a real clock
        while time.monotonic() < give_up and self.process.poll() is None:  # noqa: TID251
            try:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as line:
                    line.sendall(hello)
                    if line.recv(1):
                        return
            except ConnectionRefusedError:
                time.sleep(0.002)  # noqa: TID251
        said = (self.folder / "mosquitto.log").read_text()
        self.process.kill()
        pytest.fail(f"expected mosquitto to start and answer, found that it said: {said}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)

    def restart(self, lose_sessions: bool) -> None:
        """Crash, with what is on disk up to date or gone; an orderly stop would publish wills."""
        if not lose_sessions:
            self.save()
        self.process.kill()
        self.process.wait(PATIENCE_S)
        if lose_sessions:
            self.database.unlink(missing_ok=True)
        self.start()

    @property
    def database(self) -> Path:
        return self.folder / "mosquitto.db"

    def save(self) -> None:
        """Have the state written now: a new file takes the place of the old one."""
        before = self.version()
        self.process.send_signal(signal.SIGUSR1)
        give_up = time.monotonic() + PATIENCE_S  # noqa: TID251 - a real broker has a real clock
        while self.version() == before:
            assert time.monotonic() < give_up, "mosquitto did not save its state"  # noqa: TID251
            time.sleep(0.001)  # noqa: TID251

    def version(self) -> tuple[int, int] | None:
        try:
            found = self.database.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns


class MosquittoStage:
    """The verbs on mosquitto.

    Args:
        server: the broker.
        title: comes before each client identifier, so that scripts may share a broker.
        library: the MQTT client.
        at_root: leave topics as the script names them, for a script that is alone on the broker;
            else they carry the title too, as their first level or, after $, in it.
    """

    def __init__(
        self,
        server: Mosquitto,
        title: str,
        library: type[SocketClient] = PahoClient,
        at_root: bool = False,
    ) -> None:
        self.server, self.title, self.library = server, title, library
        self.prefix, self.dollar = ("", "$") if at_root else (f"{title}/", f"${title}-")
        self.logs: Logs = {}
        self.clients: dict[str, SocketClient] = {}

    def connect(
        self,
        name: str,
        clean: bool = True,
        expiry_s: float = 0,
        receive_max: int = 65_535,
        packet_max: int | None = None,
        will: tuple[str, str, int, bool, int] | None = None,
        auto_ack: bool = True,
    ) -> None:
        old = self.clients.get(name)
        log = self.logs.setdefault(name, [])
        client = self.library(f"{self.title}/{name}", self.bare, log, auto_ack)
        if will is not None:
            will = (self.scope(will[0]), *will[1:])
        client.start(self.server.port, Wish(clean, int(expiry_s), receive_max, packet_max, will))
        if old is not None:
            self.pump(lambda: not old.open, "the old connection to end")
        self.clients[name] = client
        self.ask(client, lambda: None)

    def subscribe(self, name: str, *filters: tuple[str, int]) -> None:
        client = self.clients[name]
        wishes = [(self.scope(topic_filter), qos) for topic_filter, qos in filters]
        self.ask(client, lambda: client.subscribe(wishes))

    def unsubscribe(self, name: str, *filters: str) -> None:
        client = self.clients[name]
        wishes = [self.scope(topic_filter) for topic_filter in filters]
        self.ask(client, lambda: client.unsubscribe(wishes))

    def publish(
        self,
        name: str,
        topic: str,
        text: str,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        client = self.clients[name]

        def send() -> None:
            client.publish(self.scope(topic), text, qos, retain, expiry_s)

        if qos:
            self.ask(client, send)
        else:
            send()
            self.settle()

    def ack(self, name: str, count: int = 1) -> None:
        client = self.clients[name]
        given, client.unacked = client.unacked[:count], client.unacked[count:]
        for packet_id in given:
            client.send_puback(packet_id)
        self.settle()

    def drop(self, name: str) -> None:
        client = self.clients.pop(name)
        client.open = False
        with client.line().dup() as line:
            line.shutdown(socket.SHUT_WR)
            self.await_end(line)
        client.read()

    def disconnect(self, name: str, send_will: bool = False, expiry_s: int | None = None) -> None:
        client = self.clients.pop(name)
        client.open = False
        # paho closes its own socket without waiting for the broker.
        with client.line().dup() as line:
            client.send_disconnect(4 if send_will else 0, expiry_s)
            self.await_end(line)
        if client.line() is not None:
            client.read()

    def await_end(self, line: socket.socket) -> None:
        """Wait until the broker closed its side, so that what follows comes after the will."""
        line.settimeout(PATIENCE_S)
        while line.recv(65_536):
            pass
        self.settle()

    def until(self, name: str, lines: int) -> None:
        log = self.logs[name]
        self.pump(lambda: len(log) >= lines, f"line {lines} in the log of {name}: {log}")
        self.settle()

    def restart(self, lose_sessions: bool) -> None:
        self.server.restart(lose_sessions)
        self.pump(lambda: not any(c.open for c in self.clients.values()), "the ends of connections")
        self.clients.clear()

    def settle(self) -> None:
        """Let everyone ask for something trivial until the answers bring no more messages.

        A client's answer comes after whatever the broker had already written to it.
        """
        before = -1
        while before != (before := sum(len(log) for log in self.logs.values())):
            for client in self.clients.values():
                if client.open:
                    client.fences += 1
                    client.send_fence()
            self.pump(
                lambda: not any(c.open and c.fences for c in self.clients.values()), "the fences"
            )

    def ask(self, client: SocketClient, send: Callable[[], object]) -> None:
        before = client.answers if client.open else -1
        if not client.answers:
            before = 0
        send()
        self.pump(
            lambda: client.answers > before or not client.open, f"the answer to {client.client_id}"
        )
        self.settle()

    def pump(self, done: Callable[[], bool], what: str) -> None:
        clock = time.monotonic  # noqa: TID251 - a real broker has a real clock
        give_up = clock() + PATIENCE_S
        while not done():
            assert clock() < give_up, f"waited {PATIENCE_S} s in vain for {what}"
            self.turn(0.1)

    def turn(self, patience_s: float) -> None:
        clients = {c.line(): c for c in self.clients.values() if c.line() is not None}
        wanting = [line for line, client in clients.items() if client.wants_write()]
        readable, writable, _ = select.select(list(clients), wanting, [], patience_s)
        for line in writable:
            clients[line].write()
        for line in readable:
            clients[line].read()

    def scope(self, name: str) -> str:
        if name.startswith("$share/"):
            _, group, rest = name.split("/", 2)
            return f"$share/{self.title}-{group}/{self.scope(rest)}"
        return self.dollar + name[1:] if name.startswith("$") else self.prefix + name

    def bare(self, topic: str) -> str:
        if topic.startswith(self.dollar):
            return "$" + topic.removeprefix(self.dollar)
        return topic.removeprefix(self.prefix)

    def close(self) -> None:
        for name in list(self.clients):
            if self.clients[name].open:
                self.disconnect(name)

    def abandon(self) -> None:
        """Close every socket without a word, whatever state it is in."""
        for client in self.clients.values():
            if client.line() is not None:
                client.line().close()
        self.clients.clear()
