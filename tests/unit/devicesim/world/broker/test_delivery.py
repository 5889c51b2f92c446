from __future__ import annotations

from devicesim.world.broker import ReasonCode

SUCCESS, NOBODY = ReasonCode.SUCCESS, ReasonCode.NO_MATCHING_SUBSCRIBERS


def test_qos_1_is_closed_by_its_puback(bench) -> None:
    dev = bench.client("dev", ("t", 1))
    bench.client("gw")
    assert bench.say("gw", "t") is SUCCESS
    assert bench.broker.held_copies()["broker"] == 1
    [(packet_id, *_)] = dev.heard
    assert bench.broker.puback(1, "dev", packet_id)
    assert not bench.broker.puback(2, "dev", packet_id)
    assert bench.broker.held_copies()["broker"] == 0


def test_qos_0_is_sent_or_dropped(bench) -> None:
    dev = bench.client("dev", ("t", 0), session_expiry_ns=99)
    bench.client("gw")
    bench.say("gw", "t", b"1", qos=0)
    bench.broker.congest("dev", congested=True)
    bench.say("gw", "t", b"2", qos=0)
    bench.broker.congest("dev", congested=False)
    bench.say("gw", "t", b"3")
    bench.broker.connection_lost(1, "dev", ReasonCode.UNSPECIFIED_ERROR)
    assert bench.say("gw", "t", b"4") is SUCCESS
    assert dev.payloads == [b"1", b"3"]
    assert bench.drops() == {"qos0_offline": 2}


def test_congestion_spares_qos_1(bench) -> None:
    dev = bench.client("dev", ("t", 1))
    bench.client("gw")
    bench.broker.congest("dev", congested=True)
    bench.say("gw", "t", b"1")
    assert dev.payloads == [b"1"]


def test_a_full_queue_drops_the_newest_and_says_success(bench) -> None:
    bench.using(queue_messages_max=2, inflight_max=1)
    dev = bench.client("dev", ("t", 1))
    bench.client("gw")
    assert [bench.say("gw", "t", b"%d" % n) for n in range(6)] == [SUCCESS] * 6
    assert bench.drops() == {"queue_full": 3}
    assert bench.broker.queue_peak == 2
    for n in range(3):
        assert bench.broker.puback(0, "dev", dev.heard[n][0])
    assert dev.payloads == [b"0", b"1", b"2"]


def test_a_smaller_receive_maximum_at_the_reconnect_paces_what_comes_again(bench) -> None:
    dev = bench.client("dev", ("t", 1), session_expiry_ns=99)
    bench.client("gw")
    for n in range(4):
        bench.say("gw", "t", b"%d" % n)
    ids = [packet_id for packet_id, *_ in dev.heard]
    bench.broker.connection_lost(1, "dev", ReasonCode.UNSPECIFIED_ERROR)
    dev = bench.client("dev", session_expiry_ns=99, receive_maximum=2)
    assert [(i, dup) for i, _, _, _, dup in dev.heard] == [(ids[0], True), (ids[1], True)]
    bench.say("gw", "t", b"4")
    bench.broker.validate()
    assert bench.broker.puback(2, "dev", ids[3])  # heard on the old connection, never sent on this
    bench.broker.validate()
    for packet_id in ids[:3]:
        bench.broker.puback(2, "dev", packet_id)
    assert [(p, dup) for _, _, p, _, dup in dev.heard[2:]] == [(b"2", True), (b"4", False)]


def test_expired_messages_are_not_routed_queued_or_sent_again(bench) -> None:
    dev = bench.client("dev", ("t", 1), session_expiry_ns=99, receive_maximum=1)
    bench.client("gw")
    assert bench.say("gw", "t", b"late", now=5, expires_at_ns=5) is SUCCESS
    bench.say("gw", "t", b"sent", expires_at_ns=10)
    bench.say("gw", "t", b"queued", expires_at_ns=10)
    bench.say("gw", "t", b"stays")
    bench.broker.connection_lost(1, "dev", ReasonCode.UNSPECIFIED_ERROR)
    assert dev.payloads == [b"sent"]
    dev = bench.client("dev", now=10, session_expiry_ns=99)
    assert dev.payloads == [b"stays"]
    assert bench.drops() == {"expired": 3}


