"""Who is refused by the production configuration, how, what the log says of it, and that nobody else
is disturbed.
"""

from __future__ import annotations

import socket
import ssl

import paho.mqtt.client as paho
import psutil
import pytest

from gateway.adapters.brokers.acl import DEVICE_READS, DEVICE_WRITES, USERS
from tests.system.broker_stage import PATIENCE_S, Plant, Witness

pytestmark = pytest.mark.mosquitto
NOT_AUTHORIZED = 0x87
PACKET_TOO_LARGE = 0x95
PAHO_BARE_END = 0x80
"""What paho reports when the connection ends without a DISCONNECT packet."""


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    plant = Plant(tmp_path_factory.mktemp("plant"))
    yield plant
    plant.close()


@pytest.fixture(scope="module")
def someone(plant):
    witness = Witness(plant)
    yield witness
    witness.close()


@pytest.fixture(autouse=True)
def witness(someone):
    """Each test ends with a look at somebody who has nothing to do with it."""
    yield someone
    someone.undisturbed()


@pytest.fixture
def mark(plant):
    """How long the broker's log was when the test began."""
    return len(plant.log())


def test_nothing_listens_but_the_two_named_ports(plant):
    # An option of the default listener ahead of the first `listener` line would open 1883 to everybody.
    process = psutil.Process(plant.process.pid)
    ports = {c.laddr.port for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    assert ports == {plant.port, plant.password_port}


def test_a_wrong_password_is_refused(plant, mark):
    guest = plant.guest("pw-dev", password="wrong")
    assert guest.next() == ("connack", NOT_AUTHORIZED)
    plant.until_logged("not authorised", mark)


def test_an_unknown_user_is_refused(plant, mark):
    guest = plant.guest("nobody", password="right")
    assert guest.next() == ("connack", NOT_AUTHORIZED)
    plant.until_logged("not authorised", mark)


def test_the_right_password_is_let_in_and_is_bound_to_its_own_topics(plant):
    guest = plant.guest("pw-dev", password="right").joined()
    assert guest.say("fd/main/d/pw-dev/have") == ("puback", 0)
    assert guest.say("fd/main/d/dev-1/have") == ("puback", NOT_AUTHORIZED)
    guest.leave()


@pytest.mark.parametrize("user", ["expired", "early"])
def test_a_certificate_out_of_its_time_is_refused(plant, mark, user):
    guest = plant.guest(user)
    assert guest.next()[0] in {"failed", "closed"}, f"expected {user} to be refused"
    plant.until_logged("certificate verify failed", mark)


def test_a_client_without_a_certificate_is_refused(plant, mark):
    guest = plant.guest("dev-1", certificate=False)
    assert guest.next()[0] in {"failed", "closed"}
    plant.until_logged("did not return a certificate", mark)


def test_a_certificate_of_another_authority_is_refused(plant, mark, tmp_path):
    other = Plant.__new__(Plant)
    other.tls = tmp_path / "tls"
    from datetime import UTC, datetime

    from gateway.adapters.certificates import Authority, client_pair

    now = datetime.now(UTC)  # noqa: TID251 - certificates live by the calendar
    Authority.create(other.tls, now).issue_client("dev-1", now, 1)
    context = plant.context(None)
    pair = client_pair(other.tls, "dev-1")
    context.load_cert_chain(pair.certificate, pair.key)
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(("127.0.0.1", plant.port), PATIENCE_S) as line,
        context.wrap_socket(line, server_hostname="localhost") as secure,
    ):
        secure.recv(1)
    plant.until_logged("certificate verify failed", mark)


def test_a_server_certificate_does_not_open_the_door(plant, mark):
    context = plant.context(None)
    context.load_cert_chain(plant.tls / "server.crt", plant.tls / "server.key")
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(("127.0.0.1", plant.port), PATIENCE_S) as line,
        context.wrap_socket(line, server_hostname="localhost") as secure,
    ):
        secure.recv(1)
    plant.until_logged("certificate verify failed|unsuitable certificate", mark)


