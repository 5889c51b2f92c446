"""Server-sent events are read as a gateway writes them."""

import pytest

from gateway.client import streams
from gateway.client.streams import read_events


def events(text):
    return list(read_events(text.split("\n")))


def test_events_with_ids_and_kinds():
    found = events(
        'retry: 2000\n\nevent: kills\nid: 7\ndata: {"a": 1}\n\n: still here\n\ndata:2\n\n'
    )
    assert found == [("7", "kills", {"a": 1}), ("7", "message", 2)]


def test_an_event_of_several_lines_and_one_that_is_cut_off():
    assert events("id: 1\ndata: [1,\ndata: 2]\n\nevent: x\ndata: 1") == [("1", "message", [1, 2])]


def test_unknown_fields_are_passed_over():
    assert events("colour: red\nnothing\ndata: 1\n\n") == [("", "message", 1)]


def test_what_is_no_json_ends_it():
    with pytest.raises(ValueError, match="expected JSON in an event"):
        events("data: {\n\n")


def test_an_event_has_a_bound(monkeypatch):
    monkeypatch.setattr(streams, "EVENT_CHARS_MAX", 5)
    assert events("data: 12345\n\n") == [("", "message", 12345)]
    with pytest.raises(ValueError, match="at most 5"):
        events("data: 123\ndata: 456\n\n")
