from __future__ import annotations

from array import array

import pytest

from devicesim.recordings.intervals import Builder, Recording, RecordingError

S = 10**9


def seconds(recording):
    return {device: [at / S for at in edges] for device, edges in recording.edges.items()}


def test_sessions_that_touch_or_overlap_are_one():
    builder = Builder()
    for up, down in ((10, 20), (15, 30), (30, 40), (50, 60)):
        builder.interval("a", up * S, down * S)
    assert seconds(builder.finish()) == {"a": [0, 30, 40, 50]}


def test_open_ends_reach_to_the_ends_of_the_recording():
    builder = Builder()
    builder.interval("a", None, 20 * S)
    builder.interval("b", 30 * S, None)
    builder.interval("c", 10 * S, 10 * S)
    recording = builder.finish(start=0, end=40 * S)
    assert seconds(recording) == {"a": [0, 20], "b": [30, 40], "c": []}
    assert recording.sessions == 2


def test_a_cut_moves_what_is_in_it_to_its_start():
    edges = {"a": array("q", [0, 10 * S, 20 * S, 30 * S]), "b": array("q", [0, 5 * S])}
    whole = Recording(1_000 * S, 40 * S, edges, unknown=((0, 8 * S), (35 * S, 36 * S)))
    part = whole.cut(6 * S, 25 * S)
    assert (part.start_unix_ns, part.length_ns) == (1_006 * S, 19 * S)
    assert seconds(part) == {"a": [0, 4, 14, 19], "b": []}
    assert part.unknown == ((0, 2 * S),)


def test_a_cut_of_nothing_says_how_long_the_recording_is():
    whole = Recording(0, 40 * S, {"a": array("q", [0, S])})
    with pytest.raises(RecordingError, match="lasts 40 s, found 50 s to 40 s"):
        whole.cut(50 * S, 60 * S)


def test_nothing_is_no_recording():
    with pytest.raises(RecordingError, match="found 0 devices"):
        Builder().finish()


def test_a_little_disorder_is_not_a_clock_that_was_set():
    builder = Builder()
    builder.up("a", builder.moment(100 * S))
    builder.down("a", builder.moment(99 * S))
    assert builder.setbacks == 0
    builder.up("a", builder.moment(50 * S))
    builder.down("a", builder.moment(60 * S))
    assert seconds(builder.finish()) == {"a": [0, 10]}
    assert builder.setbacks == 1
