"""The production broker, started for real: the files of mosquitto/ with nothing changed but paths, ports
and the account; and guests that talk to it through paho-mqtt.
"""

from __future__ import annotations

import getpass
import queue
import re
import shutil
import signal
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.adapters.brokers.process import free_port
from gateway.adapters.certificates import Authority, client_context, client_pair

FILES = Path(__file__).parents[2] / "mosquitto"
PATIENCE_S = 60.0
DAYS = 30
USERS = (
    "gateway-control",
    "gateway-data",
    "gateway-monitor",
    "health",
    "dev-1",
    "dev-2",
    "dev-3",
    "witness",
)


def production_text(folder: Path, tls_port: int, password_port: int) -> str:
    """Both shipped files, with this run's paths, ports and account."""
    text = (FILES / "mosquitto.conf").read_text() + (FILES / "passwords.conf").read_text()
    for shipped, ours in (
        ("/etc/mosquitto/certs/", f"{folder}/tls/"),
        ("/etc/mosquitto/", f"{folder}/"),
        ("/var/lib/mosquitto/", f"{folder}/"),
        ("listener 8883", f"listener {tls_port} 127.0.0.1"),
        ("listener 8884", f"listener {password_port} 127.0.0.1"),
        ("user mosquitto", f"user {getpass.getuser()}"),
    ):
        assert shipped in text, f"expected {shipped!r} in the shipped configuration"
        text = text.replace(shipped, ours)
    return text


class Plant:
    """A mosquitto with the production configuration, an authority and users."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tls = folder, folder / "tls"
        now = datetime.now(UTC)  # noqa: TID251 - certificates live by the calendar
        authority = Authority.create(self.tls, now)
        authority.issue_server(("localhost", "127.0.0.1"), now, DAYS)
        for user in USERS:
            authority.issue_client(user, now, DAYS)
        authority.issue_client("expired", now - timedelta(days=2 * DAYS), DAYS)
        authority.issue_client("early", now + timedelta(days=DAYS), DAYS)
        passwords = folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "pw-dev", "right"], check=True)
        passwords.chmod(0o600)
        shutil.copy(FILES / "acl", folder / "acl")
        self.port, self.password_port = free_port(), free_port()
        self.config, self.log_file = folder / "mosquitto.conf", folder / "broker.log"
        self.config.write_text(production_text(folder, self.port, self.password_port))
        binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        assert binary, "expected the broker mosquitto, found none: apt-get install mosquitto"
        with self.log_file.open("wb") as out:
            self.process = subprocess.Popen(
                [binary, "-c", self.config], stdout=out, stderr=subprocess.STDOUT
            )
        self.until_logged("running")

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def until_logged(self, pattern: str, after: int = 0) -> str:
        """Wait until the log, from character `after`, has a line that matches; returns that line."""
        quiet = queue.Queue()
        for _ in range(int(PATIENCE_S / 0.02)):
            for line in self.log()[after:].splitlines():
                if re.search(pattern, line):
                    return line
            assert self.process.poll() is None, f"the broker ended and said:\n{self.log()}"
            _nap(quiet)
        raise AssertionError(
            f"expected a line like {pattern!r} in the broker's log, found:\n{self.log()[after:]}"
        )

    def context(self, user: str | None):
        pair = client_pair(self.tls, user) if user else None
        return client_context(self.tls / "ca.crt", pair)

    def guest(self, user: str, **options) -> Guest:
        return Guest(self, user, **options)

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)


def _refusal(code: int) -> int:
    """The code of a refusal; 0 for any success, such as 0x10, "no matching subscribers"."""
    return code if code >= 0x80 else 0


def _nap(quiet: queue.Queue) -> None:
    try:
        quiet.get(timeout=0.02)
    except queue.Empty:
        return


class Guest:
    """One client; everything that happens to it is told in order by `next`."""

    def __init__(
        self,
        plant: Plant,
        user: str,
        *,
        password: str | None = None,
        client_id: str | None = None,
        version: int = paho.MQTTv5,
        certificate: bool = True,
        expiry_s: int = 0,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.user, self.told = user, queue.Queue()
        mqtt = self.mqtt = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id or user,
            protocol=version,
            reconnect_on_failure=False,
        )
        by_password = password is not None
        mqtt.tls_set_context(plant.context(None if by_password or not certificate else user))
        if by_password:
            mqtt.username_pw_set(user, password)
        mqtt.on_connect = lambda *a: self.told.put(("connack", a[3].value))
        mqtt.on_connect_fail = lambda *_: self.told.put(("failed", None))
        mqtt.on_disconnect = lambda *a: self.told.put(("closed", a[3].value))
        mqtt.on_message = lambda *a: self.told.put(("message", a[2].topic, a[2].payload))
        mqtt.on_subscribe = lambda *a: self.told.put(("suback", *(code.value for code in a[3])))
        mqtt.on_publish = lambda *a: self.told.put(("puback", _refusal(a[3].value)))
        if will is not None:
            mqtt.will_set(*will, qos=1)
        wishes = None
        if version == paho.MQTTv5:
            wishes = Properties(PacketTypes.CONNECT)
            wishes.SessionExpiryInterval = expiry_s
        port = plant.password_port if by_password else plant.port
        try:
            mqtt.connect("127.0.0.1", port, properties=wishes)
        except OSError as error:
            self.told.put(("failed", str(error)))
        else:
            mqtt.loop_start()

    def next(self) -> tuple:
        try:
            return self.told.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"waited {PATIENCE_S} s in vain for {self.user} to hear") from None

    def joined(self) -> Guest:
        """Demand that the connection was accepted."""
        said = self.next()
        assert said == ("connack", 0), f"expected {self.user} to be let in, found {said}"
        return self

    def ask(self, topic: str, qos: int = 1) -> tuple:
        self.mqtt.subscribe(topic, qos)
        return self.next()

    def say(self, topic: str, payload: bytes = b"x", qos: int = 1, retain: bool = False) -> tuple:
        self.mqtt.publish(topic, payload, qos, retain)
        return self.next()

    def drop(self) -> None:
        """Go without a word: the broker says the will."""
        self.mqtt.socket().shutdown(socket.SHUT_RDWR)
        assert self.next()[0] == "closed"
        self.mqtt.loop_stop()

    def leave(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


class Witness:
    """Somebody whose work goes on whatever others do: wants sent to it keep arriving on one connection."""

    def __init__(self, plant: Plant) -> None:
        self.gateway = plant.guest("gateway-control").joined()
        self.device = plant.guest("witness").joined()
        assert self.device.ask("fd/main/d/witness/want") == ("suback", 1)
        self.count = 0

    def undisturbed(self) -> None:
        """Demand that the next want arrives, and that nothing else was heard before it."""
        self.count += 1
        want = str(self.count).encode()
        assert self.gateway.say("fd/main/d/witness/want", want) == ("puback", 0)
        heard = self.device.next()
        assert heard == ("message", "fd/main/d/witness/want", want), (
            f"expected the witness to hear want {self.count} next, found {heard}"
        )

    def close(self) -> None:
        self.gateway.leave()
        self.device.leave()