def test_packets_too_large_for_the_client_are_skipped(bench) -> None:
    bench.using(inflight_max=1)
    dev = bench.client("dev", ("t", 1), ("$share/g/t", 0), packet_bytes_max=50, session_expiry_ns=9)
    bench.client("gw")
    bench.say("gw", "t", b"first")
    bench.say("gw", "t", bytes(100))
    bench.say("gw", "t", bytes(30), qos=0)
    bench.broker.connection_lost(1, "dev", ReasonCode.UNSPECIFIED_ERROR)
    bench.say("gw", "t", bytes(100))
    again = bench.client("dev", packet_bytes_max=50)
    bench.broker.puback(2, "dev", again.heard[0][0])
    assert [len(payload) for payload in dev.payloads] == [5, 5, 30, 30]
    assert [len(payload) for payload in again.payloads] == [5]
    assert bench.drops() == {"qos0_offline": 1, "packet_too_large": 3}


def test_near_the_clients_maximum_the_exact_size_decides(bench) -> None:
    dev = bench.client("dev", ("t", 1), receive_maximum=1, packet_bytes_max=40)
    bench.client("gw")
    bench.say("gw", "t", bytes(32))  # 1 + 1 + 2 + 1 + 2 + 1 + 32 = 40
    bench.say("gw", "t", bytes(32))
    bench.say("gw", "t", bytes(33))
    bench.broker.puback(0, "dev", dev.heard[0][0])
    assert [len(payload) for payload in dev.payloads] == [32, 32]
    assert bench.drops() == {"packet_too_large": 1}


def test_packet_ids_wrap_around_in_the_hot_loop(bench) -> None:
    bench.using(inflight_max=65_535)
    dev = bench.client("dev", ("t", 1))
    bench.client("gw")
    bench.say("gw", "t", b"stuck")
    for n in range(65_540):
        bench.say("gw", "t")
        assert bench.broker.puback(0, "dev", dev.heard[n + 1][0])
    ids = [packet_id for packet_id, *_ in dev.heard]
    assert ids[65_534:65_537] == [65_535, 2, 3]
    assert min(ids) == 1


def test_nobody_listens(bench) -> None:
    bench.client("gw")
    assert bench.say("gw", "t", kind="ev") is NOBODY
    assert bench.say("gw", "t", retain=True, kind="want") is NOBODY
    assert bench.say("gw", "t", b"", retain=True, kind="want") is NOBODY
    assert {(r.leg, r.kind): dict(r.dropped) for r in bench.ledger.rows()} == {
        ("broker", "ev"): {"no_subscriber": 1},
        ("broker", "want"): {"no_subscriber": 1},
        ("retained", "want"): {"replaced": 1},
    }


def test_live_copies_carry_no_retain_flag(bench) -> None:
    live = bench.client("live", ("t", 1))
    bench.client("gw")
    bench.say("gw", "t", b"state", retain=True, kind="want")
    late = bench.client("late", ("t", 0))
    assert live.heard == [(1, "t", b"state", False, False)]
    assert late.heard == [(0, "t", b"state", True, False)]
    assert bench.broker.retained(0, "t").kind == "want"
    assert bench.broker.retained(0, "other") is None


def test_retained_messages_respect_the_window(bench) -> None:
    bench.client("gw")
    for n in range(3):
        bench.say("gw", f"r/{n}", b"%d" % n, retain=True)
    dev = bench.client("dev", ("r/#", 1), receive_maximum=2)
    assert dev.payloads == [b"0", b"1"]
    bench.broker.puback(0, "dev", dev.heard[0][0])
    assert dev.heard[2] == (3, "r/2", b"2", True, False)


def test_a_full_retained_store_refuses(bench) -> None:
    bench.using(retained_messages_max=1)
    bench.client("gw", ("#", 1))
    assert bench.say("gw", "a", retain=True) is SUCCESS
    assert bench.say("gw", "b", retain=True) is ReasonCode.QUOTA_EXCEEDED
    assert bench.drops() == {"quota_exceeded": 1}


def test_one_message_object_serves_all(bench) -> None:
    clients = [bench.client(f"d{n}", ("k", n % 2)) for n in range(4)]
    bench.client("gw")
    bench.say("gw", "k", b"kill")
    assert [client.heard[0][0] for client in clients] == [0, 1, 0, 1]
    row = bench.ledger.rows()[0]
    assert (row.opened, row.delivered, row.held) == (4, 2, 2)
