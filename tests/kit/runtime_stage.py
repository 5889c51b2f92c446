"""A runtime between wires that remember what was said, and stores in memory."""

from devicesdk.aio.clock import RealClock
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Have, Telemetry
from gateway.config import RuntimeLimits
from gateway.runtime.runtime import Runtime
from tests_kit.agent_bundles import DEVICE
from tests_kit.fake_wires import MemoryBlobs, MemoryStorage, Wires
from tests_kit.plant import WALL_START_MS, core, until

NAMES = topics.Topics()
HAVE = NAMES.device(DEVICE, topics.HAVE)
TEL = NAMES.device(DEVICE, topics.TEL)
QUICK = RuntimeLimits(group_commit_s=0.05, drain_s_max=1.0, suback_s_max=0.2, round_wait_s_max=0.2)


def telemetry(seq):
    return Telemetry(boot_id=1, seq=seq, bundle=bytes(8), frames=0)


class Stage:
    def __init__(self, *, observer=None, limits=QUICK, speed=500.0, make=core):
        self.wires = Wires()
        self.storage, self.blobs = MemoryStorage(self.wires.log), MemoryBlobs()
        self.clock = RealClock(speed, WALL_START_MS)
        self.runtime = Runtime(
            make, self.storage, self.blobs, self.clock, self.wires.ports, NAMES,
            observer=observer, limits=limits, seed=1,
        )  # fmt: skip

    async def up(self):
        await self.runtime.start()
        await until(lambda: self.runtime.connected, "both connections")
        await self.quiet()

    async def quiet(self):
        """All that has arrived is handled."""
        await self.runtime.read(lambda _: None)

    def have(self, seq=1):
        return self.wires.data.deliver(HAVE, codec.encode(Have(boot_id=1, seq=seq)))

    def words(self, *kinds):
        return self.wires.words(*kinds)

    def clear(self):
        self.wires.log.clear()
