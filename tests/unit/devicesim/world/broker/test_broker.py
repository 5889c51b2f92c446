from __future__ import annotations

import pytest

from devicesim.world.broker import Access, Broker, ReasonCode
from devicesim.world.ledger import Ledger


def least_privilege(username: str, topic: str, access: Access) -> bool:
    mine = {"publish": ("have", "link"), "subscribe": ("want", "ctl")}[access.value]
    return any(topic == f"d/{username}/{leaf}" for leaf in mine)


def test_who_is_not_authenticated_stays_out(bench) -> None:
    def gate(connect):
        good = connect.password == b"right"
        return ReasonCode.SUCCESS if good else ReasonCode.BAD_USER_NAME_OR_PASSWORD

    bench.using(authenticate=gate)
    assert bench.client("dev").end is ReasonCode.BAD_USER_NAME_OR_PASSWORD
    assert not bench.broker.has_session("dev")
    assert bench.client("dev", password=b"right").connack.accepted


@pytest.mark.parametrize("name", ["", "a\0"])
def test_a_client_needs_a_name(bench, name: str) -> None:
    assert bench.client(name).end is ReasonCode.CLIENT_IDENTIFIER_NOT_VALID


def test_a_receive_maximum_of_zero_is_a_protocol_error(bench) -> None:
    with pytest.raises(ValueError, match=r"receive maximum of 1\.\.65535 from 'dev', found 0"):
        bench.client("dev", receive_maximum=0)


def test_access_is_checked_for_publish_subscribe_and_wills(bench, will) -> None:
    bench.using(authorize=least_privilege)
    bench.client("7", will=will("d/7/link"))
    assert bench.broker.subscribe(0, "7", [("d/7/want", 1), ("d/8/want", 1), ("#", 1)]) == [
        ReasonCode.GRANTED_QOS_1,
        ReasonCode.NOT_AUTHORIZED,
        ReasonCode.NOT_AUTHORIZED,
    ]
    assert bench.broker.subscribe(0, "7", [("$share/g/d/7/ctl", 0)]) == [ReasonCode.SUCCESS]
    assert bench.say("7", "d/7/have", retain=True) is ReasonCode.NO_MATCHING_SUBSCRIBERS
    assert bench.say("7", "d/7/want") is ReasonCode.NOT_AUTHORIZED
    assert bench.drops() == {"not_authorized": 1}
    assert bench.client("8", will=will("d/7/link")).end is ReasonCode.NOT_AUTHORIZED


def test_a_username_other_than_the_client_id(bench) -> None:
    bench.using(authorize=least_privilege)
    bench.client("anything", ("d/7/want", 1), username="7")


def test_impossible_wills_are_refused(bench, will) -> None:
    bench.using(packet_bytes_max=100)
    assert bench.client("a", will=will("a/#")).end is ReasonCode.TOPIC_NAME_INVALID
    assert bench.client("a", will=will(qos=2)).end is ReasonCode.QOS_NOT_SUPPORTED
    assert bench.client("a", will=will(payload=bytes(200))).end is ReasonCode.PACKET_TOO_LARGE


@pytest.mark.parametrize(
    ("fields", "reason", "cause"),
    [
        ({"topic": "a/+"}, ReasonCode.TOPIC_NAME_INVALID, "malformed"),
        ({"topic": "a", "qos": 2}, ReasonCode.QOS_NOT_SUPPORTED, "malformed"),
        ({"topic": "a", "payload": bytes(93)}, ReasonCode.PACKET_TOO_LARGE, "packet_too_large"),
    ],
)
def test_a_publish_that_ends_the_connection(bench, will, fields, reason, cause) -> None:
    bench.using(packet_bytes_max=100)
    eye = bench.client("eye", ("link", 0))
    bad = bench.client("bad", will=will())
    bench.say("bad", "a", bytes(92))  # 1 + 1 + 2 + 1 + 2 + 1 + 92 = 100
    assert bench.say("bad", **fields) is reason
    assert bad.end is reason
    assert eye.payloads == [b"lost"]
    assert bench.drops() == {"no_subscriber": 1, cause: 1}


def test_subscriptions_are_checked_and_bounded(bench) -> None:
    bench.using(subscriptions_per_session_max=2)
    bench.client("dev")
    filters = [("a/#/b", 1), ("a", 2), ("b", 0), ("c", 1), ("a", 0), ("$share/g", 1)]
    assert bench.broker.subscribe(0, "dev", filters) == [
        ReasonCode.TOPIC_FILTER_INVALID,
        ReasonCode.GRANTED_QOS_1,
        ReasonCode.SUCCESS,
        ReasonCode.QUOTA_EXCEEDED,
        ReasonCode.SUCCESS,
        ReasonCode.TOPIC_FILTER_INVALID,
    ]
    assert bench.broker.unsubscribe(0, "dev", ["a", "c"]) == [
        ReasonCode.SUCCESS,
        ReasonCode.NO_SUBSCRIPTION_EXISTED,
    ]


def test_what_is_queued_survives_an_unsubscribe(bench) -> None:
    dev = bench.client("dev", ("t", 1), receive_maximum=1)
    bench.client("gw")
    bench.say("gw", "t", b"1")
    bench.say("gw", "t", b"2")
    bench.broker.unsubscribe(0, "dev", ["t"])
    bench.broker.puback(0, "dev", dev.heard[0][0])
    assert dev.payloads == [b"1", b"2"]


def test_an_operator_kicks(bench, will) -> None:
    eye = bench.client("eye", ("link", 0))
    dev = bench.client("dev", will=will())
    bench.broker.kick(0, "dev", ReasonCode.NOT_AUTHORIZED)
    assert dev.end is ReasonCode.NOT_AUTHORIZED
    assert eye.payloads == [b"lost"]


def test_the_backlog_dies_with_the_process(bench) -> None:
    bench.using(accept_rate_per_s=1.0, accept_backlog_max=1)
    assert bench.broker.admit(0) == 1_000_000_000
    assert bench.broker.admit(0) is None
    assert bench.broker.dropped_syns == 1
    bench.broker.restart(0, lose_sessions=False)
    assert bench.broker.admit(0) == 1_000_000_000
    assert bench.broker.limits.accept_backlog_max == 1


def test_packets_without_a_connection_are_the_hosts_mistake(bench) -> None:
    bench.client("away", session_expiry_ns=9)
    bench.broker.connection_lost(0, "away", ReasonCode.UNSPECIFIED_ERROR)
    with pytest.raises(LookupError, match="PUBLISH to 't', found that 'away' is offline"):
        bench.say("away", "t")
    with pytest.raises(LookupError, match="PUBACK 3, found that 'never' has no session"):
        bench.broker.puback(0, "never", 3)
    with pytest.raises(LookupError, match="end of connection"):
        bench.broker.connection_lost(0, "away", ReasonCode.UNSPECIFIED_ERROR)
    assert bench.broker.outlet("away") is None is bench.broker.outlet("never")


def test_an_expiry_out_of_nowhere_is_a_protocol_error(bench) -> None:
    bench.client("dev")
    with pytest.raises(ValueError, match="no session expiry in the DISCONNECT of 'dev'"):
        bench.broker.disconnect(0, "dev", send_will=False, session_expiry_ns=5)


def test_cooked_books_are_found_out() -> None:
    ledger = Ledger()
    broker = Broker(ledger)
    ledger.opened("broker", "want")
    with pytest.raises(AssertionError, match="1 vanished without a cause"):
        broker.validate()
