"""The contract's verbs on a real mosquitto, through paho-mqtt.

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

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.contract.memory_stage import INFLIGHT_MAX, PACKET_BYTES_MAX, QUEUE_MAX, Logs, spell

PATIENCE_S = 10.0
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
        self.process = subprocess.Popen([binary, "-c", self.config], stderr=subprocess.PIPE)
        said = []
        for line in self.process.stderr:
            said.append(line.decode())
            if "running" in said[-1]:
                return
        pytest.fail(f"expected mosquitto to start, found that it ended and said: {said}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.process.stderr.close()

    def restart(self, lose_sessions: bool) -> None:
        self.stop()
        if lose_sessions:
            (self.folder / "mosquitto.db").unlink()
        self.start()


class SocketClient:
    """One paho client, read by hand so that nothing runs behind the script's back."""

    def __init__(self, stage: MosquittoStage, name: str, log: list[str], auto_ack: bool) -> None:
        self.stage, self.name, self.log, self.auto_ack = stage, name, log, auto_ack
        self.unacked: list[int] = []
        self.answers = 0
        self.fences = 0
        self.awaits_puback = False
        self.open = True
        mqtt = self.mqtt = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=stage.prefix + name,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        mqtt.on_connect = self.on_connect
        mqtt.on_disconnect = self.on_disconnect
        mqtt.on_message = self.on_message
        mqtt.on_subscribe = lambda *a: self.answer("suback " + ",".join(hex(c.value) for c in a[3]))
        mqtt.on_unsubscribe = lambda *a: self.on_unsubscribe(a[3])
        mqtt.on_publish = lambda *a: self.on_puback(a[3])

    def answer(self, line: str) -> None:
        self.log.append(line)
        self.answers += 1

    def on_connect(self, _c, _u, flags, code, _p) -> None:
        state = "" if code.value else (" present" if flags.session_present else " new")
        self.answer(f"connack {code.value:#x}{state}".replace("0x0", "0"))

    def on_disconnect(self, _c, _u, flags, code, _p) -> None:
        if self.open:
            said = f"{code.value:#x}" if flags.is_disconnect_packet_from_server else "eof"
            self.log.append(f"closed {said}")
            self.open = False

    def on_unsubscribe(self, codes) -> None:
        if self.fences:
            self.fences -= 1
        else:
            self.answer("unsuback " + ",".join(hex(code.value) for code in codes))

    def on_puback(self, code) -> None:
        if self.awaits_puback:  # paho calls this also when a QoS 0 message has left
            self.answer(f"puback {code.value:#x}")

    def on_message(self, _c, _u, message) -> None:
        topic = message.topic.removeprefix(self.stage.prefix)
        self.log.append(spell(topic, message.payload, message.qos, message.retain, message.dup))
        if message.qos and self.auto_ack:
            self.mqtt.ack(message.mid, message.qos)
        elif message.qos:
            self.unacked.append(message.mid)


class MosquittoStage:
    """The verbs on mosquitto; names and topics carry the script's prefix."""

    def __init__(self, server: Mosquitto, prefix: str) -> None:
        self.server, self.prefix = server, prefix + "/"
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
        client = SocketClient(self, name, self.logs.setdefault(name, []), auto_ack)
        wishes = Properties(PacketTypes.CONNECT)
        wishes.SessionExpiryInterval = int(expiry_s)
        wishes.ReceiveMaximum = receive_max
        if packet_max is not None:
            wishes.MaximumPacketSize = packet_max
        if will is not None:
            after = Properties(PacketTypes.WILLMESSAGE)
            after.WillDelayInterval = will[4]
            client.mqtt.will_set(self.prefix + will[0], *will[1:4], properties=after)
        client.mqtt.connect("127.0.0.1", self.server.port, clean_start=clean, properties=wishes)
        if old is not None:
            self.pump(lambda: not old.open, "the old connection to end")
        self.clients[name] = client
        self.ask(client, lambda: None)

    def subscribe(self, name: str, *filters: tuple[str, int]) -> None:
        client = self.clients[name]
        wishes = [(self.scope(f), paho.SubscribeOptions(qos=qos)) for f, qos in filters]
        self.ask(client, lambda: client.mqtt.subscribe(wishes))

    def unsubscribe(self, name: str, *filters: str) -> None:
        client = self.clients[name]
        self.ask(client, lambda: client.mqtt.unsubscribe([self.scope(f) for f in filters]))

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
        after = Properties(PacketTypes.PUBLISH)
        if expiry_s is not None:
            after.MessageExpiryInterval = expiry_s
        topic = self.prefix + topic

        client.awaits_puback = bool(qos)

        def send() -> None:
            client.mqtt.publish(topic, text, qos, retain, properties=after)

        if qos:
            self.ask(client, send)
        else:
            send()
            self.settle()

    def ack(self, name: str, count: int = 1) -> None:
        client = self.clients[name]
        for _ in range(count):
            client.mqtt.ack(client.unacked.pop(0), 1)
        self.settle()

    def drop(self, name: str) -> None:
        client = self.clients.pop(name)
        client.open = False
        with client.mqtt.socket().dup() as line:
            line.shutdown(socket.SHUT_WR)
            self.await_end(line)
        client.mqtt.loop_read()

    def disconnect(self, name: str, send_will: bool = False) -> None:
        client = self.clients.pop(name)
        code = ReasonCode(PacketTypes.DISCONNECT, identifier=4 if send_will else 0)
        client.open = False
        with (
            client.mqtt.socket().dup() as line
        ):  # paho closes its own without waiting for the broker
            client.mqtt.disconnect(reasoncode=code)
            self.await_end(line)

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
                    client.mqtt.unsubscribe(self.prefix + "fence/without/subscription")
            self.pump(
                lambda: not any(c.open and c.fences for c in self.clients.values()), "the fences"
            )

    def ask(self, client: SocketClient, send: Callable[[], object]) -> None:
        before = client.answers if client.open else -1
        if not client.answers:
            before = 0
        send()
        self.pump(lambda: client.answers > before or not client.open, f"{client.name}'s answer")
        self.settle()

    def pump(self, done: Callable[[], bool], what: str) -> None:
        clock = time.monotonic  # noqa: TID251 - a real broker has a real clock
        give_up = clock() + PATIENCE_S
        while not done():
            assert clock() < give_up, f"waited {PATIENCE_S} s in vain for {what}"
            self.turn(0.1)

    def turn(self, patience_s: float) -> None:
        clients = {c.mqtt.socket(): c for c in self.clients.values() if c.mqtt.socket()}
        wanting = [sock for sock, client in clients.items() if client.mqtt.want_write()]
        readable, writable, _ = select.select(list(clients), wanting, [], patience_s)
        for sock in writable:
            clients[sock].mqtt.loop_write()
        for sock in readable:
            clients[sock].mqtt.loop_read()

    def scope(self, name: str) -> str:
        if not name.startswith("$share/"):
            return self.prefix + name
        _, group, rest = name.split("/", 2)
        return f"$share/{self.prefix[:-1]}-{group}/{self.prefix}{rest}"

    def close(self) -> None:
        for name in list(self.clients):
            if self.clients[name].open:
                self.disconnect(name)
