"""Lines as mosquitto 1.4 to 2.1 write them, and as journals, syslogs and containers pass them on."""

from __future__ import annotations

import pytest

from devicesim.recordings.intervals import Builder
from devicesim.recordings.mosquitto import (
    DOWN,
    ENDED,
    STARTED,
    TAKEN,
    UP,
    Log,
    Spelling,
    read_message,
)

SECOND = 10**9
AT = 1_700_000_000 * SECOND
MIDDLE = AT + SECOND // 2

MESSAGES = [
    ("New client connected from 1.2.3.4:56 as dev-1 (p5, c0, k60, u'x').", UP, "dev-1"),
    ("New client connected from 1.2.3.4:56 as dev-1 (p2, c1, k60).", UP, "dev-1"),
    ("New client connected from 1.2.3.4 as dev-1 (c1, k60).", UP, "dev-1"),  # 1.4
    ("New client connected from ::1:50000 as a b (old) (p2, c1, k0).", UP, "a b (old)"),
    ("New client connected from 1.2.3.4:5 as x (p2, c1, k60, u'o'(p2, c1, k1)').", UP, "x"),
    ("New bridge connected from 10.0.0.1:1 as site.bridge (p2, c0, k60).", UP, "site.bridge"),
    ("Client dev-1 disconnected.", DOWN, "dev-1"),
    ("Client dev-1 closed its connection.", DOWN, "dev-1"),
    ("Client dev-1 has exceeded timeout, disconnecting.", DOWN, "dev-1"),
    ("Client dev-1 disconnected due to protocol error.", DOWN, "dev-1"),
    ("Client dev-1 disconnected, not authorised.", DOWN, "dev-1"),
    ("Client dev-1 disconnected: Connection reset by peer.", DOWN, "dev-1"),
    ("Client dev-1 been disconnected by administrative action.", DOWN, "dev-1"),
    ("Client dev-1 (10.0.0.1) closed its connection.", DOWN, "dev-1"),
    ("Client dev-1 [10.0.0.1:8785] disconnected: exceeded timeout.", DOWN, "dev-1"),  # 2.1
    ("Client dev-1 [10.0.0.1:8785] disconnected: connection closed by client.", DOWN, "dev-1"),
    ("Socket error on client dev-1, disconnecting.", DOWN, "dev-1"),  # 1.x
    ("Bad socket read/write on client dev-1: The connection was lost.", DOWN, "dev-1"),
    ("Client dev-1 already connected, closing old connection.", TAKEN, "dev-1"),
    ("Client dev-1 [10.0.0.1:8785] disconnected: session taken over.", TAKEN, "dev-1"),
    ("mosquitto version 2.0.11 running", STARTED, ""),
    ("mosquitto version 1.6.9 starting", STARTED, ""),
    ("mosquitto version 1.4.15 (build date Tue, 18 Jun 2019 11:42:22 -0300) starting", STARTED, ""),
    ("mosquitto version 2.0.11 terminating", ENDED, ""),
]


@pytest.mark.parametrize(("text", "kind", "client"), MESSAGES, ids=[m[0][:60] for m in MESSAGES])
def test_each_wording_says_who_and_what(text, kind, client):
    assert read_message(text) == (kind, client)


@pytest.mark.parametrize(
    "text",
    [
        "New connection from 1.2.3.4:56 on port 1883.",
        "Client connection from 1.2.3.4 denied: max_connections exceeded.",
        "Client dev-1 connected with too large Will payload",
        "Received PINGREQ from dev-1",
        "Expiring client dev-1 due to timeout.",
    ],
)
def test_other_lines_say_nothing_about_presence(text):
    assert read_message(text) is None


LINE = "Client dev-1 disconnected."
STAMPS = [
    "1700000000: ",
    "1700000000000: ",
    "2023-11-14T22:13:20: ",
    "2023-11-14T22:13:20Z: ",
    "2023-11-14 22:13:20: ",
    "2023-11-14T23:13:20+0100: ",
    "2023-11-14T23:13:20+01:00: ",
    "2023-11-14T23:13:20+01: ",
    "2023-11-14T22:13:20,000: ",
    "Nov 14 22:13:20 broker mosquitto[77]: ",
    "Nov 14 22:13:20 broker mosquitto[77]: 1700000000: ",
    "Nov 14 09:00:00 broker mosquitto[77]: 1700000000: ",  # written later: ours wins
    "2023-11-14T22:13:20+0000 broker mosquitto[77]: ",  # journalctl -o short-iso
    "1700000000.000000 broker mosquitto[77]: ",  # journalctl -o short-unix
    "<30>1 2023-11-14T22:13:20.000Z broker mosquitto 77 - - ",  # RFC 5424
    "2023-11-14T22:13:20.000000000Z ",  # docker logs -t
    "2023-11-14T22:14:00.123456789Z 1700000000: ",
    "mosquitto-1  | 1700000000: ",  # docker compose logs
    "2023-11-14T22:14:00.123456789Z stdout F 1700000000: ",  # Kubernetes
]


@pytest.mark.parametrize("stamp", STAMPS)
def test_each_stamp_gives_the_same_instant(stamp):
    log = Log(Builder(), Spelling(year=2023))
    assert log.instant(stamp) in (AT, MIDDLE), stamp
    log.line(stamp + LINE, "a.log", 1)
    assert (log.about, log.unclear) == (1, 0)


def test_dockers_json_is_a_line_and_its_time():
    log = Log(Builder(), Spelling())
    log.line(
        '{"log":"1700000000: ' + LINE + '\\n","stream":"stdout","time":"2023-11-14T22:13:21Z"}',
        "a",
        1,
    )
    log.line('{"log":"' + LINE + '\\n","stream":"stdout","time":"2023-11-14T22:13:21Z"}', "a", 2)
    assert (log.about, log.unclear) == (2, 0)


