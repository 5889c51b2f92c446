"""The stage of a fleet that joins a gateway which runs outside: sockets for devices, and nothing else.

Decides what is opened and closed. Leaves out gateway and broker, which are somebody else's, and the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Endpoint
from devicesim.live.broker import LiveBroker
from devicesim.live.clock import HeldClock
from devicesim.live.pacer import Pacer
from devicesim.live.path import LivePath
from devicesim.live.wire import Proxy
from devicesim.playground.outside import OutsideGateway
from devicesim.world.virtual_stage import broker_limits
from gateway.adapters.brokers.find import endpoint_of
from gateway.adapters.brokers.running import RunningBroker
from gateway.ports import Blobs

if TYPE_CHECKING:
    from devicesdk.wire.topics import Topics
    from devicesim.scenario.schema import Scenario
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.device_parts import Parts, Workshop
    from devicesim.world.kernel import Kernel
    from devicesim.world.ledger import Ledger
    from devicesim.world.path import Path
    from devicesim.world.trace import Trace
    from devicesim.world.watch import Watch
    from gateway.core.gateway import Gateway


class JoiningStage:
    """Made by `join`.

    Args:
        at: the broker.
        proxy: in the path of each device.
        tasks: where everything that lasts runs.
        blobs: where the gateway looks for what devices fetch.
        speed: scenario seconds per real one.
    """

    cannot: Mapping[str, str] = MappingProxyType({})
    unseen: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, at: Endpoint, proxy: Proxy, tasks: asyncio.TaskGroup, blobs: Blobs, speed: float
    ) -> None:
        self._at, self._proxy, self._tasks, self._speed = at, proxy, tasks, speed
        self._loop = asyncio.get_running_loop()
        self._outside = OutsideGateway(blobs)
        self._pacer: Pacer | None = None
        self._clock: HeldClock | None = None
        self.tolerance_ns = 0
        self.paths: list[LivePath] = []

    @property
    def pacer(self) -> Pacer:
        """Real time; there once a world was assembled."""
        assert self._pacer is not None
        return self._pacer

    @property
    def clock(self) -> HeldClock:
        """The devices' time; there once a world was assembled."""
        assert self._clock is not None
        return self._clock

    def broker(self, kernel: Kernel, ledger: Ledger, scenario: Scenario) -> LiveBroker:
        """The broker that runs already."""
        del kernel, ledger
        running = RunningBroker(f"broker at {self._at.host}:{self._at.port}", self._at)
        return LiveBroker(running, broker_limits(scenario), self._tasks)

    def gateway(
        self,
        kernel: Kernel,
        trace: Trace,
        ledger: Ledger,
        watch: Watch,
        topics: Topics,
        make: Callable[[], Gateway],
        clock_start_ms: int,
    ) -> OutsideGateway:
        """Whoever is there; time begins."""
        del trace, ledger, watch, topics, make
        self._clock = HeldClock(self._speed, clock_start_ms)
        self._pacer = Pacer(kernel, self._clock, self._loop)
        return self._outside

    def path(self, shop: Workshop, parts: Parts, host: DeviceHost) -> Path:
        """A connection of its own, with the device's link in its path."""
        path = LivePath(shop, parts, host, self.pacer, self._speed, self._outside)
        endpoint, wire = self._proxy.endpoint(parts.index, self.pacer, shop.kernel, path)
        path.attach(LeanPort(endpoint, path, self._loop), wire)
        self.paths.append(path)
        return path


@asynccontextmanager
async def join(broker: str, blobs: Blobs, speed: float) -> AsyncIterator[JoiningStage]:
    """Open the way to a broker; at the end close every connection of a device.

    Args:
        broker: its URL.
        blobs: where the gateway looks for what devices fetch.
        speed: scenario seconds per real one.

    Raises:
        BrokerError: not a URL.
    """
    at = endpoint_of(broker)
    proxy = Proxy(at, asyncio.get_running_loop())
    await proxy.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            stage = JoiningStage(at, proxy, tasks, blobs, speed)
            try:
                yield stage
            finally:
                for path in stage.paths:
                    path.shut()
    finally:
        await proxy.close()
