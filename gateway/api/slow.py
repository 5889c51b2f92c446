"""HTTP/1.1 connections that may not take for ever to say what they want.

Decides when a connection whose request head does not come is closed. Leaves out HTTP itself (uvicorn, h11), bodies
(guard.py) and idle connections between requests (uvicorn's keep-alive).

Rules: from the connection's beginning, or from the first byte of a later request, a whole head must come within
`head_s_max`; whatever trickles in meanwhile wins no time.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_S_MAX = 10.0


class HastyProtocol(H11Protocol):
    """uvicorn's protocol with a bound for heads; `head_s_max` is set by whoever listens."""

    head_s_max = HEAD_S_MAX
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is whole ends the wait."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete:
            self._await_head()
        else:
            self._head_came()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._head_came()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(self.head_s_max, self._too_slow)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _too_slow(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            self.transport.abort()


def hasty(head_s_max: float) -> type[HastyProtocol]:
    """The protocol with this bound."""
    return type("HastyProtocol", (HastyProtocol,), {"head_s_max": head_s_max})
