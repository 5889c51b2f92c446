"""Connections of which one end is gone without a word: SIGSTOP, and a wire that swallows everything.

The bound is the protocol's: whoever hears nothing for one and a half keep-alives gives up (MQTT 5,
3.1.2.10). Clients add a grace of a quarter second; mosquitto looks through its clients every few
seconds only. What the machine itself was late, as this process saw it, is added to the bound.
"""

from __future__ import annotations

import asyncio

import pytest

from devicesdk.aio.lean_vigil import GRACE_S, SILENT_KEEPALIVES
from gateway.runtime import verbs
from tests.chaos.book import LAMP
from tests.chaos.plant import KEEPALIVE_S, PATIENCE_S, Plant
from tests.chaos.relay import Wire
from tests_kit.lateness import measured

pytestmark = pytest.mark.mosquitto
DEVICES = 3
DEVICE_KEEPALIVE_S = 2
MACHINE_GRACE_S = 1.0
"""For the relay and the looks of three processes; a machine that was later than that says so itself (lateness.py),
and that much is forgiven for each of the two processes between an instant and its stamp."""
PROCESSES = 2
FORGIVEN_S_MAX = 2.0
MOSQUITTO_GRACE_S = 5.0
CLIENT, BROKER = "client", "broker"


@pytest.fixture
async def late():
    async with measured() as lateness:
        yield lateness


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


async def found(plant, late, wires, end, since_s, most_s, who):
    """Wait until one end of all `wires` went; demand that it took at most `most_s`, and what the machine took."""
    ended_late_s = None

    async def look():
        nonlocal ended_late_s
        ended_late_s = late.late_s
        return all(ended_s(wire, end) is not None for wire in wires)

    await plant.until(f"the {end} ends of {len(wires)} wires of {who} to go", look)
    took_s, machine_s = (
        max(ended_s(wire, end) for wire in wires) - since_s,
        PROCESSES * ended_late_s,
    )
    story = f"the {end} end of {who} was given up after {took_s:.2f} s of silence"
    print(f"{story}; the bound is {most_s:.2f} s, and {machine_s:.2f} s for the machine")
    if took_s > most_s and machine_s > FORGIVEN_S_MAX:
        pytest.skip(f"{story}, and the machine was {machine_s:.2f} s late: too busy to tell")
    assert took_s <= most_s + machine_s, (
        f"{story}, expected at most {most_s:.2f} s, and {machine_s:.2f} s by which the machine was late\n"
        f"{plant.tails()}"
    )


async def lamp_obeyed(plant):
    """Wait until every device has obeyed the newest kill list."""

    async def look():
        version = (await plant.fleet())["kill_version"]
        return all(device.kill_version() >= version for device in plant.devices)

    await plant.until("all devices to obey the kill list", look)


async def test_a_broker_that_stands_still_is_found_by_gateway_and_devices(plant, late):
    loop = asyncio.get_running_loop()
    wires = {device.name: device.relay.open_wires() for device in plant.devices}
    both = plant.gateway_relay.open_wires()
    assert [len(w) for w in wires.values()] == [1] * DEVICES, wires
    assert len(both) == 2, "expected the gateway's two connections"
    plant.broker.freeze()
    since_s, late.late_s = loop.time(), 0.0
    await plant.insist(verbs.Kill(feature=LAMP))  # while nobody can be told
    for name, own in wires.items():
        await found(plant, late, own, CLIENT, since_s, bound_s(DEVICE_KEEPALIVE_S, 0), name)
    await found(plant, late, both, CLIENT, since_s, bound_s(KEEPALIVE_S, 0), "the gateway")
    plant.broker.thaw()
    await online(plant)
    await lamp_obeyed(plant)


async def test_a_device_that_stands_still_is_found_by_the_broker_and_comes_back(plant, late):
    loop = asyncio.get_running_loop()
    frozen = plant.devices[0]
    wires = frozen.relay.open_wires()
    frozen.process.freeze()
    since_s, late.late_s = loop.time(), 0.0
    most_s = bound_s(DEVICE_KEEPALIVE_S, MOSQUITTO_GRACE_S)
    await found(plant, late, wires, BROKER, since_s, most_s, frozen.name)

    async def told():
        return not (await plant.twin(frozen.name))["online"]

    await plant.until("the gateway to hear the will", told)
    await plant.insist(verbs.Kill(feature=LAMP))  # while it cannot hear
    frozen.process.thaw()
    await online(plant)
    await lamp_obeyed(plant)


@pytest.mark.slow
async def test_a_black_hole_is_found_by_both_ends(plant, late):
    loop = asyncio.get_running_loop()
    lost = plant.devices[0]
    own, both = lost.relay.open_wires(), plant.gateway_relay.open_wires()
    assert len(own) == 1, own
    assert len(both) == 2, both
    lost.relay.blacken()
    plant.gateway_relay.blacken()
    since_s, late.late_s = loop.time(), 0.0
    await plant.insist(verbs.Kill(feature=LAMP))
    await found(plant, late, own, CLIENT, since_s, bound_s(DEVICE_KEEPALIVE_S, 0), lost.name)
    await found(plant, late, both, CLIENT, since_s, bound_s(KEEPALIVE_S, 0), "the gateway")
    grace_s = MOSQUITTO_GRACE_S
    await found(plant, late, own, BROKER, since_s, bound_s(DEVICE_KEEPALIVE_S, grace_s), lost.name)
    await found(plant, late, both, BROKER, since_s, bound_s(KEEPALIVE_S, grace_s), "the gateway")
    lost.relay.heal()
    plant.gateway_relay.heal()
    await online(plant)
    await lamp_obeyed(plant)
    assert bound_s(KEEPALIVE_S, grace_s) < PATIENCE_S, "the bound would never be reached"
