"""A gateway's API over a real office, SQLite and files, on a port of its own; the broker is played by wires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import httpx

from devicesdk.aio.clock import RealClock
from devicesdk.bundle.trust import Ed25519Signer, Ed25519Verifier
from devicesdk.wire.topics import Topics
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.http_tls import HttpTls
from gateway.adapters.rehearsing import Bounds, Rehearsing
from gateway.adapters.storage import SqlStorage, sqlite_url
from gateway.adapters.uploads import Uploads
from gateway.api.app import make_app
from gateway.api.desk import Service
from gateway.api.server import HttpServer
from gateway.config import HttpSection, RehearsalSection
from gateway.core.access.roles import Role
from gateway.core.access.tokens import Asker
from gateway.core.audit.chain import ROLE_AUDIT
from gateway.core.audit.journal import Journal
from gateway.core.gateway import Gateway
from gateway.runtime.chronicle import Chronicle
from gateway.runtime.office import Office
from gateway.runtime.operator import Operator
from gateway.runtime.runtime import Runtime
from tests_kit.agent_bundles import KEYS
from tests_kit.fake_wires import Wires
from tests_kit.plant import WALL_START_MS, core, until

LIFE_MS = 24 * 3600 * 1000
LOCAL = Asker("local:owner", Role.ADMIN)
PATIENCE_S = 60.0
FREE = HttpSection(requests_per_s_max=100_000.0, requests_burst_max=1_000_000,
                   failures_per_s_max=100_000.0, failures_burst_max=1_000_000)  # fmt: skip
"""Bounds of how often, out of a test's way."""
SMALL = RehearsalSection(seeds=1, devices_min=10, devices_max=10)
"""Rehearsals in one small virtual fleet."""
REHEARSAL_BOUNDS = Bounds(wall_s=120.0, memory_bytes=2 * 1024**3)

AUDITOR: Final = Ed25519Signer(ROLE_AUDIT, bytes([9]) * 32)


class ApiStage:
    """Storage, blobs, runtime, office and HTTP in a folder; with a `command`, rehearsals too, one at a time."""

    def __init__(
        self,
        folder: Path,
        http: HttpSection = FREE,
        second: frozenset[str] = frozenset(),
        tls: HttpTls | None = None,
        make: Callable[[], Gateway] = core,
        command: Sequence[str] = (),
    ) -> None:
        self.wires = Wires()
        self.clock = RealClock(1.0, WALL_START_MS)
        self.storage = SqlStorage(sqlite_url(folder / "gateway.db"))
        self.blobs = FileBlobs(folder / "blobs")
        self.uploads = Uploads(self.blobs, folder / "blobs" / "uploads", http.upload_parts_max)
        self.chronicle = Chronicle(self.clock.wall_ms)
        self.runtime = Runtime(
            make, self.storage, self.blobs, self.clock, self.wires.ports, Topics(), seed=1,
            observer=self.chronicle, heard=self.chronicle.heard,
        )  # fmt: skip
        operator = Operator(self.runtime, self.blobs, Ed25519Verifier(KEYS))
        self.office = Office(
            self.runtime,
            operator,
            Journal(AUDITOR),
            wall_ms=self.clock.wall_ms,
            entropy=self._entropy,
            second=second,
            rules=SMALL,
            rehearsing=Rehearsing(
                command, folder / "blobs", folder / "rehearsals", REHEARSAL_BOUNDS
            ),
        )
        self._rehearses: asyncio.Task[None] | None = None
        self._made = 0
        self.app = make_app(
            Service(
                self.office,
                self.runtime,
                self.blobs,
                self.clock.wall_ms,
                self.uploads,
                http,
                chronicle=self.chronicle,
                names=() if tls is None else tls.names,
            )
        )
        self.server = HttpServer(self.app, "127.0.0.1", 0, tls=tls, said=http)
        self.tokens: dict[Role, str] = {}

    def _entropy(self, count: int) -> bytes:
        self._made += 1
        return self._made.to_bytes(count, "big")

    async def __aenter__(self) -> Self:
        await self.runtime.start()
        await until(lambda: self.runtime.connected, "both connections", PATIENCE_S)
        await self.office.restore(Ed25519Verifier({ROLE_AUDIT: (AUDITOR.public,)}))
        for role in Role:
            name = f"the-{role.value}"
            self.tokens[role] = await self.office.make_token(
                LOCAL, name, role, life_ms=LIFE_MS, labels={}
            )
        await self.server.open()
        self._rehearses = asyncio.get_running_loop().create_task(self.office.rehearsals.run())
        return self

    async def rehearsed(self, number: int) -> None:
        """Wait until a rehearsal has ended."""
        book = self.office.rehearsals.book

        def over() -> bool:
            row = book.get(number)
            return row is not None and bool(row.ended_ms)

        await until(over, f"the end of rehearsal {number}", REHEARSAL_BOUNDS.wall_s)

    async def __aexit__(self, *_: object) -> None:
        if self._rehearses is not None:
            self._rehearses.cancel()
            with suppress(asyncio.CancelledError):
                await self._rehearses
        await self.server.close()
        await self.runtime.stop()
        self.runtime.close()
        self.blobs.close()
        self.storage.close()

    def client(self, role: Role | None = Role.ADMIN, **more: Any) -> httpx.AsyncClient:
        """A client with the token of a role; None: without one."""
        headers = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
        return httpx.AsyncClient(
            base_url=self.server.url, headers=headers, timeout=PATIENCE_S, trust_env=False, **more
        )

    async def enroll(self, count: int) -> None:
        """Devices ``d-00000`` and on, in batches."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._enroll(number))

    async def _enroll(self, number: int) -> None:
        from gateway.core.stimuli import Enroll

        labels = {"region": ("eu", "us")[number % 2], "profile": "rpi4"}
        await self.runtime.submit(Enroll(f"d-{number:05d}", labels))