def test_a_foreign_topic_is_refused_and_the_client_stays(plant):
    gateway = plant.guest("gateway-data").joined()
    assert gateway.ask("fd/main/d/+/tel") == ("suback", 1)
    guest = plant.guest("dev-1").joined()
    assert guest.say("fd/main/d/dev-2/tel", b"forged") == ("puback", NOT_AUTHORIZED)
    assert guest.say("fd/main/d/dev-2/tel", b"forged", qos=0)[0] == "puback"  # it left, no more
    assert guest.say("fd/main/d/dev-1/tel", b"honest") == ("puback", 0)
    assert gateway.next() == ("message", "fd/main/d/dev-1/tel", b"honest")
    guest.leave()
    gateway.leave()


def test_a_refused_topic_is_logged_once_debug_is_switched_on_without_a_restart(plant, mark):
    shipped = plant.config.read_text()
    guest = plant.guest("dev-2").joined()
    plant.config.write_text(shipped.replace("log_type error", "log_type error\nlog_type debug"))
    plant.reload()
    plant.until_logged("Reloading config", mark)
    assert guest.say("fd/main/d/dev-1/have") == ("puback", NOT_AUTHORIZED)
    line = plant.until_logged("Denied PUBLISH", mark)
    assert "dev-2" in line
    assert "fd/main/d/dev-1/have" in line
    plant.config.write_text(shipped)
    plant.reload()
    guest.leave()


def test_a_device_hears_only_its_own_even_if_it_subscribed_to_everything(plant, witness):
    guest = plant.guest("dev-1").joined()
    # mosquitto grants the subscription and withholds the messages.
    assert guest.ask("#") == ("suback", 1)
    assert guest.ask("fd/main/d/dev-2/want") == ("suback", 1)
    for topic in ("fd/main/d/dev-2/want", "fd/main/d/dev-1/want"):
        assert witness.gateway.say(topic) == ("puback", 0)
    assert guest.next() == ("message", "fd/main/d/dev-1/want", b"x")
    guest.leave()


def test_a_client_id_that_belongs_to_another_does_not_take_over_its_session(plant):
    victim = plant.guest("dev-1").joined()
    thief = plant.guest("dev-2", client_id="dev-1").joined()
    assert victim.say("fd/main/d/dev-1/have") == ("puback", 0)
    victim.leave()
    thief.leave()


def test_a_client_of_mqtt_3_1_1_works_within_the_same_permissions(plant, witness):
    guest = plant.guest("dev-3", version=paho.MQTTv311).joined()
    assert guest.ask("fd/main/d/dev-3/want") == ("suback", 1)
    assert guest.ask("fd/main/d/dev-1/want") == ("suback", 1)
    # 3.1.1 knows no refusal: the packet is acknowledged and dropped.
    assert guest.say("fd/main/d/dev-1/ev") == ("puback", 0)
    for topic in ("fd/main/d/dev-1/want", "fd/main/d/dev-3/want"):
        assert witness.gateway.say(topic) == ("puback", 0)
    assert guest.next() == ("message", "fd/main/d/dev-3/want", b"x")
    guest.leave()


@pytest.mark.parametrize("version", [paho.MQTTv5, paho.MQTTv311], ids=["5", "3.1.1"])
def test_an_oversize_payload_ends_that_connection_alone(plant, mark, version):
    guest = plant.guest("dev-1", version=version).joined()
    guest.mqtt.publish("fd/main/d/dev-1/ev", b"x" * 300_000, 1)
    kind, code = guest.next()
    assert kind == "closed"
    assert code in {PACKET_TOO_LARGE, PAHO_BARE_END}
    plant.until_logged("dev-1 disconnected due to oversize packet", mark)
    back = plant.guest("dev-1").joined()
    assert back.say("fd/main/d/dev-1/ev") == ("puback", 0)
    back.leave()


