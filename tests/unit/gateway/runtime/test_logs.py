"""A line an event, that nothing a device says can forge."""

import io
import json

import pytest

from gateway.runtime import logs


@pytest.fixture
def stream():
    before = logs.LOGGER.handlers[:], logs.LOGGER.propagate, logs.LOGGER.level
    yield io.StringIO()
    logs.LOGGER.handlers[:], logs.LOGGER.propagate = before[:2]
    logs.LOGGER.setLevel(before[2])


def test_key_value_lines_quote_what_needs_it(stream):
    logs.to_stream(as_json=False, stream=stream)
    logs.say(20, "connected", plane="data", reason="it\nis=off", count=3)
    (line,) = stream.getvalue().splitlines()
    assert line.endswith('INFO connected plane=data reason="it\\nis=off" count=3')


def test_json_lines_hold_the_same(stream):
    logs.to_stream(as_json=True, stream=stream)
    logs.say(30, "round dropped", device="a b", seq=1, why=None)
    found = json.loads(stream.getvalue())
    assert found.pop("at").endswith("Z")
    assert found == {
        "level": "WARNING", "event": "round dropped", "device": "a b", "seq": 1, "why": None,
    }  # fmt: skip


def test_long_values_are_cut_and_levels_kept(stream):
    logs.to_stream(as_json=False, level="INFO", stream=stream)
    logs.say(10, "unheard")
    logs.say(20, "long", value="x" * 5000)
    assert len(stream.getvalue()) < 500
    assert "unheard" not in stream.getvalue()


def test_a_traceback_stays_on_the_line(stream):
    logs.to_stream(as_json=False, stream=stream)
    try:
        {}["lost"]
    except KeyError:
        logs.LOGGER.critical("failed", exc_info=True)
    (line,) = stream.getvalue().splitlines()
    assert "KeyError: 'lost'" in line
