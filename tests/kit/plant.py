"""A gateway's runtime with its storage in a folder, for tests: started, crashed, started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from devicesdk.aio.aiomqtt_port import AiomqttPort
from devicesdk.aio.clock import RealClock
from devicesdk.aio.lean import LeanPort
from devicesdk.aio.port import Endpoint
from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS
from devicesdk.wire.topics import Topics
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.config import RuntimeLimits
from gateway.core import stimuli as hear
from gateway.core.gateway import Gateway, GatewayConfig
from gateway.runtime.life import Ports
from gateway.runtime.runtime import Runtime
from tests_kit.agent_bundles import SIGNERS, Bundle

WALL_START_MS = 1_750_000_000_000


def core() -> Gateway:
    """A new core that signs with the rig's keys."""
    return Gateway(GatewayConfig(), SIGNERS[ROLE_DIRECTOR], SIGNERS[ROLE_FLAGS])


def wires(endpoint: Endpoint) -> Ports:
    """The two real connections."""
    return Ports(
        lambda ears: AiomqttPort(endpoint, ears),
        lambda ears: LeanPort(endpoint, ears),
        keepalive_s=5,
    )


class Plant:
    """Storage, blobs and runtime in a folder."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        clock: RealClock | None = None,
        limits: RuntimeLimits | None = None,
        url: str = "",
        **more: Any,
    ) -> None:
        self.folder = folder
        self.clock = clock or RealClock(1.0, WALL_START_MS)
        self.storage = SqlStorage(url or sqlite_url(folder / "gateway.db"))
        self.blobs = FileBlobs(folder / "blobs")
        self.runtime = Runtime(
            core, self.storage, self.blobs, self.clock, ports, Topics(), limits=limits, **more
        )

    async def __aenter__(self) -> Self:
        await self.runtime.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runtime.stop()
        self.close()

    def close(self) -> None:
        """Release the folder."""
        self.runtime.close()
        self.blobs.close()
        self.storage.close()

    async def publish(self, *bundles: Bundle) -> None:
        """Store bundles and register them."""
        for bundle in bundles:
            for blob, _ in bundle.blobs.values():
                self.blobs.put(blob)
            stimulus = hear.RegisterBundle(bundle.manifest, bundle.digest, len(bundle.envelope))
            await self.runtime.submit(stimulus)

    async def roll_out(self, bundle: Bundle, name: str = "r1", **fields: Any) -> None:
        """Start a rollout to everybody at once."""
        more = {"waves": (1.0,), "soak_ns": 0, "jitter_ms": 0} | fields
        plan = hear.RolloutPlan(id=name, bundle=bundle.manifest.name, **more)
        await self.runtime.submit(hear.CreateRollout(plan))

    async def until(self, reached: Callable[[], bool], what: str, patience_s: float = 60.0) -> None:
        """Wait until something is so."""
        await until(reached, what, patience_s)


async def until(reached: Callable[[], bool], what: str, patience_s: float = 60.0) -> None:
    """Wait until something is so."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    while not reached():
        assert loop.time() < give_up, f"waited {patience_s} s in vain for {what}"
        await asyncio.sleep(0.005)
