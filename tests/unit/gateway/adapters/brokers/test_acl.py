"""The table of permissions against the shipped file, the protocol and the gateway's two connections."""

from __future__ import annotations

from pathlib import Path

import pytest
from paho.mqtt.client import topic_matches_sub

from devicesdk.wire.topics import (
    CTL,
    DAT,
    DEVICE_KINDS,
    FLAGS,
    KILL,
    UPLINK_KINDS,
    WANT,
    Topics,
)
from gateway.adapters.brokers.acl import (
    CONTROL,
    DATA,
    DEVICE_READS,
    DEVICE_WRITES,
    USERS,
    acl_text,
    is_reserved,
)
from gateway.runtime.performing import CONTROL_KINDS

ROOT = Path(__file__).parents[5]
TOPICS = Topics()


def allowed(user, access, topic):
    shapes = [f"{TOPICS.root}/{shape}" for granted, shape in USERS[user] if granted == access]
    return any(topic_matches_sub(shape, topic) for shape in shapes)


def topic_of(kind):
    if kind == KILL:
        return TOPICS.kill
    return TOPICS.flags("main") if kind == FLAGS else TOPICS.device("dev-1", kind)


def test_the_shipped_file_is_the_table():
    shipped = (ROOT / "mosquitto/acl").read_text()
    assert shipped == acl_text(), (
        "mosquitto/acl differs from gateway/adapters/brokers/acl.py: write acl_text() into it"
    )


def test_a_device_may_say_and_hear_each_kind_of_the_protocol_once():
    assert sorted(DEVICE_WRITES) == sorted(UPLINK_KINDS)
    assert sorted((*DEVICE_WRITES, *DEVICE_READS)) == sorted(DEVICE_KINDS)


@pytest.mark.parametrize("kind", [WANT, KILL, FLAGS, DAT, CTL])
def test_what_the_gateway_publishes_is_allowed_to_the_connection_it_goes_by_and_to_no_other(kind):
    user, other = (CONTROL, DATA) if kind in CONTROL_KINDS else (DATA, CONTROL)
    assert allowed(user, "write", topic_of(kind))
    assert not allowed(other, "write", topic_of(kind))


@pytest.mark.parametrize("kind", UPLINK_KINDS)
def test_the_data_connection_hears_every_kind_that_devices_say(kind):
    assert (("read", f"d/+/{kind}")) in USERS[DATA]
    assert allowed(DATA, "read", topic_of(kind))


def test_nobody_but_the_device_speaks_for_it():
    for user in USERS:
        for kind in DEVICE_WRITES:
            assert not allowed(user, "write", topic_of(kind)), f"{user} could forge {kind}"


def test_another_root_is_another_tenant():
    assert "fd/main" not in acl_text("plant/7")
    assert "pattern write plant/7/d/%u/have" in acl_text("plant/7")


@pytest.mark.parametrize("name", [*USERS, "gateway-x"])
def test_names_with_rights_of_their_own_are_reserved(name):
    assert is_reserved(name)
    assert not is_reserved("dev-1")