def test_a_stamp_without_a_zone_is_local_time():
    log = Log(Builder(), Spelling(utc_offset_ns=2 * 3600 * SECOND))
    assert log.instant("2023-11-15T00:13:20: ") == MIDDLE
    assert log.instant("2023-11-14T22:13:20Z: ") == MIDDLE


def test_a_stamp_in_whole_seconds_is_the_middle_of_its_second():
    log = Log(Builder(), Spelling())
    assert log.instant("1700000000: ") == MIDDLE
    assert log.instant("1700000000.000: ") == AT
    assert log.instant("1700000000250: ") == AT + SECOND // 4
    assert log.instant("2023-11-14T22:13:20.25Z: ") == AT + SECOND // 4


def test_any_format_of_strftime_can_be_named():
    log = Log(Builder(), Spelling(time_format="%d.%m.%Y %H:%M:%S"))
    assert log.instant("14.11.2023 22:13:20: ") == MIDDLE
    assert log.instant("99.99.2023 22:13:20: ") is None


def test_a_syslog_that_falls_by_months_has_seen_new_year():
    builder = Builder()
    log = Log(builder, Spelling(year=2023))
    log.line(
        "Dec 31 23:59:50 b mosquitto[1]: New client connected from a:1 as x (p5, c1, k9).", "a", 1
    )
    log.line("Jan  1 00:00:10 b mosquitto[1]: Client x disconnected.", "a", 2)
    assert builder.finish().length_ns == 20 * SECOND
    assert builder.setbacks == 0


def played(*lines):
    builder = Builder()
    log = Log(builder, Spelling())
    for number, line in enumerate(lines, 1):
        log.line(line, "a.log", number)
    return builder, log


def spans(builder):
    return {
        device: [at // SECOND for at in edges]
        for device, edges in builder.finish(start=builder.first // SECOND * SECOND).edges.items()
    }


UP_ = "New client connected from 1.1.1.1:1 as {} (p5, c1, k60)."


def test_a_session_goes_from_up_to_down():
    builder, _ = played(
        f"100000000: {UP_.format('a')}", "100000030: Client a disconnected.", "100000040: x"
    )
    assert spans(builder) == {"a": [0, 30]}


def test_who_is_up_at_the_end_is_up_until_the_end():
    builder, _ = played(
        "100000000: Opening", f"100000010: {UP_.format('a')}", "100000040: New connection from b"
    )
    assert spans(builder) == {"a": [10, 40]}


def test_who_only_leaves_was_there_all_along():
    builder, _ = played(
        "100000000: hello", "100000020: Client a closed its connection.", "100000040: x"
    )
    assert spans(builder) == {"a": [0, 20]}


def test_but_not_when_the_log_saw_the_broker_start():
    builder, _ = played(
        "100000000: mosquitto version 2.0.11 running",
        "100000020: Client a disconnected, not authorised.",
        f"100000030: {UP_.format('b')}",
        "100000040: x",
    )
    assert spans(builder) == {"b": [30, 40]}
    assert builder.orphans == 1


def test_a_takeover_is_no_absence():
    builder, log = played(
        f"100000000: {UP_.format('a')}",
        "100000020: Client a already connected, closing old connection.",
        f"100000020: {UP_.format('a')}",
        "100000050: Client a disconnected.",
    )
    assert spans(builder) == {"a": [0, 50]}
    assert builder.takeovers == 1
    assert log.about == 4


def test_a_broker_that_ends_takes_everybody_with_it():
    builder, _ = played(
        f"100000000: {UP_.format('a')}",
        "100000020: mosquitto version 2.0.11 terminating",
        "100000050: mosquitto version 2.0.11 running",
        f"100000055: {UP_.format('a')}",
        "100000060: x",
    )
    assert spans(builder) == {"a": [0, 20, 55, 60]}


def test_one_that_crashed_took_them_when_it_spoke_last():
    builder, _ = played(
        f"100000000: {UP_.format('a')}",
        "100000020: No will message specified.",
        "100000050: mosquitto version 2.0.11 starting",
        "100000060: x",
    )
    assert spans(builder) == {"a": [0, 20]}


def test_a_clock_that_goes_back_does_not_take_time_with_it():
    builder, _ = played(
        f"100000000: {UP_.format('a')}",
        "100003600: Client a disconnected.",
        f"100000010: {UP_.format('a')}",  # an hour back
        "100000070: Client a disconnected.",
    )
    assert spans(builder) == {"a": [0, 3660]}
    assert (builder.setbacks, builder.set_back_ns) == (1, 3590 * SECOND)


def test_a_clock_that_was_1970_until_the_network_came_is_followed():
    builder, _ = played(
        "100000000: mosquitto version 2.0.11 running",
        f"100000010: {UP_.format('a')}",
        "1700000000: x",
        "1700000050: Client a disconnected.",
    )
    assert spans(builder) == {"a": [10, 60]}
    assert builder.setbacks == 1


def test_a_line_about_a_client_that_is_not_understood_is_told_by_its_place():
    _, log = played(
        f"100000000: {UP_.format('a')}",
        "100000001: Client a was disconnected in some new way",
        "no time at all",
        "100000002: something else",
        "",
    )
    assert [(c.file, c.line) for c in log.complaints] == [("a.log", 2), ("a.log", 3)]
    assert (log.lines, log.about, log.other, log.unclear) == (4, 1, 1, 2)


def test_a_connection_without_a_name_is_nobody():
    builder, _ = played(
        f"100000000: {UP_.format('a')}", "100000009: Client <unknown> closed its connection."
    )
    assert list(builder.finish().edges) == ["a"]
