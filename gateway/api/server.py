"""Listens for HTTP in the gateway's own loop, with TLS where there is a certificate.

Decides the server's bounds. Leaves out the app, the way from a socket to HTTP (listening.py), and what a certificate
must be (gateway/adapters/http_tls.py). Signals stay with the gateway: it ends the server, not the other
way round.

Rules: more connections than the bounds of crowd.py are told to come later; a new certificate is taken while we run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import uvicorn
from fastapi import FastAPI

from gateway.adapters.http_tls import HttpTls
from gateway.api.app import close_streams
from gateway.api.crowd import Crowd
from gateway.api.listening import Listening, bound
from gateway.api.slow import HastyProtocol
from gateway.config import HttpSection

IDLE_S_MAX: Final = 15
DRAIN_S_MAX: Final = 5
HEADER_BYTES_MAX: Final = 16 * 1024
LOOK_S: Final = 0.01
RENEW_S: Final = 5.0
"""How often the certificate's files are looked at."""


class HttpServer:
    """The listening side of an app.

    Args:
        app: what answers.
        host: an address of this machine.
        port: 0: any that is free.
        tls: certificates; None: plain HTTP.
        said: bounds, and proxies that are believed.
    """

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        *,
        tls: HttpTls | None = None,
        said: HttpSection = HttpSection(),  # noqa: B008 - frozen
    ) -> None:
        self._app, self._tls, self._said = app, tls, said
        config = uvicorn.Config(
            app,
            ws="none",
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(said.proxies),
            forwarded_allow_ips=list(said.proxies),
            timeout_keep_alive=IDLE_S_MAX,
            timeout_graceful_shutdown=DRAIN_S_MAX,
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
            lifespan="off",
        )
        self.crowd = Crowd(said.connections_max, said.connections_peer_max, said.proxies)
        self._server = _Server(config, self._listening)
        self._tasks: list[asyncio.Task[None]] = []
        self.url = ""

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken.
        """
        # What strangers send is no news of ours; what fails in us is told by the app.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        server, config, loop = self._server, self._server.config, asyncio.get_running_loop()
        if not config.loaded:
            config.load()
        server.lifespan = config.lifespan_class(config)
        serving = loop.create_task(server._serve())  # noqa: SLF001 - `serve` would take our signals
        self._tasks.append(serving)
        while not server.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(LOOK_S)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'http' if self._tls is None else 'https'}://{shown}:{port}"
        if self._tls is not None:
            self._tasks.append(loop.create_task(_renew(self._tls)))

    async def close(self) -> None:
        """Stop listening; streams end, other requests under way get `DRAIN_S_MAX`."""
        close_streams(self._app)
        self._server.should_exit = True
        for task in self._tasks[1:]:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _listening(self) -> Listening:
        host, port = self._server.config.host, self._server.config.port
        tls, patience_s = self._tls, self._said.head_s_max
        return Listening(
            await bound(host, port),
            self.crowd,
            self._made,
            lambda: None if tls is None else tls.context,
            patience_s,
        )

    def _made(self, on_lost: Callable[[], None]) -> HastyProtocol:
        server = self._server
        return HastyProtocol(
            server.config,
            server.server_state,
            {"crowd": self.crowd},
            head_s_max=self._said.head_s_max,
            send_s_max=self._said.send_s_max,
            on_lost=on_lost,
        )


class _Server(uvicorn.Server):
    """uvicorn's server, behind a door of ours."""

    def __init__(
        self, config: uvicorn.Config, listening: Callable[[], Awaitable[Listening]]
    ) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: object = None) -> None:
        """Listen; raises `OSError`."""
        del sockets
        self.servers = [await self._listening()]  # type: ignore[list-item]
        self.started = True


async def _renew(tls: HttpTls) -> None:
    """Take a new certificate when there is one."""
    while True:
        await asyncio.sleep(RENEW_S)
        await asyncio.to_thread(tls.look)
