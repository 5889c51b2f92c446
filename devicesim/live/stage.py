"""The stage of a live run: a real broker, the asyncio gateway, and a socket for each device.

Decides what is opened in which order, and closed again whatever happens: broker, proxy, gateway. Leaves
out the run itself (drive.py).

Rules: all time of a run comes from one `HeldClock`; with `speed` everything that a state machine
counts in scenario time runs faster, protocol timers included, so that a verdict means what it means in
virtual time. Links are real sockets through a TCP proxy, unless the run is `direct`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from devicesdk.aio.aiomqtt_port import AiomqttPort
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Endpoint, Listener, MqttPort
from devicesdk.wire.timebase import SECOND
from devicesim.live.broker import LiveBroker
from devicesim.live.clock import HeldClock
from devicesim.live.gateway import LiveGateway, LiveObserver
from devicesim.live.intruder import LiveIntruder
from devicesim.live.pacer import Pacer
from devicesim.live.path import LivePath
from devicesim.live.storage import LiveStorage
from devicesim.live.wire import Proxy, loopback
from devicesim.world.virtual_stage import broker_limits
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.brokers.find import open_broker
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.runtime.life import Ports
from gateway.runtime.runtime import Runtime

if TYPE_CHECKING:
    from devicesdk.wire.topics import Topics
    from devicesim.scenario.schema import Scenario
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.device_parts import Parts, Workshop
    from devicesim.world.kernel import Kernel
    from devicesim.world.ledger import Ledger
    from devicesim.world.path import Path as DevicePath
    from devicesim.world.trace import Trace
    from devicesim.world.watch import Watch
    from gateway.adapters.brokers.running import RunningBroker
    from gateway.core.gateway import Gateway

LATE_S: Final = 0.5
"""Real seconds by which timers, disks and schedulers of a busy machine are late; whatever is judged by a
duration is given so much more, times the speed."""
OUTSIDE: Final = "a real broker's queues cannot be counted from outside"
MakePort = Callable[[Endpoint, Listener, asyncio.AbstractEventLoop], MqttPort]
UNSEEN: Final = {
    "conservation": OUTSIDE,
    "one_session": OUTSIDE,
    "liveness": "only virtual time can take every hardship away at an instant",
}
CANNOT: Final = {
    "broker.slow_accept": "a real broker accepts as fast as it can",
    "gateway.slow_store": "a real disk takes as long as it takes",
    "broker.overflow": "a real broker reads its bounds when it starts",
    "broker.drop_acked": "a real broker keeps what it has acknowledged",
    "keys.tidy": "the gateway's own files are not taken from under it",
    "gateway.deploy_older": "no older version of the gateway is here to be started",
    "hold": "the proxy carries bytes, and cannot tell a message from a keep-alive",
}
CANNOT_FOREIGN: Final = {"broker.restart": "somebody else's broker is not ours to kill"}
CANNOT_DIRECT: Final = dict.fromkeys(
    (
        "latency", "bandwidth", "loss", "captive_portal", "nat.timeout", "broker.refuse",
        "broker.flow_control",
    ),
    "no proxy stands in the path of a direct run",
)  # fmt: skip


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How a live run is set up."""

    folder: Path
    """Where broker and gateway keep their files."""
    speed: float = 1.0
    """Scenario seconds per real one."""
    broker: str = "auto"
    """What `open_broker` understands."""
    direct: bool = False
    """Devices dial the broker itself: no link model, no proxy."""
    persistence: bool = True
    autosave_changes: int | None = None


