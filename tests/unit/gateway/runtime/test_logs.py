"""A line an event, that nothing a device says can forge."""

import io
import json
import logging

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


def test_what_others_in_the_process_say_has_the_same_form_on_one_line(stream):
    handler = logs.to_stream(as_json=False, stream=stream)
    root, adapters = logging.getLogger(), logging.getLogger("gateway")
    before = adapters.level
    logs.whole_process(handler)
    try:
        logging.getLogger("gateway.adapters.brokers.find").info("broker: %s", "x")
        logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: y")
        logging.getLogger("sqlalchemy.engine").info("SELECT 1")
        logs.say(20, "connected", plane="data")
    finally:
        root.removeHandler(handler)
        adapters.setLevel(before)
    said = [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()]
    assert said == [
        "INFO broker: x",
        "ERROR Task exception was never retrieved\\nfuture: y",
        "INFO connected plane=data",
    ]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "sign", ["\n", "\r", "\r\n", "\x1b[2J", "\x00", "\x85", "\u2028", "\u202e"]
)
def test_no_sign_forges_a_line_or_commands_a_terminal(stream, as_json, sign):
    logs.to_stream(as_json=as_json, stream=stream)
    forged = f"x{sign}2026-11-21T10:00:00.000Z INFO connected plane=data"
    logs.say(30, "told", by=forged)
    logs.LOGGER.warning(forged)  # another library says what it heard
    lines = stream.getvalue().split("\n")
    assert [bool(line) for line in lines] == [True, True, False]
    assert all(line.isprintable() for line in lines)


def test_nobody_makes_a_line_long_by_calling_it_a_traceback(stream):
    logs.to_stream(as_json=False, stream=stream)
    logs.say(30, "told", by="Traceback " + "x" * 100_000)
    assert len(stream.getvalue()) < 500
