from __future__ import annotations

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode as PahoReasonCode

from devicesim.world.broker.packets import Connack, Message, ReasonCode, packet_bytes


def on_the_wire(message: Message) -> int:
    """Encode the PUBLISH independently, by 3.3, with paho's properties."""
    properties = Properties(PacketTypes.PUBLISH)
    if message.expires_at_ns is not None:
        properties.MessageExpiryInterval = 60
    topic = message.topic.encode()
    body = len(topic).to_bytes(2, "big") + topic + (b"\0\1" if message.qos else b"")
    body += properties.pack() + message.payload
    length, count = len(body), 1
    while length > 127:
        length, count = length // 128, count + 1
    return 1 + count + len(body)


@pytest.mark.parametrize("payload_bytes", [0, 100, 116, 130, 16_370, 16_390, 2_097_139, 2_097_150])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("expires", [None, 5])
def test_sizes_are_those_on_the_wire(payload_bytes: int, qos: int, expires: int | None) -> None:
    message = Message("fd/é/x", bytes(payload_bytes), qos, expires_at_ns=expires)
    assert packet_bytes(message) == on_the_wire(message)


def test_reason_codes_are_those_of_the_standard() -> None:
    known = {
        code for names in PahoReasonCode(PacketTypes.CONNACK).names.items() for code in [names[0]]
    }
    assert {int(code) for code in ReasonCode} <= known


def test_a_connack_is_accepted_or_not() -> None:
    assert Connack(reason=ReasonCode.SUCCESS).accepted
    assert not Connack(reason=ReasonCode.QUOTA_EXCEEDED).accepted
