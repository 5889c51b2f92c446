"""Sockets that listen, and the first steps of a connection: counted, then TLS, then HTTP.

Decides who is let in at the socket, and how long a handshake may take. Leaves out what counts as too many (crowd.py)
and what is said then (slow.py).

Rules: every connection is counted from its first packet on, so that whoever never finishes a handshake is bounded like
anybody else; a connection shows the certificate of the instant in which it began; out of file descriptors, nothing
is accepted for a moment, and what listens goes on listening.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from gateway.api.crowd import Crowd, peer_of
from gateway.api.slow import HastyProtocol

BACKLOG: Final = 256
GOODBYE_S_MAX: Final = 2.0
"""For the other side's part of TLS's end."""
BREATH_S: Final = 0.1
"""After the machine refused to accept."""

Make = Callable[[Callable[[], None]], HastyProtocol]
"""A protocol that tells when its connection is over."""


class Listening:
    """What listens, in the shape that uvicorn expects of a server.

    Args:
        sockets: bound, not listening yet.
        crowd: who is here.
        make: the protocol of a connection.
        context: TLS of this instant; None: none.
        shake_s_max: how long a handshake may take.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        crowd: Crowd,
        make: Make,
        context: Callable[[], ssl.SSLContext | None],
        shake_s_max: float,
    ) -> None:
        self.sockets, self._crowd, self._make = sockets, crowd, make
        self._context, self._shake_s_max = context, shake_s_max
        self._beginning: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        for one in sockets:
            one.listen(BACKLOG)
        self._tasks = [loop.create_task(self._accept(one)) for one in sockets]

    def close(self) -> None:
        """Let nobody in any more."""
        for task in (*self._tasks, *self._beginning):
            task.cancel()
        for one in self.sockets:
            one.close()

    async def wait_closed(self) -> None:
        """Wait until nobody is on the way in."""
        await asyncio.gather(*self._tasks, *self._beginning, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, name = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(BREATH_S)
                continue
            peer = peer_of(name[0])
            if not self._crowd.enter(peer):
                accepted.close()
                continue
            task = loop.create_task(self._begin(accepted, peer))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, accepted: socket.socket, peer: str) -> None:
        """From the first packet to whoever speaks HTTP."""
        place, context = _Place(self._crowd, peer), self._context()
        bounds = (
            {"ssl_handshake_timeout": self._shake_s_max, "ssl_shutdown_timeout": GOODBYE_S_MAX}
            if context is not None
            else {}
        )
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._make(place.leave), accepted, ssl=context, **bounds
            )
        except OSError:  # ssl.SSLError is one; so is the end of patience
            place.leave()
            accepted.close()
        except asyncio.CancelledError:
            place.leave()
            raise


class _Place:
    """One connection's place in the crowd; given up once."""

    __slots__ = ("_crowd", "_peer")

    def __init__(self, crowd: Crowd, peer: str) -> None:
        self._crowd: Crowd | None = crowd
        self._peer = peer

    def leave(self) -> None:
        crowd, self._crowd = self._crowd, None
        if crowd is not None:
            crowd.leave(self._peer)


async def bound(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of `host`; with port 0, all on one that is free.

    Raises:
        OSError: an address is taken, or is not this machine's.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    made: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            made.append(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken = made[0].getsockname()[1] if len(made) > 1 else port
            one.bind((address[0], taken, *address[2:]))
    except OSError as error:
        for one in made:
            one.close()
        raise OSError(f"expected to listen on {host}:{port}, found: {error}") from error
    return made
