"""The in-memory broker and mosquitto 2.0.11 tell each client the same things in the same order.

Each script is played on both, on mosquitto through two client libraries that share no code; `expect`
is what all must have told. Where the brokers differ, the script says so under `mosquitto`, with the
paragraph of MQTT 5 that decides or allows it (https://docs.oasis-open.org/mqtt/mqtt/v5.0/); the
in-memory broker keeps to MQTT.
"""

from __future__ import annotations

import pytest

from tests.contract import scripts_of_messages, scripts_of_sessions  # noqa: F401 - fill the tables
from tests.contract.hand_script import RESTARTS, TABLE, HandScript


def by_name(case: HandScript) -> str:
    return case.name


def check(case: HandScript, logs: dict[str, list[str]], where: str, expect: dict) -> None:
    for client, lines in expect.items():
        assert logs[client] == lines, (
            f"{case.name}: on {where}, {client} was told {logs[client]}, expected {lines}"
        )


@pytest.mark.parametrize("case", TABLE + RESTARTS, ids=by_name)
def test_in_memory(case: HandScript, in_memory) -> None:
    check(case, in_memory(case.play), "the in-memory broker", case.expect)


@pytest.mark.mosquitto
@pytest.mark.parametrize("library", ["paho", "codec"])
@pytest.mark.parametrize("case", TABLE, ids=by_name)
def test_on_mosquitto(case: HandScript, library: str, on_mosquitto) -> None:
    result = on_mosquitto([each.play for each in TABLE])[library, by_name(case)]
    if isinstance(result, Exception):
        raise result
    check(case, result, f"mosquitto, by {library}", {**case.expect, **case.mosquitto})


@pytest.mark.mosquitto
@pytest.mark.parametrize("library", ["paho", "codec"])
@pytest.mark.parametrize("case", RESTARTS, ids=by_name)
def test_on_a_restarted_mosquitto(case: HandScript, library: str, on_own_mosquitto) -> None:
    result = on_own_mosquitto(case.play, library)
    if isinstance(result, Exception):
        raise result
    check(case, result, f"mosquitto, by {library}", {**case.expect, **case.mosquitto})


@pytest.mark.parametrize(
    "case", [c for c in TABLE + RESTARTS if c.mosquitto or c.because], ids=by_name
)
def test_every_difference_names_its_paragraph(case: HandScript) -> None:
    assert case.because[0].isdigit(), f"{case.name} differs from mosquitto and does not say why"
    assert all(case.expect[client] != lines for client, lines in case.mosquitto.items())
