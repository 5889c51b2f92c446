"""CONNECT, SUBSCRIBE and PUBLISH as they pass."""

import mqtt5
import pytest

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Link
from gateway.conform.ledger import Ledger
from gateway.conform.packets import Packets
from gateway.conform.rules import BY_ID

NAMES = topics.Topics("fd/main")
WILL = codec.encode(Link(boot_id=1, session=1, online=False))
QOS = mqtt5.QoS


def judge(rule, *packets):
    ledger = Ledger()
    watch = Packets(ledger, NAMES, "d-1")
    for packet in packets:
        watch.take(packet)
    return ledger.finding(BY_ID[rule]).verdict


def connect(
    *, topic="fd/main/d/d-1/link", payload=WILL, retain=True, qos=1, clean=False, expiry=60
):
    will = mqtt5.Will(topic, payload=payload, retain=retain, qos=QOS(qos))
    return mqtt5.ConnectPacket("d-1", clean_start=clean, session_expiry_interval=expiry, will=will)


@pytest.mark.parametrize(
    ("fields", "rule", "verdict"),
    [
        ({}, "S1", "kept"),
        ({"clean": True}, "S1", "broken"),
        ({"expiry": 0}, "S1", "broken"),
        ({}, "S2", "kept"),
        ({"topic": "fd/main/d/d-2/link"}, "S2", "broken"),
        ({"retain": False}, "S2", "broken"),
        ({"qos": 0}, "S2", "broken"),
        ({"payload": b"bye"}, "S2", "broken"),
        ({"payload": codec.encode(Link(boot_id=1, session=1, online=True))}, "S2", "broken"),
    ],
)
def test_connect(fields, rule, verdict):
    assert judge(rule, connect(**fields)) == verdict


def subscribe(*patterns, qos=1):
    return mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(p, max_qos=QOS(qos)) for p in patterns])


def test_subscribe():
    kill, want = NAMES.kill, NAMES.device("d-1", topics.WANT)
    assert judge("S3", connect(), subscribe(kill, want)) == "kept"
    assert judge("S3", connect(), subscribe(want, kill)) == "broken"
    assert judge("S3", connect(), subscribe(kill), subscribe(want)) == "kept"
    assert judge("S4", subscribe(kill, want)) == "kept"
    assert judge("S4", subscribe(kill, qos=0)) == "broken"
    assert judge("S4", subscribe(*[f"{kill}/{n}" for n in range(9)])) == "broken"


@pytest.mark.parametrize(
    ("kind", "qos", "retain", "verdict"),
    [
        ("have", 1, True, "kept"),
        ("have", 1, False, "broken"),
        ("have", 0, True, "broken"),
        ("get", 1, False, "kept"),
        ("get", 0, False, "kept"),
        ("ev", 0, False, "broken"),
        ("ev", 1, True, "broken"),
        ("tel", 0, False, "kept"),
    ],
)
def test_publish(kind, qos, retain, verdict):
    topic = NAMES.device("d-1", kind)
    packet = mqtt5.PublishPacket(
        topic, payload=b"x", qos=QOS(qos), retain=retain, packet_id=qos or None
    )
    assert judge("S5", packet) == verdict


@pytest.mark.parametrize("topic", ["fd/main/d/d-2/have", "fd/main/k", "elsewhere"])
def test_speaking_where_it_may_not(topic):
    assert judge("R1", mqtt5.PublishPacket(topic, payload=b"x", qos=QOS(0))) == "broken"
