"""Listens for HTTP in the gateway's own loop, with TLS where there is a certificate.

Decides who is let in at the socket, the handshake, and the server's bounds. Leaves out the app, and what a
certificate must be (gateway/adapters/http_tls.py). Signals stay with the gateway: it ends the server, not the other
way round.

Rules: every connection is counted from its first packet on, so that whoever never finishes a handshake or a head is
bounded like anybody else; connections use the certificate of the instant in which they began; more than the bounds
of crowd.py are told to come later.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final

import uvicorn
from fastapi import FastAPI

from gateway.adapters.http_tls import HttpTls
from gateway.api.app import close_streams
from gateway.api.crowd import Crowd, peer_of
from gateway.api.slow import HastyProtocol
from gateway.config import HttpSection

IDLE_S_MAX: Final = 15
DRAIN_S_MAX: Final = 5
GOODBYE_S_MAX: Final = 2.0
"""For the other side's part of TLS's end."""
HEADER_BYTES_MAX: Final = 16 * 1024
BACKLOG: Final = 256
LOOK_S: Final = 0.01
RENEW_S: Final = 5.0
"""How often the certificate's files are looked at."""

Make = Callable[[Callable[[], None]], HastyProtocol]
"""A protocol that tells when its connection is over."""


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
        self._server = _Server(config, self._doorman)
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

    def _doorman(self) -> asyncio.Protocol:
        context = None if self._tls is None else self._tls.context
        return _Doorman(self.crowd, self._made, context, self._said.head_s_max)

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

    def __init__(self, config: uvicorn.Config, doorman: Callable[[], asyncio.Protocol]) -> None:
        super().__init__(config)
        self._doorman = doorman

    async def startup(self, sockets: object = None) -> None:
        """Listen; raises `OSError`."""
        del sockets
        host, port = self.config.host, self.config.port
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(self._doorman, host, port, backlog=BACKLOG)
        except OSError as error:
            raise OSError(f"expected to listen on {host}:{port}, found: {error}") from error
        self.servers = [server]
        self.started = True


class _Doorman(asyncio.Protocol):
    """The first that a connection meets: counts it, shakes hands, and hands it over.

    Args:
        crowd: who is here.
        make: the protocol that takes over.
        context: TLS; None: none.
        shake_s_max: how long a handshake may take.
    """

    def __init__(
        self, crowd: Crowd, make: Make, context: ssl.SSLContext | None, shake_s_max: float
    ) -> None:
        self._crowd, self._make, self._context = crowd, make, context
        self._shake_s_max = shake_s_max
        self._early = bytearray()
        self._shaking: asyncio.Task[None] | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let somebody in, or not."""
        name = transport.get_extra_info("peername")
        peer = peer_of(name[0] if name else "")
        if not self._crowd.enter(peer):
            transport.abort()
            return
        if self._context is None:
            self._hand_over(transport, peer)
            return
        transport.pause_reading()
        self._shaking = asyncio.get_running_loop().create_task(
            self._shake(transport, peer, self._context)
        )

    def data_received(self, data: bytes) -> None:
        """What came in the same breath as the end of the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Lost between the handshake and whoever takes over, or never let in."""
        del exc
        self._lost = True

    async def _shake(
        self, transport: asyncio.Transport, peer: str, context: ssl.SSLContext
    ) -> None:
        try:
            secure = await asyncio.get_running_loop().start_tls(
                transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self._shake_s_max,
                ssl_shutdown_timeout=GOODBYE_S_MAX,
            )
        except (OSError, asyncio.CancelledError):  # ssl.SSLError is one; so is a time-out's end
            secure = None
        if secure is None or self._lost:
            transport.abort()
            self._crowd.leave(peer)
            return
        self._hand_over(secure, peer)

    def _hand_over(self, transport: asyncio.Transport, peer: str) -> None:
        protocol = self._make(lambda: self._crowd.leave(peer))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(bytes(self._early))
            self._early.clear()


async def _renew(tls: HttpTls) -> None:
    """Take a new certificate when there is one."""
    while True:
        await asyncio.sleep(RENEW_S)
        await asyncio.to_thread(tls.look)
