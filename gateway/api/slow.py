"""HTTP/1.1 connections that may not take for ever to say what they want, nor to hear what they asked for.

Decides when a connection is closed whose request head does not come, or whose answer is not read, and what is
answered to what is no HTTP. Leaves out HTTP itself (uvicorn, h11), bodies (guard.py), how many connections there
are (crowd.py), and idle connections between requests (uvicorn's keep-alive).

Rules: from the connection's beginning, or from the first byte of a later request, a whole head must come within
`head_s_max`; whatever trickles in meanwhile wins no time. An answer that the peer's side does not take in within
`send_s_max` ends the connection, also one that is closing already. What a stranger sends writes no line of a log.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any, Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.api.problems import HEADERS, MEDIA, body_of

HEAD_S_MAX: Final = 10.0
SEND_S_MAX: Final = 30.0
_CLOSE: Final = [
    (b"content-type", MEDIA.encode()),
    (b"connection", b"close"),
    (b"cache-control", b"no-store"),
    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
]
_WORDS: Final = {431: "a shorter head", 501: "a body with a length, or chunked"}


class HastyProtocol(H11Protocol):
    """uvicorn's protocol with bounds of time.

    Args:
        config: of the server.
        server_state: of the server.
        app_state: in ``scope["state"]`` of each request.
        head_s_max: how long a head may take.
        send_s_max: how long an answer may wait for its reader.
        on_lost: told when the connection is over.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        head_s_max: float,
        send_s_max: float,
        on_lost: Callable[[], None],
    ) -> None:
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self._head_s_max, self._send_s_max, self._on_lost = head_s_max, send_s_max, on_lost
        self._head: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is whole ends the wait."""
        super().data_received(data)
        if self.transport.is_closing():
            self._await_reader()
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete:
            self._await_head()
        else:
            self._head_came()

    def pause_writing(self) -> None:
        """The peer does not read as fast as we answer."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._was_read()

    def on_response_complete(self) -> None:
        """An answer was handed over; one that closes the connection must be read, too."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_reader()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came after an answer; whoever has not read that one holds nothing for long."""
        super().timeout_keep_alive_handler()
        self._await_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._head_came()
        self._was_read()
        super().connection_lost(exc)
        self._on_lost()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, if nothing else was answered yet; then close."""
        del msg  # h11's error says more
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._tell(status, f"expected {_WORDS.get(status, 'HTTP/1.1')}, found: {error}")
        self.transport.close()

    def _tell(self, status: int, detail: str) -> None:
        body = json.dumps(body_of(status, detail)).encode()
        length = (b"content-length", b"%d" % len(body))
        for event in (
            h11.Response(status_code=status, headers=[*_CLOSE, length]),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade that we do not know is no upgrade (RFC 9110, 7.8), and no news."""

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(self._head_s_max, self._too_slow)

    def _await_reader(self) -> None:
        if self._reader is None:
            self._reader = self.loop.call_later(self._send_s_max, self._too_slow)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _was_read(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _too_slow(self) -> None:
        """Also of a transport that is closing: it would wait for a reader for ever."""
        self.transport.abort()
