"""What must hold after every round, whoever was killed in it.

Decides what "agree", "lost", "fetched again" and "bricked" mean. Each check raises an `AssertionError`
that says what was expected and what was found.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

from devicesdk.wire import codec, topics
from devicesdk.wire.limits import REFETCH_AFTER_POWER_CUT_BYTES_MAX
from devicesdk.wire.messages import Control, ControlVerb, Have, Telemetry
from devicesdk.wire.topics import Topics
from tests.chaos.book import FLAG, LAMP, SEGMENT, Book
from tests.chaos.bundles import Published
from tests.chaos.plant import PATIENCE_S, Device, Plant
from tests.chaos.remains import Remains, taken_up
from tests.chaos.witness import Guest

NAMES = Topics()


async def agreement(plant: Plant, device: Device, wanted: Published, book: Book) -> list[str]:
    """In what the gateway, its twin and the device still differ; empty when they agree."""
    twin, shown, fleet = await plant.twin(device.name), device.shown(), await plant.fleet()
    slot = shown["slots"].get(shown["committed"]) or {}
    digest = wanted.digest.hex()
    values: list[tuple[str, Any, Any]] = [
        ("digest wanted by the twin", digest, twin["wanted"]),
        ("digest the twin believes to run", digest, twin["running"]),
        ("digest in the committed slot", digest, slot.get("manifest")),
        ("slot that runs", shown["committed"], shown["runs"]),
        ("the twin's state", "committed", twin["state"]),
        ("the twin's outcome", "committed", twin["outcome"]),
        ("generation the twin saw", twin["generation"], twin["seen_generation"]),
        ("generation of the device", twin["generation"], shown["update"]["generation"]),
        ("boot", twin["boot_id"], shown["boot"]),
        ("flags rev of the twin", fleet["flags_revs"].get(SEGMENT, 0), twin["flags_rev"]),
        ("flags rev of the device", fleet["flags_revs"].get(SEGMENT, 0), shown["flags_rev"]),
        ("kill version of the twin", fleet["kill_version"], twin["kill_version"]),
        ("kill version of the device", fleet["kill_version"], shown["kill_version"]),
        ("killed on the device", [] if book.lamp_alive else [LAMP], shown["killed"]),
        ("online", True, twin["online"]),
    ]
    if book.flag:
        flag = device.flags().get(FLAG, {}).get("variants", {}).get("n")
        values.append((f"flag {FLAG} on the device", book.flag, flag))
    return [
        f"{device.name}: {what}: expected {expected}, found {found}"
        for what, expected, found in values
        if expected != found
    ]


async def all_agree(plant: Plant, wanted: Published, book: Book) -> None:
    """Wait until twins and devices agree."""
    differences: list[str] = []

    async def look() -> bool:
        differences[:] = [
            line
            for device in plant.devices
            for line in await agreement(plant, device, wanted, book)
        ]
        return not differences

    try:
        await plant.until("twins and devices to agree", look)
    except AssertionError as error:
        raise AssertionError(f"{error}:\n  " + "\n  ".join(differences)) from None


def little_fetched_again(
    plant: Plant, wanted: Published, bereft: set[str], left: dict[str, Remains]
) -> None:
    """Demand that a kill cost a device at most 64 KiB, and one that felt none nothing.

    Args:
        plant: open.
        wanted: what was rolled out.
        bereft: devices that lived while the broker or the gateway was killed.
        left: what devices left that were killed themselves.
    """
    for device in plant.devices:
        assert not device.relay.deaf, f"{device.name}: not all was counted: {device.relay.deaf}"
        again, mine = device.relay.fetched_again_bytes(wanted.image), left.get(device.name)
        if mine is not None:
            twice = device.relay.again_in_one_life_bytes(wanted.image)
            assert not twice, f"one life of {device.name} fetched {twice} bytes more than once"
            taken_up(device, wanted, mine)
            again = mine.forgotten_bytes
        most = REFETCH_AFTER_POWER_CUT_BYTES_MAX if mine or device.name in bereft else 0
        assert again <= most, (
            f"{device.name} fetched {again} bytes of the image of {wanted.name} again, allowed were {most}"
        )


def whole(device: Device, wanted: Published) -> None:
    """Demand that the image in the committed slot is the right one, byte for byte."""
    shown = device.shown()
    on_disk = (device.state / f"slot-{shown['committed']}").read_bytes()[: wanted.image_bytes]
    assert sha256(on_disk).digest() == wanted.image, (
        f"{device.name} committed slot {shown['committed']}, which does not hold {wanted.name}"
    )


ASK_EVERY_S = 5.0


class Marks:
    """What may only grow on a device: its boot number and its committed generation."""

    def __init__(self) -> None:
        self._boots: dict[str, int] = {}
        self._generations: dict[str, int] = {}
        self._kills: dict[str, int] = {}

    def look(self, device: Device, starts: int) -> None:
        """Demand that nothing went back since the last look, and that each start was counted."""
        shown = device.shown()
        for what, marks, found in (
            ("boot", self._boots, shown["boot"]),
            ("generation", self._generations, shown["update"]["generation"]),
            ("kill version", self._kills, shown["kill_version"]),
        ):
            before = marks.get(device.name, 0)
            assert found >= before, f"{device.name}: {what} went back from {before} to {found}"
            marks[device.name] = found
        assert shown["boot"] == starts, (
            f"{device.name} was started {starts} times and counts {shown['boot']} boots"
        )


async def all_answer(plant: Plant, wanted: Published) -> None:
    """Demand that every device answers a question and runs frames of the wanted release."""
    guest, mute, idle = Guest(plant.broker.endpoint, "asker", clean=True), set(), set()
    for device in plant.devices:
        mute.add(device.name)
        idle.add(device.name)

    def heard(message: Any) -> None:
        kind, name = NAMES.parse(message.topic)
        if kind == topics.HAVE and not message.retain:
            have = codec.decode(Have, message.payload)
            if have.running == wanted.digest:
                mute.discard(name)
        elif kind == topics.TEL:
            window = codec.decode(Telemetry, message.payload)
            if window.frames and window.bundle == wanted.digest[:8]:
                idle.discard(name)

    guest.heard = heard
    await guest.join(NAMES.every_device(topics.HAVE), NAMES.every_device(topics.TEL))
    question = codec.encode(Control(verb=ControlVerb.REPORT))
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    while (mute or idle) and loop.time() < until:
        for name in sorted(mute):  # QoS 0: one that is just connecting does not hear it
            guest.port.publish(NAMES.device(name, topics.CTL), question)
        ask_again = loop.time() + ASK_EVERY_S
        while (mute or idle) and loop.time() < ask_again:  # noqa: ASYNC110 - looked at, not awaited
            await asyncio.sleep(0.05)
    guest.leave()
    assert not mute, f"expected an answer of every device, found none of {sorted(mute)}"
    assert not idle, f"expected frames of {wanted.name} from every device, none of {sorted(idle)}"
