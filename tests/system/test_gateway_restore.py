"""A gateway that goes back to a backup, a real mosquitto and the real agent: what the device makes of it."""

import pytest

from devicesdk.agent.config import AgentConfig, BackoffConfig
from devicesdk.aio.clock import RealClock
from devicesdk.wire.messages import UpdatePolicy
from devicesdk.wire.timebase import MS, SECOND
from gateway.adapters.backup import make_backup
from gateway.adapters.brokers.mosquitto import start_mosquitto
from gateway.adapters.restore import restore_backup
from gateway.adapters.storage import sqlite_url
from gateway.core import stimuli as hear
from tests_kit.agent_bundles import DEVICE, Bundle
from tests_kit.keeping import silent
from tests_kit.plant import WALL_START_MS, Plant, wires
from tests_kit.wired_rig import WiredRig

pytestmark = pytest.mark.mosquitto
POLICY = UpdatePolicy(trial_ms=2_000)
CONFIG = AgentConfig(window_ns=20 * SECOND, backoff=BackoffConfig(cap_ns=10 * SECOND))
FLAG = '{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}'
OTHER = '{"state":"DISABLED","variants":{"on":true},"defaultVariant":"on"}'


class Scene:
    """A broker and a device that stay, and a gateway that does not."""

    def __init__(self, broker, folder):
        self.clock = RealClock(20.0, WALL_START_MS)
        self.endpoint, self.folder = broker.endpoint, folder
        self.bundles = [Bundle(1, 20_000), Bundle(2, 30_000), Bundle(3, 40_000)]
        self.plant = Plant(folder / "one", wires(self.endpoint), self.clock)
        self.rig = WiredRig(
            self.endpoint, self.clock, *self.bundles, factory=self.bundles[0], config=CONFIG,
            rtt_ns=MS,
        )  # fmt: skip

    async def begin(self):
        await self.plant.runtime.start()
        await self.plant.publish(*self.bundles)
        await self.ask(hear.Enroll(DEVICE, {"region": "eu"}))
        await self.plant.roll_out(self.bundles[0], "factory", initial=True)
        self.rig.boot()
        await self.rig.until(lambda: self.rig.haves, "the first report")

    async def ask(self, *stimuli):
        for stimulus in stimuli:
            await self.plant.runtime.submit(stimulus)

    async def update(self, name, number):
        bundle = self.bundles[number]
        await self.plant.roll_out(bundle, name, policy=POLICY)
        await self.rig.until(lambda: self.rig.committed(bundle), f"{name} to be committed")

    def back_up(self):
        make_backup(
            sqlite_url(self.plant.folder / "gateway.db"), self.plant.folder / "blobs",
            self.plant.folder / "keys", self.folder / "backup",
            made_ms=self.clock.wall_ms(), private=False, link=True, progress=silent,
        )  # fmt: skip

    async def lose_and_restore(self, url="", **more):
        """kill -9, and all of its state is gone."""
        self.plant.runtime.crash()
        self.plant.close()
        restore_backup(
            self.folder / "backup", self.folder / "two", url,
            restored_ms=self.clock.wall_ms(), progress=silent, **more,
        )  # fmt: skip
        self.plant = Plant(self.folder / "two", wires(self.endpoint), self.clock, url=url)
        await self.plant.runtime.start()
        await self.rig.until(lambda: self.plant.runtime.connected, "the gateway to be back")

    async def end(self):
        await self.plant.runtime.stop()
        self.plant.close()
        self.rig.port.abort()


@pytest.fixture
async def scene(tmp_path):
    async with await start_mosquitto(tmp_path / "broker") as broker:
        made = Scene(broker, tmp_path)
        yield made
        await made.end()


@pytest.mark.parametrize("onto", ["sqlite", "postgresql"])
async def test_a_device_that_saw_more_than_the_backup_knows_hears_of_everything_new(
    scene, onto, postgres
):
    await scene.begin()
    rig = scene.rig
    await scene.ask(hear.SetFlag("all", "x", FLAG), hear.Kill("lights"))
    scene.back_up()
    # All of this is lost: an update, three revisions, two kill lists.
    await scene.update("lost", 1)
    await scene.ask(*(hear.SetFlag("all", "x", text) for text in (OTHER, FLAG, OTHER)))
    await scene.ask(hear.Kill("lights", alive=True), hear.Kill("horn"))
    await rig.until(lambda: rig.haves[-1].kill_version == 3, "the kill list to arrive")
    seen = rig.haves[-1]
    await scene.lose_and_restore(
        postgres.database() if onto == "postgresql" else "", kills=["horn"]
    )
    await rig.until(lambda: rig.haves[-1].kill_version > 3, "the restored kill list to arrive")
    assert rig.haves[-1].flags_rev > seen.flags_rev
    assert set(rig.agent._flags.killed) == {"horn", "lights"}
    twin = scene.plant.runtime.core.twin_view(DEVICE)
    assert rig.committed(scene.bundles[1]), "the restore took the device back to an older release"
    assert twin.seen_generation == seen.generation
    # What is decided now is heard.
    now = rig.haves[-1].flags_rev
    await scene.ask(hear.SetFlag("all", "x", OTHER))
    await rig.until(lambda: rig.haves[-1].flags_rev > now, "a new revision to arrive")
    await scene.update("next", 2)
    await rig.until(
        lambda: scene.plant.runtime.core.twin_view(DEVICE).outcome == "committed",
        "the gateway to hear of it",
    )


async def test_a_rollout_that_ran_at_the_backup_waits_for_somebody_to_look(scene):
    await scene.begin()
    await scene.plant.roll_out(scene.bundles[1], "r1", policy=POLICY, soak_ns=3600 * SECOND)
    scene.back_up()
    await scene.rig.until(lambda: scene.rig.committed(scene.bundles[1]), "the device to commit")
    await scene.lose_and_restore()
    (view,) = await scene.plant.runtime.read(lambda core: core.rollout_views())
    assert (view.state, view.why[:33]) == ("paused", "the gateway was restored from a b")
    await scene.ask(hear.SteerRollout("r1", "resume"))
    await scene.rig.until(
        lambda: scene.plant.runtime.core.twin_view(DEVICE).outcome == "committed",
        "the want that was open at the backup to end",
    )
