"""The runtime, a real mosquitto and the real agent: updates, crashes, a broker that goes."""

import pytest

from devicesdk.agent.config import AgentConfig, BackoffConfig
from devicesdk.agent.notes import NoteKind
from devicesdk.aio.clock import RealClock
from devicesdk.wire import topics
from devicesdk.wire.messages import UpdatePolicy
from devicesdk.wire.timebase import MS, SECOND
from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.core import rows
from gateway.core import stimuli as hear
from tests_kit.agent_bundles import DEVICE, Bundle, Shortcut, edited
from tests_kit.plant import WALL_START_MS, Plant, wires
from tests_kit.wired_rig import WiredRig

pytestmark = pytest.mark.mosquitto
POLICY = UpdatePolicy(trial_ms=2_000)
SPEED = 20.0
CONFIG = AgentConfig(window_ns=20 * SECOND, backoff=BackoffConfig(cap_ns=10 * SECOND))


@pytest.fixture
async def broker(tmp_path):
    async with await start_mosquitto(tmp_path / "broker") as running:
        yield running


class Scene:
    """A broker, a gateway and a device on one clock."""

    def __init__(self, broker, folder):
        self.clock = RealClock(SPEED, WALL_START_MS)
        self.endpoint = broker.endpoint
        self.old, self.new = Bundle(1, 20_000), Bundle(2, 400_000)
        self.plant = Plant(folder, wires(self.endpoint), self.clock)
        self.rig = WiredRig(
            self.endpoint,
            self.clock,
            self.old,
            self.new,
            factory=self.old,
            config=CONFIG,
            rtt_ns=MS,
        )

    async def begin(self):
        await self.plant.runtime.start()
        await self.plant.publish(self.old, self.new)
        await self.plant.runtime.submit(hear.Enroll(DEVICE, {"region": "eu"}))
        await self.plant.roll_out(self.old, "factory", initial=True)
        self.rig.boot()
        await self.rig.until(lambda: self.rig.haves, "the first report")

    def outcome(self):
        twin = self.plant.runtime.core.twin_view(DEVICE)
        return twin.outcome, twin.running

    async def committed(self):
        await self.rig.until(lambda: self.rig.committed(self.new), "the device to commit")
        expected = "committed", self.new.digest.hex()
        await self.rig.until(lambda: self.outcome() == expected, "the gateway to hear of it")

    async def end(self):
        await self.plant.runtime.stop()
        self.plant.close()
        self.rig.port.abort()


@pytest.fixture
async def scene(broker, tmp_path):
    made = Scene(broker, tmp_path)
    yield made
    await made.end()


async def test_a_device_is_updated_over_a_real_broker(scene):
    await scene.begin()
    await scene.plant.roll_out(scene.new, policy=POLICY)
    await scene.committed()
    counters = scene.plant.runtime.counters
    assert counters.rounds >= 4, counters
    assert not counters.rounds_dropped, counters
    await scene.rig.until(lambda: counters.outbox_rows_now == 0, "the want to be acknowledged")
    (view,) = await scene.plant.runtime.read(lambda core: core.rollout_views())
    assert view.waves[0].committed == 1, view


async def test_a_device_is_updated_by_a_delta_over_a_real_broker(scene):
    await scene.begin()
    plant, rig = scene.plant, scene.rig
    near = Bundle(3, image=edited(scene.old.image, 5_000, 300))
    way = Shortcut(scene.old, near)
    for blob, _ in way.blobs.values():
        plant.blobs.put(blob)
    await plant.publish(near)
    await plant.runtime.submit(hear.RegisterDelta(way.ref))
    scene.new = near
    rig.images[near.digest] = near.variant.image.raw
    await plant.roll_out(near, policy=POLICY)
    await scene.committed()
    fetched = {digest8 for digest8, _ in rig.chunks}
    assert way.ref.blob[:8] in fetched
    assert near.variant.image.raw[:8] not in fetched
    assert rig.notes[NoteKind.DELTA_APPLIED] == 1


async def test_a_gateway_that_crashes_in_the_middle_goes_on_where_it_was(scene):
    await scene.begin()
    await scene.plant.roll_out(scene.new, policy=POLICY)
    image = scene.new.variant.image.raw[:8]

    def arrived():
        return sum(1 for name in scene.rig.chunks if name[0] == image)

    for chunks in (1, 8, 16):
        await scene.rig.until(lambda n=chunks: arrived() >= n, f"{chunks} chunks")
        scene.plant.runtime.crash()
        assert not scene.plant.runtime.running
        await scene.plant.runtime.start()
    await scene.committed()
    assert scene.plant.runtime.counters.starts == 4


async def test_a_broker_that_restarts_is_found_again_and_forgets_nothing_that_matters(
    scene, broker
):
    await scene.begin()
    runtime = scene.plant.runtime
    await broker.stop()
    await scene.rig.until(lambda: not runtime.connected, "the gateway to notice")
    notes = await runtime.submit(hear.Kill("gauge"))
    assert [note.kind for note in notes] == ["kill.set"]
    await scene.plant.roll_out(scene.new, policy=POLICY)
    assert runtime.counters.outbox_rows_now >= 1
    await broker.restart(forget=True)
    await scene.rig.until(lambda: runtime.connected, "the gateway to come back")
    await scene.rig.until(
        lambda: scene.rig.arrived.count(topics.KILL) >= 1, "the kill list to reach the device"
    )
    await scene.rig.until(lambda: runtime.counters.outbox_rows_now == 0, "an empty outbox")
    await runtime.submit(hear.Kill("gauge", alive=True))
    await scene.committed()


async def test_what_was_answered_is_there_after_a_crash_and_the_device_list_is_paged(scene):
    await scene.begin()
    runtime = scene.plant.runtime
    for number in range(7):
        await runtime.submit(hear.Enroll(f"extra-{number}", {"region": "eu"}))
    runtime.crash()
    await runtime.start()
    first = await runtime.page(rows.DEVICE, "", 5)
    rest = await runtime.page(rows.DEVICE, first[-1][0], 5)
    expected = [*(f"extra-{number}" for number in range(7)), DEVICE]
    assert [key for key, _ in first + rest] == expected
