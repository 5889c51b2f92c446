"""Attacks on a whole plant: the production broker, a gateway and two devices as real processes.

In each attack somebody says what must not be said, as a device that turned bad, with a stolen certificate
of the gateway, or from outside. Demanded each time: nobody dies, memory stays bounded, a few log lines name
what came and from whom, and an update, a flag and a kill that an operator asked for meanwhile are done.
"""

from __future__ import annotations

import re
import shutil
import socket
from contextlib import ExitStack
from datetime import datetime

import paho.mqtt.client as paho
import pytest

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Control, ControlVerb, Have, Link
from devicesdk.wire.timebase import SECOND
from gateway.adapters.certificates import client_pair
from tests.system.broker_stage import PATIENCE_S
from tests_kit.agent_bundles import pattern
from tests_kit.device_stage import QUICK
from tests_kit.hostile_stage import (
    HOSTILE,
    ODD,
    TARGET,
    TOPIC,
    VILLAIN,
    WITNESS,
    Raider,
    Site,
    publish_bytes,
    secure_line,
)
from tests_kit.works import STAMPED

pytestmark = pytest.mark.mosquitto
NOT_AUTHORIZED = 0x87
FLOOD = 2_000
REFUSALS = 60
BETWEEN_S = 0.7 * (QUICK["backoff"]["base_ns"] + QUICK["backoff"]["cap_ns"]) / 2 / SECOND
"""At least, on average, from one refusal to the next. Waits that have grown are drawn from between both, and
those of a device that does not slow down are the base; a busy machine only adds to either."""
REFUSED = re.compile(r"^(\S+ \S+) .*connect=failed", re.MULTILINE)
LINES_MAX = 80
"""In one process's log, about one culprit, whatever it sends: a few for each kind of nonsense."""
GROWTH_KIB_MAX = {"broker": 96 * 1024, "gateway": 48 * 1024, TARGET: 16 * 1024, WITNESS: 48 * 1024}
"""Since all were at work. The broker may queue 64 MiB for one client; the witness loads two models."""
SMALL = {name: payload for name, payload in HOSTILE.items() if len(payload) < 64 * 1024}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture(autouse=True)
def unharmed(site):
    """Each attack ends with a look at those who had nothing to do with it, and at memory."""
    yield
    site.undisturbed()
    grown = {name: kib - site.rss_kib[name] for name, kib in site.memory().items()}
    over = {name: kib for name, kib in grown.items() if kib > GROWTH_KIB_MAX[name]}
    assert not over, f"expected growth below {GROWTH_KIB_MAX} KiB, found {grown}"


@pytest.fixture
def marks(site):
    """How long the logs were when the test began."""
    return {name: len(site.log(name)) for name in (*site.processes, "broker/broker")}


def raider(site, user):
    return Raider(site.plant, user)


def say_everything(site, who, topic):
    """Every hostile payload on one topic: as a message and as retained state, with and without QoS."""
    for payload in site.hostile().values():
        who.throw(topic, payload)
        who.throw(topic, payload, qos=0)
        who.throw(topic, payload, retain=True)
    who.throw(topic, b"", retain=True)
    return who.land()


def flood(who, topic):
    payloads = list(SMALL.values())
    for number in range(FLOOD):
        who.throw(topic, payloads[number % len(payloads)], qos=number % 2)
    return who.land()


