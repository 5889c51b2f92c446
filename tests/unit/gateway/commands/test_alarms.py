"""How a list of alarms reads."""

import json

from typer.testing import CliRunner

from gateway.commands.alarms import alarm_app
from tests_kit.scripted_http import Scripted, answer


def alarm(number, severity, says):
    return {
        "id": number, "severity": severity, "state": "raised", "says": says, "silent_until_ms": 0,
        "raised_ms": 1_700_000_000_000 + number,
    }  # fmt: skip


NEWEST_FIRST = [alarm(9, "warning", "newest"), alarm(7, "critical", "new"), alarm(5, "warning", "older"),
                alarm(3, "critical", "old")]  # fmt: skip
PAGE = answer({"alarms": NEWEST_FIRST, "counts": {}, "next": None})


def say(*words):
    with Scripted(PAGE) as peer:
        env = {"FLEETDRILL_URL": peer.url, "FLEETDRILL_TOKEN": "t"}
        done = CliRunner().invoke(alarm_app, words, env=env)
    assert done.exit_code == 0, done.output
    return done.output


def order(said):
    return [line.split()[-1] for line in said.splitlines()]


def test_of_open_alarms_the_critical_ones_come_first():
    assert order(say("list")) == ["new", "old", "newest", "older"]


def test_of_all_alarms_the_newest_come_first():
    assert order(say("list", "--all")) == ["newest", "new", "older", "old"]


def test_a_program_gets_the_page_as_it_came():
    assert [one["id"] for one in json.loads(say("list", "--json"))["alarms"]] == [9, 7, 5, 3]