class LiveStage:
    """Broker, gateway and paths of a live run; made by `open_stage`.

    Args:
        setting: how it is set up.
        running: the broker process.
        proxy: in the path of each device; None in a direct run.
        tasks: where everything that lasts runs.
    """

    def __init__(
        self,
        setting: Setting,
        running: RunningBroker,
        proxy: Proxy | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.setting, self.running, self.proxy, self._tasks = setting, running, proxy, tasks
        self._loop = asyncio.get_running_loop()
        self.clock: HeldClock | None = None
        self.paths: list[LivePath] = []
        self._by_device: dict[str, LivePath] = {}
        self.unseen: Mapping[str, str] = UNSEEN
        self.cannot: Mapping[str, str] = {
            **CANNOT,
            **({} if running.ours else CANNOT_FOREIGN),
            **({} if proxy is not None else CANNOT_DIRECT),
        }
        self.tolerance_ns = round(LATE_S * SECOND * setting.speed)
        self.make_lean: MakePort = LeanPort
        self.make_aio: MakePort = AiomqttPort
        self.wrap_core: Callable[[Gateway], Gateway] = lambda core: core
        """These three may be replaced, before a world is assembled, by who must see every message."""
        self._pacer: Pacer | None = None
        self._gateway: LiveGateway | None = None
        self._broker: LiveBroker | None = None

    @property
    def pacer(self) -> Pacer:
        """Real time; there once the gateway was made."""
        assert self._pacer is not None
        return self._pacer

    @property
    def live_gateway(self) -> LiveGateway:
        """The gateway; there once it was made."""
        assert self._gateway is not None
        return self._gateway

    @property
    def intruders(self) -> list[LiveIntruder]:
        """Second clients that faults have brought."""
        return [] if self._broker is None else self._broker.intruders

    # -- Stage ----------------------------------------------------------------------------------

    def broker(self, kernel: Kernel, ledger: Ledger, scenario: Scenario) -> LiveBroker:
        """Make the view of the broker that runs already."""
        del kernel, ledger
        broker = LiveBroker(self.running, broker_limits(scenario), self._tasks, self._standing)
        broker.core.connected = self._connection_of
        at = self.running.endpoint
        broker.intruder = lambda device: LiveIntruder(
            device, self.setting.speed, lambda ears: self.make_lean(at, ears, self._loop)
        )
        self._broker = broker
        return broker

    def gateway(
        self,
        kernel: Kernel,
        trace: Trace,
        ledger: Ledger,
        watch: Watch,
        topics: Topics,
        make: Callable[[], Gateway],
        clock_start_ms: int,
    ) -> LiveGateway:
        """Make the runtime; time begins."""
        del ledger
        clock = self.clock = HeldClock(self.setting.speed, clock_start_ms)
        pacer = self._pacer = Pacer(kernel, clock, self._loop)
        folder = self.setting.folder / "gateway"
        folder.mkdir(parents=True, exist_ok=True)
        blobs = FileBlobs(folder / "blobs")
        storage = LiveStorage(SqlStorage(sqlite_url(folder / "gateway.db")))
        at = self.running.endpoint
        observer = LiveObserver(pacer, trace, watch)
        runtime = Runtime(
            lambda: self.wrap_core(make()),
            storage,
            blobs,
            clock,
            Ports(
                control=lambda ears: self.make_aio(at, ears, self._loop),
                data=lambda ears: self.make_lean(at, ears, self._loop),
            ),
            topics,
            observer=observer,
        )
        self._gateway = LiveGateway(
            runtime, storage, blobs, self._tasks, observer, self.setting.speed, self._standing
        )
        return self._gateway

    def path(self, shop: Workshop, parts: Parts, host: DeviceHost) -> DevicePath:
        """Make a path with a real port."""
        path = LivePath(shop, parts, host, self.pacer, self.setting.speed, self.live_gateway)
        wire = None
        if self.proxy is not None:
            endpoint, wire = self.proxy.endpoint(parts.index, self.pacer, shop.kernel, path)
        else:
            at = self.running.endpoint
            endpoint = msgspec.structs.replace(at, source=(loopback(parts.index), 0))
        path.attach(self._port(endpoint, path), wire)
        self.paths.append(path)
        self._by_device[parts.identity.device] = path
        return path

    def _port(self, endpoint: Endpoint, listener: Listener) -> MqttPort:
        return self.make_lean(endpoint, listener, self._loop)

    def _standing(self) -> AbstractContextManager[None]:
        return nullcontext() if self.clock is None else self.clock.standing()

    def _connection_of(self, device: str) -> object | None:
        path = self._by_device.get(device)
        live = path.live if path is not None else None
        return live if live is not None and live.broker_open else None


@asynccontextmanager
async def open_stage(setting: Setting) -> AsyncIterator[LiveStage]:
    """Start broker and proxy; at the end close devices, gateway, proxy and broker, in this order."""
    setting.folder.mkdir(parents=True, exist_ok=True)
    running = await open_broker(
        setting.broker,
        setting.folder / "broker",
        persistence=setting.persistence,
        autosave_changes=setting.autosave_changes,
    )
    proxy = None if setting.direct else Proxy(running.endpoint, asyncio.get_running_loop())
    try:
        if proxy is not None:
            await proxy.open()
        async with asyncio.TaskGroup() as tasks:
            stage = LiveStage(setting, running, proxy, tasks)
            try:
                yield stage
            finally:
                await _close(stage)
    finally:
        if proxy is not None:
            await proxy.close()
        await running.stop()


async def _close(stage: LiveStage) -> None:
    for intruder in stage.intruders:
        intruder.leave(0)
    for path in stage.paths:
        path.shut()
    if stage.paths:
        await stage.live_gateway.close()