def test_the_door_is_still_shut_after_a_reload(plant, mark):
    plant.reload()
    plant.until_logged("Reloading config", mark)
    assert plant.guest("dev-1", certificate=False).next()[0] in {"failed", "closed"}
    assert plant.guest("expired").next()[0] in {"failed", "closed"}
    assert plant.guest("pw-dev", password="wrong").next() == ("connack", NOT_AUTHORIZED)
    guest = plant.guest("dev-2", client_id="dev-1").joined()
    plant.until_logged("as dev-2 .*u'dev-2'", mark)
    assert guest.say("fd/main/d/dev-1/ev") == ("puback", NOT_AUTHORIZED)
    guest.leave()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 64,
        b"\x10\xff\xff\xff\xff\x7f",  # a CONNECT whose length never ends
        b"\x10\x04\x00\xffMQ",  # a name longer than its packet
        b"\x30\x03\x00\x01a",  # a PUBLISH ahead of any CONNECT
        bytes(range(256)),
    ],
    ids=["http", "zeros", "endless-length", "short-name", "publish-first", "all-bytes"],
)
def test_garbage_inside_tls_ends_that_connection_alone(plant, mark, garbage):
    with (
        socket.create_connection(("127.0.0.1", plant.port), PATIENCE_S) as line,
        plant.context("dev-1").wrap_socket(line, server_hostname="localhost") as secure,
    ):
        secure.sendall(garbage)
        secure.settimeout(PATIENCE_S)
        assert secure.recv(64) == b"", "expected the broker to hang up"
    plant.until_logged("Client <unknown> (disconnected|closed)", mark)


def test_plain_text_on_the_tls_port_is_refused(plant, mark):
    with socket.create_connection(("127.0.0.1", plant.port), PATIENCE_S) as line:
        line.sendall(b"\x10\x0f\x00\x04MQTT\x05\x02\x00<\x00\x00\x02ab")
        try:
            said = line.recv(64)
        except ConnectionResetError:
            said = b""
    assert said[:1] != b"\x20", f"expected no CONNACK without TLS, found {said!r}"
    plant.until_logged("Client (connection from|<unknown> disconnected)", mark)


def test_the_permissions_of_each_user_are_those_of_the_table(plant, witness):
    """Every topic of the protocol, tried by every user: allowed by the table if and only if allowed."""
    kinds = (*DEVICE_WRITES, *DEVICE_READS)
    topics = [f"d/dev-1/{kind}" for kind in kinds] + [
        "k",
        "f/main",
        "b/aa/0",
        "t/timestamp",
        "a/disk/1",
        "x",
    ]
    wrong = []
    for user in ("dev-1", "dev-2", "health", "gateway-monitor", "gateway-control", "gateway-data"):
        # the gateway's own connection of the witness holds the name gateway-control
        guest = witness.gateway if user == "gateway-control" else plant.guest(user).joined()
        for topic in topics:
            found = guest.say(f"fd/main/{topic}", b"") == ("puback", 0)
            if found != _may_write(user, topic):
                wrong.append(f"{user} writes {topic}: {found}")
        if guest is not witness.gateway:
            guest.leave()
    assert wrong == []


def _may_write(user, topic):
    if user in USERS:
        shapes = [t for access, t in USERS[user] if access == "write"]
        return any(paho.topic_matches_sub(shape, topic) for shape in shapes) or (
            topic == f"d/{user}/have"
        )
    return any(topic == f"d/{user}/{kind}" for kind in DEVICE_WRITES)


def test_the_monitor_reads_the_brokers_counters_and_a_device_does_not(plant):
    monitor = plant.guest("gateway-monitor").joined()
    device = plant.guest("dev-1").joined()
    counter = "$SYS/broker/publish/messages/dropped"
    heard = {guest.user: _heard(guest, counter) for guest in (monitor, device)}
    assert heard == {"gateway-monitor": [counter], "dev-1": []}
    monitor.leave()
    device.leave()


def _heard(guest, topic):
    """The topics of the retained messages that a subscription brings."""
    assert guest.ask(topic) == ("suback", 1)
    guest.mqtt.subscribe("fd/main/no/such", 1)  # its answer comes after them
    heard = []
    while (said := guest.next()) != ("suback", 1):
        heard.append(said[1])
    return heard
