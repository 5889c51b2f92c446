"""A broker that comes back with the state of a while ago: sessions are there, what came later is not.

That is what mosquitto does after kill -9 with any `autosave_interval` above 1 change, or by time: it has acknowledged more
than it has saved. Nobody tells the gateway: its session is present.
"""

from __future__ import annotations

import shutil

import pytest

from gateway.runtime import verbs
from tests.chaos.book import LAMP
from tests.chaos.bundles import release
from tests.chaos.plant import Plant

pytestmark = pytest.mark.mosquitto
SAVED = 10_000
"""Changes between saves: more than this test makes, so that nothing is saved but by a polite stop."""


@pytest.fixture
async def plant(tmp_path):
    made = Plant(tmp_path, 1e9)
    try:
        await made.open(2, persistence=True, autosave_changes=SAVED)
        await all_online(made)
        yield made
    finally:
        await made.close()


async def all_online(plant, *, online=2):
    async def look():
        return (await plant.fleet())["online"] == online

    await plant.until(f"{online} devices to be online", look)


async def broker_goes_back(plant, saved):
    """kill -9, and what was on the disk at `saved` is all that is left."""
    plant.broker.kill()
    shutil.copy(saved, plant.folder / "broker" / "mosquitto.db")
    await plant.broker.restart()

    async def connected():
        return (await plant.insist(verbs.Overview()))["connected"]

    await plant.until("the gateway to be connected again", connected)


async def save(plant):
    """Stop the broker politely, which saves, and start it again; returns a copy of the file."""
    await plant.broker.restart()
    copy = plant.folder / "saved.db"
    shutil.copy(plant.folder / "broker" / "mosquitto.db", copy)
    await all_online(plant)
    return copy


async def taken(plant):
    """Wait until the broker has acknowledged everything that the gateway decided."""

    async def look():
        return not (await plant.fleet())["outbox_rows"]

    await plant.until("an empty outbox", look)


async def test_a_kill_that_the_broker_took_and_forgot_reaches_a_device_that_was_away(plant):
    saved, away = await save(plant), plant.devices[0]
    away.process.kill()
    await plant.insist(verbs.Kill(feature=LAMP))
    await taken(plant)
    await broker_goes_back(plant, saved)
    away.process.start()
    version = (await plant.fleet())["kill_version"]

    async def obeyed():
        return away.kill_version() >= version

    await plant.until(f"{away.name} to obey version {version} of the kill list", obeyed)


@pytest.mark.slow
async def test_a_want_that_the_broker_took_and_forgot_reaches_a_device_that_was_away(plant):
    saved, away = await save(plant), plant.devices[0]
    away.process.kill()
    made = release(1, plant.signer, 0)
    await plant.publish(made)
    await plant.roll_out("r1", made.name, (1.0,))
    await taken(plant)
    await broker_goes_back(plant, saved)
    away.process.start()

    async def completed():
        return (await plant.rollout("r1"))["state"] == "completed"

    await plant.until("the rollout to complete", completed)
