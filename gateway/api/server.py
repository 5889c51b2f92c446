"""Listens for HTTP in the gateway's own loop.

Decides the server's bounds. Leaves out the app. Signals stay with the gateway: it ends the server, not the other
way round.

Rules: a client that does not finish its headers or keeps a connection idle loses it; more connections than
`CONNECTIONS_MAX` are told to come later.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from gateway.api.app import close_streams
from gateway.api.slow import HEAD_S_MAX, hasty

CONNECTIONS_MAX: Final = 256
IDLE_S_MAX: Final = 15
DRAIN_S_MAX: Final = 5
HEADER_BYTES_MAX: Final = 16 * 1024
LOOK_S: Final = 0.01


class HttpServer:
    """The listening side of an app.

    Args:
        app: what answers.
        host: an address of this machine.
        port: 0: any that is free.
        certificate: TLS with this certificate and `key`; None: plain HTTP.
        key: its private key.
        head_s_max: how long a request's head may take.
        connections_max: past it a request is told to come later.
    """

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        head_s_max: float = HEAD_S_MAX,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self._app = app
        config = uvicorn.Config(
            app,
            http=hasty(head_s_max),
            ws="none",
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=connections_max,
            timeout_keep_alive=IDLE_S_MAX,
            timeout_graceful_shutdown=DRAIN_S_MAX,
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken.
        """
        server, config = self._server, self._server.config
        if not config.loaded:
            config.load()
        server.lifespan = config.lifespan_class(config)
        self._task = asyncio.get_running_loop().create_task(self._serve())
        while not server.started:
            if self._task.done():
                self._task.result()
                raise OSError(
                    f"expected to listen on {config.host}:{config.port}, found that it is taken"
                )
            await asyncio.sleep(LOOK_S)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        self.url = f"{'https' if config.is_ssl else 'http'}://{host}:{port}"

    async def _serve(self) -> None:
        with suppress(SystemExit):  # uvicorn's word for an address that is taken
            await self._server._serve()  # noqa: SLF001 - `serve` would take our signals

    async def close(self) -> None:
        """Stop listening; streams end, other requests under way get `DRAIN_S_MAX`."""
        close_streams(self._app)
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait((self._task,))
