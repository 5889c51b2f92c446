"""What the recorder makes of messages; the broker itself is in tests/system/test_capture.py."""

from __future__ import annotations

import pytest

from devicesdk.wire import codec
from devicesdk.wire.messages import Link
from devicesim.recordings.capture import COUNT_TOPIC, UPTIME_TOPIC, Capture
from devicesim.recordings.intervals import RecordingError

S = 10**9
LOG = "$SYS/broker/log/N"
UP = b"100: New client connected from 1.1.1.1:1 as %s (p5, c1, k60)."
DOWN = b"100: Client %s closed its connection."


def link(device, *, online):
    return f"fd/main/d/{device}/link", codec.encode(Link(boot_id=1, session=1, online=online))


def spans(capture, at=100):
    recording = capture.finish("here", at * S)
    return {d: [each / S for each in edges] for d, edges in recording.edges.items()}


def started(**options):
    capture = Capture(**options)
    capture.connected(0)
    return capture


def test_notices_of_the_broker_say_who_comes_and_goes():
    capture = started()
    capture.message(LOG, UP % b"a", 10 * S)
    capture.message(LOG, UP % b"b", 20 * S)
    capture.message(LOG, DOWN % b"a", 30 * S)
    assert spans(capture) == {"a": [10, 30], "b": [20, 100]}
    assert capture.spoke == "log"


def test_the_fleets_own_word_is_retained_and_a_will():
    capture = started()
    capture.message(*link("a", online=True), 0)
    capture.message(*link("b", online=False), 0)
    capture.message(*link("a", online=False), 40 * S)
    capture.message(*link("b", online=True), 50 * S)
    assert spans(capture) == {"a": [0, 40], "b": [50, 100]}
    assert capture.spoke == "link"


def test_who_was_there_before_is_told_by_the_fleet_and_goes_by_the_broker():
    capture = started()
    capture.message(*link("a", online=True), 0)
    capture.message(LOG, DOWN % b"a", 40 * S)
    capture.message(*link("a", online=True), 41 * S)  # late: the notices speak
    assert spans(capture) == {"a": [0, 40]}


def test_a_bare_number_makes_a_curve():
    capture = started()
    for at, number in ((0, b"3"), (20, b"1"), (60, b"2")):
        capture.message(COUNT_TOPIC, number, at * S)
    assert spans(capture) == {"client-0000": [0, 20, 60, 100], "client-0001": [0, 20]}
    assert capture.spoke == "count"


def test_who_never_moves_is_counted_and_made_up():
    capture = started()
    capture.message(COUNT_TOPIC, b"4", 0)  # we and three
    capture.message(LOG, DOWN % b"a", 40 * S)
    assert spans(capture) == {"a": [0, 40], "unnamed-0000": [0, 100], "unnamed-0001": [0, 100]}


def test_a_gap_of_our_own_is_unknown():
    capture = started()
    capture.message(LOG, UP % b"a", 10 * S)
    capture.lost(20 * S)
    capture.connected(50 * S)
    capture.message(UPTIME_TOPIC, b"5000 seconds", 50 * S)
    capture.message(LOG, DOWN % b"b", 60 * S)  # b came in the gap
    recording = capture.finish("here", 100 * S)
    assert recording.unknown == ((20 * S, 50 * S),)
    assert [at // S for at in recording.edges["a"]] == [10, 100]
    assert [at // S for at in recording.edges["b"]] == [50, 60]


def test_a_broker_younger_than_the_gap_has_lost_everybody():
    capture = started()
    capture.message(LOG, UP % b"a", 10 * S)
    capture.lost(20 * S)
    capture.connected(50 * S)
    capture.message(UPTIME_TOPIC, b"3 seconds", 50 * S)
    capture.message(LOG, UP % b"a", 55 * S)
    assert spans(capture) == {"a": [10, 20, 55, 100]}


def test_an_end_without_a_connection_is_unknown_to_the_end():
    capture = started()
    capture.message(LOG, UP % b"a", 10 * S)
    capture.lost(70 * S)
    assert capture.finish("here", 100 * S).unknown == ((70 * S, 100 * S),)


def test_a_source_that_was_named_is_the_only_one():
    capture = started(source="link")
    capture.message(LOG, UP % b"a", 10 * S)
    capture.message(*link("b", online=True), 20 * S)
    assert spans(capture) == {"b": [20, 100]}


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("fd/main/d/a/link", b"\xc1"),
        ("fd/main/d/ /link", b""),
        ("fd/main/d/a/link/x", b""),
        (COUNT_TOPIC, b"many"),
        (LOG, b"\xff\xfe"),
        (UPTIME_TOPIC, b""),
    ],
)
def test_nonsense_is_no_presence(topic, payload):
    capture = started()
    capture.message(topic, payload, S)
    with pytest.raises(RecordingError, match="found silence"):
        capture.finish("here", 100 * S)


@pytest.mark.parametrize("payload", [b" " * 12 + b"5", b"0" * 13 + b"5 ", b"5\n"])
def test_a_count_may_stand_anywhere_in_its_payload(payload):
    capture = started()
    capture.message(COUNT_TOPIC, payload, 0)
    assert len(spans(capture)) == 4  # without us


def test_an_uptime_of_very_many_digits_is_a_long_one():
    capture = started()
    capture.message(LOG, UP % b"a", 10 * S)
    capture.lost(20 * S)
    capture.connected(40 * S)
    capture.message(UPTIME_TOPIC, b"9" * 10_000 + b" seconds", 41 * S)
    assert spans(capture)["a"] == [10, 100]