def flood_in_order(who):
    """Messages without a fault, only too many: each says something new, which the gateway must keep."""
    for number in range(1, FLOOD // 2):
        link = Link(boot_id=number, session=1, online=number % 2 == 0)
        who.throw(TOPIC.format(VILLAIN, "link"), codec.encode(link), retain=True)
        have = Have(boot_id=number, seq=1, generation=number, state=number % 15)
        who.throw(TOPIC.format(VILLAIN, "have"), codec.encode(have))
    return who.land()


def test_a_device_that_turned_bad_on_every_topic_to_the_gateway(site, marks):
    digest = site.roll_out("1.0.0", "witness")
    who = raider(site, VILLAIN)
    for kind in topics.UPLINK_KINDS:
        codes = say_everything(site, who, TOPIC.format(VILLAIN, kind))
        assert set(codes) <= {0, 0x10}, f"{kind}: expected the broker to take it, found {codes}"
    versions = site.order()
    for kind in topics.UPLINK_KINDS:
        flood(who, TOPIC.format(VILLAIN, kind))
    for _ in range(300):
        who.throw(TOPIC.format(VILLAIN, "ev"), HOSTILE["large"])
    who.land()
    flood_in_order(who)
    assert not who.closed, "the broker hung up: this attack did not take place"
    site.obeyed(versions)
    site.until_runs(WITNESS, digest)
    who.leave()
    after = marks["gateway"]
    for event in ("gateway.bad_message", "collect.malformed", "transfers.refused.InvalidRequest"):
        line = site.until_logged("gateway", f"{event} subject={VILLAIN} .*count=100\\b", after)
        assert " WARNING " in line
    for kind in topics.UPLINK_KINDS:
        site.until_logged("gateway", f"payload too large topic=fd/main/d/{VILLAIN}/{kind} ", after)
    lines = [line for line in site.log("gateway", after).splitlines() if VILLAIN in line]
    assert len(lines) <= LINES_MAX, f"{len(lines)} lines for one culprit: {lines[:5]}"


def test_who_stole_a_certificate_of_the_gateway_on_every_topic_to_devices(site, marks):
    digest = site.roll_out("1.1.0", "witness")
    data = raider(site, "gateway-transfers")
    for topic in ("dat", "ctl"):
        say_everything(site, data, TOPIC.format(TARGET, topic))
    say_everything(site, data, "fd/main/b/00/0")
    versions = site.order()
    flood(data, TOPIC.format(TARGET, "ctl"))
    flood(data, TOPIC.format(TARGET, "dat"))
    for _ in range(FLOOD // 2):
        data.throw(TOPIC.format(TARGET, "ctl"), codec.encode(Control(verb=ControlVerb.REPORT)))
    assert len(data.land()) == FLOOD // 2
    data.leave()
    site.obeyed(versions)
    # This one is the gateway's own name: the broker throws the gateway out until it comes back.
    control = raider(site, "gateway-control")
    for topic in (TOPIC.format(TARGET, "want"), "fd/main/k", "fd/main/f/all", "fd/main/f/other"):
        say_everything(site, control, topic)
    flood(control, TOPIC.format(TARGET, "want"))
    versions = site.order()
    site.until_logged("gateway", "disconnected plane=control", marks["gateway"])
    site.obeyed(versions)
    control.leave()
    site.until_runs(WITNESS, digest)
    after = marks[TARGET]
    for kind in ("want", "kill", "flags", "ctl", "dat"):
        assert " WARNING " in site.until_logged(
            TARGET, f"note=garbage .* on={kind} count=1\n", after
        )
    lines = site.log(TARGET, after).splitlines()
    nonsense = [line for line in lines if "note=garbage" in line or "note=ignored" in line]
    assert len(nonsense) <= LINES_MAX, f"{len(nonsense)} lines: {nonsense[:5]}"


def test_topics_that_are_not_ours_or_impossible(site, marks):
    """Refused by the broker with a code or by hanging up; never heard by anybody."""
    refused = (
        TOPIC.format(WITNESS, "have"), TOPIC.format(TARGET, "want"), TOPIC.format("", "have"),
        TOPIC.format(VILLAIN, "want"), TOPIC.format(VILLAIN, "nonsense"), "fd/main/k", "fd/main/f/all",
        "fd/other/d/dev-3/have", TOPIC.format("x" * 60_000, "have"), f"fd/main/d/{VILLAIN}/have/more",
        f"$share/g/fd/main/d/{VILLAIN}/have", "$SYS/broker/version", "/", "\U0001f4a9",
    )  # fmt: skip
    who = raider(site, VILLAIN)
    for topic in refused:
        who.throw(topic, codec.encode(Have(boot_id=9, seq=9)), retain=True)
    assert who.land() == [NOT_AUTHORIZED] * len(refused)
    who.leave()
    hung_up = (
        b"fd/main/d/dev-3/\xff\xfe", b"fd/main/d/dev-3/\xed\xa0\x80", b"fd/main/d/dev-3/ha\x00ve",
        b"fd/main/d/+/have", b"#", b"", b"fd/" + b"/" * 300,
    )  # fmt: skip
    for topic in hung_up:
        who = raider(site, VILLAIN)
        who.throw(topic, b"x")
        assert who.land() == [], f"expected the broker to hang up on {topic[:40]!r}"
        assert who.closed
        who.leave()
    ended = f"Client {VILLAIN} disconnected due to"
    site.until(
        lambda: site.log("broker/broker", marks["broker/broker"]).count(ended) >= len(hung_up),
        "the broker to log each of them",
    )
    assert site.show(WITNESS)["boot_id"] == 1, "somebody else's report was believed"


def test_a_name_that_is_not_a_device_id_is_refused_by_the_gateway(site, marks):
    guest = site.plant.guest(ODD, password="right").joined()
    for _ in range(30):
        have = codec.encode(Have(boot_id=1, seq=1))
        assert guest.say(TOPIC.format(ODD, "have"), have) == ("puback", 0)
    guest.leave()
    after = marks["gateway"]
    site.until_logged("gateway", f'topic refused topic="fd/main/d/{ODD}/have" .*count=10\n', after)
    assert site.log("gateway", after).count("topic refused") == 2
    assert not site.show(ODD)


def test_half_a_packet_and_then_silence_holds_up_nobody(site):
    hello = publish_bytes("x", b"y" * 1000)
    with ExitStack() as stack:
        for _ in range(40):
            tcp = socket.create_connection(("127.0.0.1", site.plant.port), PATIENCE_S)
            stack.callback(tcp.close)
            tcp.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
            tls = secure_line(site.plant, VILLAIN)
            stack.callback(tls.close)
            tls.sendall(b"\x10\xff\x7f\x00\x04MQTT\x05")  # the beginning of a CONNECT
        who = raider(site, VILLAIN)
        stack.callback(who.leave)
        who.line.sendall(hello[:-500])
        for _ in range(3):
            site.undisturbed()


def test_what_was_once_signed_is_not_obeyed_again(site, marks):
    ear = site.plant.guest(VILLAIN).joined()
    heard = {}
    for topic in ("fd/main/k", "fd/main/f/all"):
        ear.mqtt.subscribe(topic, 1)
        said = {ear.next(), ear.next()}
        (heard[topic],) = (payload for kind, *_, payload in said if kind == "message")
    ear.leave()
    site.undisturbed()
    thief = raider(site, "gateway-control")
    for topic, payload in heard.items():
        for retain in (False, True):
            thief.throw(topic, payload, retain=retain)
    assert set(thief.land()) == {0}
    for device in (TARGET, WITNESS):
        for note in ("kill_old", "flags_old"):
            site.until_logged(device, f"note={note} .*count=1\n", marks[device])
    site.until_logged("gateway", "connected plane=control", marks["gateway"])
    thief.leave()


def test_devices_that_the_broker_refuses_say_why_and_try_again_slowly(site, marks):
    def refusals(device):
        return [datetime.fromisoformat(at) for at in REFUSED.findall(site.log(device))]

    with site.guests("expired", "pw-dev"):
        site.device_with_certificate("expired")
        site.device_with_password("pw-dev", "wrong")
        for device, why in (("expired", "certificate expired"), ("pw-dev", "not authorized")):
            site.until_logged(device, f"WARNING connect=failed why=.*{why}")
        site.plant.until_logged("certificate verify failed", marks["broker/broker"])
        site.plant.until_logged("not authorised", marks["broker/broker"])
        for device in ("expired", "pw-dev"):
            many = f"{REFUSALS} refusals of {device}"
            site.until(lambda who=device: len(refusals(who)) >= REFUSALS, many)
    for device in ("expired", "pw-dev"):
        first, *_, last = found = refusals(device)
        between_s = (last - first).total_seconds() / (len(found) - 1)
        story = f"one refusal of {device} each {between_s:.3f} s, {len(found)} in all: a storm"
        assert between_s >= BETWEEN_S, story


def test_a_gateway_that_the_broker_refuses_says_why_and_tries_again(site, tmp_path):
    tls = tmp_path / "tls"
    shutil.copytree(site.plant.tls, tls)
    expired = client_pair(tls, "expired")
    for user in ("gateway-control", "gateway-data", "gateway-monitor"):
        pair = client_pair(tls, user)
        shutil.copy(expired.certificate, pair.certificate)
        shutil.copy(expired.key, pair.key)
    with site.guests("late"):
        site.gateway_with(tls, "late")
        for plane in ("control", "data"):
            refused = f"connect failed plane={plane} reason=.*certificate expired.* retry_s="
            site.until_logged("late", refused)
    strange = [line for line in site.log("late").splitlines() if not STAMPED.match(line)]
    assert strange == [], "expected every line to have the log's form"


def test_outsiders_do_not_get_in_and_do_not_take_over(site, marks):
    plant = site.plant
    for user, options in (("expired", {}), ("early", {}), (VILLAIN, {"certificate": False})):
        assert plant.guest(user, **options).next()[0] in {"failed", "closed"}
    for user in ("gateway-control", "gateway-data", WITNESS, "pw-dev"):
        guest = plant.guest(user, password="wrong", client_id=user)
        assert guest.next() == ("connack", NOT_AUTHORIZED)
    thieves = [
        plant.guest(VILLAIN, client_id=ident).joined() for ident in ("gateway-data", WITNESS)
    ]
    for thief in thieves:
        thief.leave()
    plant.until_logged("certificate verify failed", marks["broker/broker"])
    plant.until_logged("not authorised", marks["broker/broker"])
    said = site.log("gateway", marks["gateway"]) + site.log(WITNESS, marks[WITNESS])
    assert "disconnected" not in said, said
    assert "connection=lost" not in said, said


def test_a_device_of_mqtt_3_1_1_is_heard_and_its_garbage_too(site, marks):
    guest = site.plant.guest("dev-2", version=paho.MQTTv311).joined()
    birth = Link(boot_id=4, session=1, online=True)
    assert guest.say(TOPIC.format("dev-2", "link"), codec.encode(birth), retain=True) == (
        "puback",
        0,
    )
    have = Have(boot_id=4, seq=1, hardware_class="old")
    assert guest.say(TOPIC.format("dev-2", "have"), codec.encode(have), retain=True) == (
        "puback",
        0,
    )
    site.until(lambda: site.show("dev-2").get("boot_id") == 4, "the gateway to know dev-2")
    assert site.show("dev-2")["online"]
    assert guest.say(TOPIC.format("dev-2", "have"), pattern(1, 50)) == ("puback", 0)
    site.until_logged("gateway", "gateway.bad_message subject=dev-2 ", marks["gateway"])
    guest.leave()


def test_an_oversize_packet_ends_one_connection_and_the_log_names_it(site, marks):
    who = raider(site, VILLAIN)
    who.throw(TOPIC.format(VILLAIN, "ev"), bytes(300_000))
    assert who.land() == []
    who.leave()
    site.plant.until_logged(
        f"Client {VILLAIN} disconnected due to oversize packet", marks["broker/broker"]
    )


def test_a_line_of_the_log_cannot_be_forged(site, marks):
    """What somebody says is quoted: it begins no line of its own."""
    who = raider(site, VILLAIN)
    forged = "x\n2026-01-01T00:00:00.000Z CRITICAL forged subject=witness"
    who.throw(TOPIC.format(VILLAIN, "have"), codec.encode(Have(boot_id=2, seq=2, reason=forged)))
    who.throw(TOPIC.format(VILLAIN, "have"), forged.encode())
    who.land()
    who.leave()
    site.undisturbed()
    for name in ("gateway", TARGET, WITNESS):
        assert not re.search("^2026-01-01", site.log(name, marks[name]), re.MULTILINE)
