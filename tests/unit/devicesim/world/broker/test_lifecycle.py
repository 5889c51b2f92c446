from __future__ import annotations

from devicesdk.wire.timebase import DAY, NEVER, SECOND
from devicesim.world.broker import ReasonCode

LOST = ReasonCode.UNSPECIFIED_ERROR
GONE = ReasonCode.KEEP_ALIVE_TIMEOUT


def test_a_session_ends_when_its_expiry_has_passed(bench) -> None:
    bench.client("gw")
    bench.client("dev", ("t", 1), session_expiry_ns=10)
    bench.broker.connection_lost(5, "dev", LOST)
    bench.say("gw", "t", now=6)
    assert bench.broker.deadline() == (15, "session expiry")
    bench.broker.tick(14)
    assert bench.broker.has_session("dev")
    bench.broker.tick(15)
    assert not bench.broker.has_session("dev")
    assert bench.broker.deadline() is None
    assert bench.drops() == {"session_expired": 1}


def test_coming_back_cancels_the_deadline(bench) -> None:
    bench.client("dev", ("t", 1), session_expiry_ns=10)
    bench.broker.connection_lost(5, "dev", LOST)
    back = bench.client("dev", now=14, session_expiry_ns=10)
    assert back.connack.session_present
    assert bench.broker.deadline() is None
    bench.broker.tick(100)
    assert bench.broker.outlet("dev") is back


def test_expiry_is_capped_and_the_cap_is_told(bench) -> None:
    bench.using(session_expiry_ns_max=DAY)
    dev = bench.client("dev", session_expiry_ns=NEVER)
    assert dev.connack.session_expiry_ns == DAY


def test_a_session_may_live_for_ever(bench) -> None:
    bench.using(session_expiry_ns_max=NEVER)
    bench.client("dev", session_expiry_ns=NEVER)
    bench.broker.connection_lost(5, "dev", LOST)
    assert bench.broker.deadline() is None
    assert bench.broker.has_session("dev")


def test_goodbye_may_change_the_expiry(bench) -> None:
    bench.client("dev", session_expiry_ns=10)
    bench.broker.disconnect(5, "dev", send_will=False, session_expiry_ns=20)
    assert bench.broker.deadline() == (25, "session expiry")
    bench.client("dev", now=6, session_expiry_ns=10)
    bench.broker.disconnect(7, "dev", send_will=False, session_expiry_ns=0)
    assert not bench.broker.has_session("dev")
    assert bench.broker.closes == {ReasonCode.SUCCESS: 2}


def test_clean_start_discards(bench) -> None:
    bench.client("gw")
    bench.client("dev", ("t", 1), session_expiry_ns=10)
    bench.broker.connection_lost(1, "dev", LOST)
    bench.say("gw", "t")
    dev = bench.client("dev", clean_start=True)
    assert not dev.connack.session_present
    assert bench.drops() == {"clean_start": 1}
    bench.say("gw", "t")
    assert not dev.heard


def test_a_will_speaks_at_once_or_after_its_delay(bench, will) -> None:
    eye = bench.client("eye", ("link", 1))
    bench.client("a", will=will(payload=b"a"), session_expiry_ns=100)
    bench.client("b", will=will(payload=b"b", delay_ns=10), session_expiry_ns=100)
    bench.broker.connection_lost(1, "a", GONE)
    bench.broker.connection_lost(1, "b", GONE)
    assert eye.payloads == [b"a"]
    assert bench.broker.deadline() == (11, "will delay")
    bench.broker.tick(11)
    assert eye.payloads == [b"a", b"b"]
    assert bench.broker.deadline() == (101, "session expiry")


def test_a_will_waits_no_longer_than_its_session(bench, will) -> None:
    eye = bench.client("eye", ("link", 1))
    bench.client("short", will=will(payload=b"short", delay_ns=100), session_expiry_ns=10)
    bench.client("none", will=will(payload=b"none", delay_ns=100))
    bench.broker.connection_lost(0, "none", GONE)
    assert eye.payloads == [b"none"]
    bench.broker.connection_lost(0, "short", GONE)
    bench.broker.tick(10)
    assert eye.payloads == [b"none", b"short"]
    assert bench.broker.deadline() is None


