"""Inference is killed while a device is dead: it must not run a single frame when it comes back."""

from __future__ import annotations

import asyncio

import pytest

from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Telemetry
from gateway.runtime import verbs
from tests.chaos.bundles import release
from tests.chaos.checks import NAMES
from tests.chaos.plant import Plant
from tests.chaos.witness import Guest

pytestmark = [pytest.mark.mosquitto, pytest.mark.slow]
FEATURE = "gauge"
SECOND_BOOT = 2
WATCHED_S = 4.0
"""Four windows: a device that ran would have said so."""


@pytest.fixture
async def plant(tmp_path):
    made = Plant(tmp_path, 1e9)
    try:
        await made.open(1, persistence=True)
        yield made
    finally:
        await made.close()


async def test_a_device_that_was_dead_obeys_a_kill_before_its_first_inference(plant):
    (device,), frames = plant.devices, {}
    guest = Guest(plant.broker.endpoint, "counter", clean=True)

    def heard(message):
        window = codec.decode(Telemetry, message.payload)
        frames[window.boot_id] = frames.get(window.boot_id, 0) + window.frames

    guest.heard = heard
    await guest.join(NAMES.every_device(topics.TEL))
    made = release(1, plant.signer, 0)
    await plant.publish(made)
    await plant.roll_out("r1", made.name, (1.0,))

    async def runs():
        return device.process.starts in frames and frames[device.process.starts] > 0

    await plant.until("frames of the first boot", runs)
    device.process.kill()
    await plant.insist(verbs.Kill(feature=FEATURE))
    version = (await plant.fleet())["kill_version"]
    device.process.start()

    async def obeyed():
        return device.kill_version() >= version

    await plant.until("the device to obey the kill list", obeyed)
    await asyncio.sleep(WATCHED_S)
    ran = frames.get(SECOND_BOOT, 0)
    assert not ran, f"inference was killed, and the device ran {ran} frames\n{plant.tails()}"
    await plant.insist(verbs.Kill(feature=FEATURE, alive=True))
    await plant.until("frames after the revival", runs)
    guest.leave()
