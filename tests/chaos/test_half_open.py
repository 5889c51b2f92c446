"""Connections of which one end is gone without a word: SIGSTOP, and a wire that swallows everything.

The bound is the protocol's: whoever hears nothing for one and a half keep-alives gives up (MQTT 5,
3.1.2.10). Clients add a grace of a quarter second; mosquitto looks through its clients every few
seconds only.
"""

from __future__ import annotations

import asyncio

import pytest

from devicesdk.aio.lean_vigil import GRACE_S, SILENT_KEEPALIVES
from gateway.runtime import verbs
from tests.chaos.book import LAMP
from tests.chaos.plant import KEEPALIVE_S, PATIENCE_S, Plant
from tests.chaos.relay import Wire

pytestmark = pytest.mark.mosquitto
DEVICES = 3
DEVICE_KEEPALIVE_S = 2
MACHINE_GRACE_S = 10.0
"""What a machine with far more work than processors may add: each end is a process of its own. That it is one and
a half keep-alives to the millisecond is told in test_lean_vigil.py; found here is that somebody gives up at all,
whom TCP alone would keep waiting for a quarter of an hour."""
MOSQUITTO_GRACE_S = 5.0
CLIENT, BROKER = "client", "broker"


@pytest.fixture
async def plant(tmp_path):
    made = Plant(tmp_path, 1e9, {"keepalive_ns": DEVICE_KEEPALIVE_S * 1_000_000_000})
    try:
        await made.open(DEVICES, persistence=True, autosave_changes=1)
        await online(made)
        yield made
    finally:
        await made.close()


async def online(plant):
    async def look():
        return all([(await plant.twin(device.name))["online"] for device in plant.devices])

    await plant.until("all devices to be online", look)


def bound_s(keepalive_s, grace_s):
    return SILENT_KEEPALIVES * keepalive_s + GRACE_S + MACHINE_GRACE_S + grace_s


def ended_s(wire: Wire, end: str) -> float | None:
    return wire.client_ended_s if end == CLIENT else wire.broker_ended_s


async def found(plant, wires, end, since_s, most_s, who):
    """Wait until one end of all `wires` went; demand that it took at most `most_s`."""

    async def look():
        return all(ended_s(wire, end) is not None for wire in wires)

    await plant.until(f"the {end} ends of {len(wires)} wires of {who} to go", look)
    took_s = max(ended_s(wire, end) for wire in wires) - since_s
    assert took_s <= most_s, (
        f"expected the {end} end of {who} to be given up within {most_s:.2f} s of silence, found that "
        f"it took {took_s:.2f} s\n{plant.tails()}"
    )
    return took_s


async def lamp_obeyed(plant):
    """Wait until every device has obeyed the newest kill list."""

    async def look():
        version = (await plant.fleet())["kill_version"]
        return all(device.kill_version() >= version for device in plant.devices)

    await plant.until("all devices to obey the kill list", look)


async def test_a_broker_that_stands_still_is_found_by_gateway_and_devices(plant):
    loop = asyncio.get_running_loop()
    wires = {device.name: device.relay.open_wires() for device in plant.devices}
    both = plant.gateway_relay.open_wires()
    assert [len(w) for w in wires.values()] == [1] * DEVICES, wires
    assert len(both) == 2, "expected the gateway's two connections"
    plant.broker.freeze()
    since_s = loop.time()
    await plant.insist(verbs.Kill(feature=LAMP))  # while nobody can be told
    for name, own in wires.items():
        await found(plant, own, CLIENT, since_s, bound_s(DEVICE_KEEPALIVE_S, 0), name)
    await found(plant, both, CLIENT, since_s, bound_s(KEEPALIVE_S, 0), "the gateway")
    plant.broker.thaw()
    await online(plant)
    await lamp_obeyed(plant)


async def test_a_device_that_stands_still_is_found_by_the_broker_and_comes_back(plant):
    loop = asyncio.get_running_loop()
    frozen = plant.devices[0]
    wires = frozen.relay.open_wires()
    frozen.process.freeze()
    since_s = loop.time()
    most_s = bound_s(DEVICE_KEEPALIVE_S, MOSQUITTO_GRACE_S)
    await found(plant, wires, BROKER, since_s, most_s, frozen.name)

    async def told():
        return not (await plant.twin(frozen.name))["online"]

    await plant.until("the gateway to hear the will", told)
    await plant.insist(verbs.Kill(feature=LAMP))  # while it cannot hear
    frozen.process.thaw()
    await online(plant)
    await lamp_obeyed(plant)


@pytest.mark.slow
async def test_a_black_hole_is_found_by_both_ends(plant):
    loop = asyncio.get_running_loop()
    lost = plant.devices[0]
    own, both = lost.relay.open_wires(), plant.gateway_relay.open_wires()
    assert len(own) == 1, own
    assert len(both) == 2, both
    lost.relay.blacken()
    plant.gateway_relay.blacken()
    since_s = loop.time()
    await plant.insist(verbs.Kill(feature=LAMP))
    await found(plant, own, CLIENT, since_s, bound_s(DEVICE_KEEPALIVE_S, 0), lost.name)
    await found(plant, both, CLIENT, since_s, bound_s(KEEPALIVE_S, 0), "the gateway")
    grace_s = MOSQUITTO_GRACE_S
    await found(plant, own, BROKER, since_s, bound_s(DEVICE_KEEPALIVE_S, grace_s), lost.name)
    await found(plant, both, BROKER, since_s, bound_s(KEEPALIVE_S, grace_s), "the gateway")
    lost.relay.heal()
    plant.gateway_relay.heal()
    await online(plant)
    await lamp_obeyed(plant)
    assert bound_s(KEEPALIVE_S, grace_s) < PATIENCE_S, "the bound would never be reached"
