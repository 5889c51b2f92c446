"""A console on a run, as a process: made, listening, and ended.

Decides the order of beginnings and ends. Leaves out options and output (devicesim/console_cli.py).
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from devicesdk.aio.clock import RealClock
from devicesdk.bundle.trust import Ed25519Signer, Ed25519Verifier
from devicesim.console.app import make_rehearsal
from devicesim.console.player import Player
from devicesim.console.runs import Run
from devicesim.console.runtime import RehearsedRuntime
from gateway.adapters.blobs import FileBlobs
from gateway.api.server import HttpServer
from gateway.core.access.tokens import SECRET_BYTES
from gateway.core.audit.chain import ROLE_AUDIT
from gateway.core.audit.journal import Journal
from gateway.runtime.office import Office
from gateway.runtime.operator import Operator

HOST: Final = "127.0.0.1"
SWITCH_S: Final = 0.001
"""How long the world's thread keeps the interpreter from the one that answers."""


class Opened:
    """A console that listens.

    Args:
        url: where.
        player: plays the run.
        token: of the page, for programs.
    """

    def __init__(self, url: str, player: Player, token: str) -> None:
        self.url, self.player, self.token = url, player, token


@asynccontextmanager
async def opened(
    run: Run, source: Callable[[int], bytes], *, port: int = 0, at_ns: int | None = None
) -> AsyncIterator[Opened]:
    """A console on a run, while it is open.

    Args:
        run: which.
        source: gives so many unguessable bytes.
        port: where to listen on this machine; 0: any that is free.
        at_ns: the instant to show first; None: the end.

    Raises:
        OSError: the port is taken.
    """
    interval = sys.getswitchinterval()
    player = Player(run, RealClock(), at_ns)
    runtime = RehearsedRuntime(player, source(SECRET_BYTES))
    nobody = Ed25519Verifier({})
    with TemporaryDirectory(prefix="fleetdrill-console-") as folder:
        blobs = FileBlobs(Path(folder))
        office = Office(
            runtime,
            Operator(runtime, blobs, nobody),
            Journal(Ed25519Signer(ROLE_AUDIT, source(SECRET_BYTES))),
            wall_ms=runtime.wall_ms,
            entropy=source,
        )
        player.start()
        sys.setswitchinterval(SWITCH_S)
        try:
            await office.restore(nobody)
            server = HttpServer(make_rehearsal(player, office, runtime, blobs), HOST, port)
            await server.open()
            try:
                yield Opened(server.url, player, runtime.token)
            finally:
                await server.close()
        finally:
            sys.setswitchinterval(interval)
            await asyncio.to_thread(player.close)
            blobs.close()


async def serve(
    run: Run,
    source: Callable[[int], bytes],
    told: Callable[[Opened], None],
    *,
    port: int,
    at_ns: int | None,
) -> None:
    """Listen until somebody asks for the end; `told` is called once it does.

    Raises:
        OSError: the port is taken.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    async with opened(run, source, port=port, at_ns=at_ns) as console:
        told(console)
        await asked.wait()
