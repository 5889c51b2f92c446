"""Asks over a real mosquitto: a real device process, the real gateway runtime, ONNX Runtime at both ends."""

import msgspec
import pytest

from devicesdk.aio.clock import RealClock
from devicesdk.wire.messages import UpdatePolicy
from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.core import stimuli as hear
from tests_kit.device_stage import DEVICE, Device, GaugeBundle, gauge_image, kit_digest
from tests_kit.plant import WALL_START_MS, Plant, wires

pytestmark = pytest.mark.mosquitto
BUNDLE = GaugeBundle(gauge_image(), 1, kit_digest())
POLICY = {
    "rules": [
        {"name": "ask", "when": {"link": ["unmetered"]}, "use": {"path": "offload"}},
        {"name": "otherwise"},
    ],
    "offload": {"timeout_ms": 2_000, "pause_s": 1},
}
ASKS = "note=asked"
READS = "note=ask_failed"


def flag(name, value):
    definition = {"state": "ENABLED", "variants": {"v": value}, "defaultVariant": "v"}
    return hear.SetFlag("all", name, msgspec.json.encode(definition).decode())


@pytest.fixture
async def plant(tmp_path):
    async with await start_mosquitto(tmp_path / "broker") as broker:
        (tmp_path / "gateway").mkdir()
        made = Plant(tmp_path / "gateway", wires(broker.endpoint), RealClock(1.0, WALL_START_MS))
        await made.runtime.start()
        made.port = broker.endpoint.port
        yield made
        await made.runtime.stop()
        made.close()


async def run_here(plant):
    """Let the device have its bundle and its policy."""
    await plant.publish(BUNDLE)
    await plant.runtime.submit(hear.Enroll(DEVICE, {"region": "eu"}))
    await plant.roll_out(BUNDLE, policy=UpdatePolicy(trial_ms=1_000))
    await plant.runtime.submit(flag("policy", POLICY))
    await plant.runtime.submit(flag("offload", True))


def served(plant):
    return plant.runtime.core.offload.served_frames


async def test_a_device_asks_the_gateway_and_reads_by_itself_when_it_is_gone(tmp_path, plant):
    with Device(tmp_path, plant.port, offload_consent=True) as device:
        device.start()
        await run_here(plant)
        await plant.until(lambda: served(plant) >= 4, "frames that the gateway ran")
        await plant.until(lambda: device.log.count("note=answered") >= 2, "answers")
        plant.runtime.crash()
        await plant.until(lambda: READS in device.log, "the device to read by itself")
        await plant.runtime.start()
        before = device.log.count("note=answered")
        await plant.until(
            lambda: device.log.count("note=answered") > before, "answers of a new gateway"
        )
        twin = plant.runtime.core.twin_view(DEVICE)
        assert twin.outcome == "committed"
        assert device.terminate() == 0


async def test_without_consent_nothing_is_asked(tmp_path, plant):
    with Device(tmp_path, plant.port) as device:
        device.start()
        await run_here(plant)
        await plant.until(lambda: device.log.count("note=rule_chosen") >= 1, "a decision")
        counters = plant.runtime.counters.messages_in
        have = counters.get("tel", 0)
        await plant.until(lambda: counters.get("tel", 0) >= have + 2, "two windows")
        assert ASKS not in device.log
        assert "ask" not in counters
        assert device.terminate() == 0