def test_whoever_is_back_in_time_has_no_will(bench, will) -> None:
    eye = bench.client("eye", ("link", 1))
    bench.client("dev", will=will(delay_ns=10), session_expiry_ns=100)
    bench.broker.connection_lost(0, "dev", GONE)
    bench.client("dev", now=9, session_expiry_ns=100)
    bench.broker.tick(50)
    assert not eye.heard


def test_goodbye_silences_the_will_unless_asked(bench, will) -> None:
    eye = bench.client("eye", ("link", 1))
    bench.client("a", will=will(payload=b"a"))
    bench.client("b", will=will(payload=b"b"))
    bench.broker.disconnect(0, "a", send_will=False)
    bench.broker.disconnect(0, "b", send_will=True)
    assert eye.payloads == [b"b"]


def test_a_will_expires_from_when_it_speaks(bench, will) -> None:
    bench.client("dev", will=will(retain=True, expiry_ns=5))
    bench.broker.connection_lost(10, "dev", GONE)
    assert bench.broker.retained(14, "link").expires_at_ns == 15
    assert bench.broker.retained(15, "link") is None


def test_a_take_over_ends_the_old_connection_first(bench, will) -> None:
    eye = bench.client("eye", ("link", 1))
    old = bench.client("dev", ("t", 1), will=will(), session_expiry_ns=100)
    bench.say("eye", "t", b"1")
    new = bench.client("dev", session_expiry_ns=100, will=will(delay_ns=10))
    assert old.end is ReasonCode.SESSION_TAKEN_OVER
    assert new.connack.session_present
    assert new.heard == [(1, "t", b"1", False, True)]
    assert eye.payloads == [b"lost"]
    newest = bench.client("dev", session_expiry_ns=100)
    assert newest.connack.session_present
    assert eye.payloads == [b"lost"]  # the delayed one came back in time
    assert bench.broker.closes == {ReasonCode.SESSION_TAKEN_OVER: 2}


def test_a_take_over_of_a_session_without_expiry_finds_nothing(bench, will) -> None:
    eye = bench.client("eye", ("link", 1))
    bench.client("dev", ("t", 1), will=will(delay_ns=50))
    new = bench.client("dev")
    assert not new.connack.session_present
    assert eye.payloads == [b"lost"]


def test_sessions_are_bounded(bench) -> None:
    bench.using(sessions_max=1)
    bench.client("a", session_expiry_ns=5)
    assert bench.client("b").end is ReasonCode.QUOTA_EXCEEDED
    assert bench.client("a").connack.session_present


def test_a_restart_with_persistence_keeps_what_may_be_kept(bench, will) -> None:
    gw = bench.client("gw", ("link", 1))
    dev = bench.client("dev", ("t", 1), session_expiry_ns=SECOND, will=will(delay_ns=5))
    bench.client("away", session_expiry_ns=SECOND, will=will(delay_ns=5))
    bench.broker.connection_lost(0, "away", GONE)
    bench.say("gw", "t", b"1", retain=True)
    bench.broker.restart(1, lose_sessions=False)
    assert bench.broker.epoch == 1
    assert dev.end is gw.end is ReasonCode.SERVER_SHUTTING_DOWN
    assert not bench.broker.has_session("gw")
    assert bench.broker.deadline() == (SECOND, "session expiry")
    assert bench.client("dev").heard == [(1, "t", b"1", False, True)]
    assert bench.broker.retained(1, "t").payload == b"1"


def test_a_restart_without_loses_all_and_says_so(bench) -> None:
    bench.client("gw")
    bench.client("dev", ("t", 1), session_expiry_ns=SECOND)
    bench.say("gw", "t", retain=True)
    bench.broker.restart(1, lose_sessions=True)
    assert not bench.broker.has_session("dev")
    assert bench.drops() == {"session_lost": 1}
    assert bench.drops("retained") == {"session_lost": 1}
    assert bench.broker.deadline() is None


def test_dead_deadlines_are_swept(bench) -> None:
    bench.client("first", session_expiry_ns=900)
    bench.broker.connection_lost(0, "first", LOST)
    bench.client("dev", session_expiry_ns=1_000)
    for now in range(500):
        bench.broker.connection_lost(now, "dev", LOST)
        bench.broker.validate()
        assert bench.broker.deadline() == (900, "session expiry")
        bench.client("dev", now=now, session_expiry_ns=1_000)
    bench.broker.tick(900)
    assert bench.broker.deadline() is None
