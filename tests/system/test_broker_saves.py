"""How often the broker saves is a matter of time, and not of what a fleet says.

Each save of mosquitto writes all that it holds and lets nobody speak meanwhile. It once saved every hundred changes:
5,000 devices that answered one command made some seventy saves of 3 to 7 MB. In a turn of its loop mosquitto reads one
packet of each connection, thousands of a fleet's and one of the gateway's, so the gateway's PUBACKs stayed unread
(26,000 of them, seen in the broker's socket), the queue to the gateway counted as full, and answers were dropped (ADR 26).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.adapters.brokers.running import RunningBroker
from gateway.adapters.brokers.settings import AUTOSAVE_S
from tests.chaos.witness import PATIENCE_S, Guest

pytestmark = pytest.mark.mosquitto
MESSAGES = 3_000
CHANGES = 100
SAVING = "Saving in-memory database"


async def saves_during(broker: RunningBroker) -> int:
    """Publish through a session that is kept, to a subscriber that is away; how often it was saved."""
    away = Guest(broker.endpoint, "away", session_expiry_s=60)
    await away.join("news")
    away.leave()
    guest = Guest(broker.endpoint, "speaker", clean=True)
    await guest.join()
    before = _saves(broker.log)
    for number in range(1, MESSAGES + 1):
        guest.port.publish("news", b"said", qos=1, token=number)
    async with asyncio.timeout(PATIENCE_S):
        while len(guest.acked) < MESSAGES:
            guest.news.clear()
            await guest.news.wait()
    guest.leave()
    return _saves(broker.log) - before


def _saves(log: Path | None) -> int:
    assert log is not None
    return log.read_text().count(SAVING)


async def test_thousands_of_messages_are_no_reason_to_save(tmp_path: Path) -> None:
    began = asyncio.get_running_loop().time()
    broker = await start_mosquitto(tmp_path / "broker")
    try:
        saves = await saves_during(broker)
    finally:
        await broker.stop()
    bound = 1 + (asyncio.get_running_loop().time() - began) / AUTOSAVE_S
    assert saves <= bound, f"{MESSAGES} messages: expected {bound:.1f} saves at most, found {saves}"


async def test_asked_to_count_changes_it_does_so(tmp_path: Path) -> None:
    """The control: saves are seen where there are any."""
    broker = await start_mosquitto(tmp_path / "broker", autosave_changes=CHANGES)
    try:
        saves = await saves_during(broker)
    finally:
        await broker.stop()
    assert saves >= 3, f"{MESSAGES} messages, a save each {CHANGES} changes: found {saves}"
