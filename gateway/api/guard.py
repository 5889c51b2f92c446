"""Around every request: who is turned away at once, bounds of its body, headers of its answer, and counts.

Decides the order of refusals, how long and how large a body may be and which headers every answer carries. Leaves
out who asks and what, and which heads are refused (gate.py).

Rules: an answer says what may be done with it (no sniffing, no framing, no caching of what needs a token); a body
larger than `BODY_BYTES_MAX` is refused before it is read, also where nobody said how long it is, except where a
route streams it; a body that does not come in time is refused, too. An error that nobody foresaw is told as a
problem and nothing more. Whatever is refused before somebody is known counts against their address, and
the log tells the first, the 10th, the 100th ... of each address in a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devicesdk.aio.log_brake import LogBrake
from devicesdk.wire.timebase import SECOND
from gateway.api.crowd import Crowd, peer_of
from gateway.api.gate import STREAMED, Gate
from gateway.api.limiter import ASKER, Limiter
from gateway.api.problems import HEADERS, problem
from gateway.config import HttpSection
from gateway.ports import Span
from gateway.runtime.logs import say
from gateway.runtime.tracing import ROUTE, STATUS

BODY_BYTES_MAX: Final = 256 * 1024
"""Of a JSON body, bytes."""
_RAW: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_NO_STORE: Final = (b"cache-control", b"no-store")
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
CONSOLE: Final = "/console/"
SPAN: Final = "span"
"""Where a request keeps the span that the desk began: strangers have none."""
REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 431})
"""Statuses that somebody who is not known has earned."""


class Guard:
    """Middleware.

    Args:
        app: what answers.
        said: bounds.
        gate: looks at heads.
        strangers: slows down whoever is refused before they are known.
        count: told the method and the status of each answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        said: HttpSection,
        gate: Gate,
        strangers: Limiter,
        count: Callable[[str, int], None],
    ) -> None:
        self._app, self._said, self._count = app, said, count
        self._gate, self._strangers, self._brake = gate, strangers, LogBrake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        out = _Out(send, private=_private(scope, headers), secure=scope["scheme"] == "https")
        peer = peer_of(scope["client"][0] if scope.get("client") else "")
        try:
            told = self._turned_away(scope, headers, peer)
            if told is not None:
                await told(scope, receive, out.send)
            else:
                await self._bounded(scope, headers, receive, out.send)
        except ClientDisconnect:
            pass  # nobody is there to be told
        except Exception as error:  # noqa: BLE001 - the last one who can tell
            say(logging.ERROR, "a request failed", path=scope["path"], error=repr(error))
            if not out.status:
                told = problem(
                    500, "the gateway failed at this: its log says more; please report it", "broken"
                )
                await told(scope, receive, out.send)
        finally:
            self._count(scope["method"], out.status)
            span: Span | None = scope["state"].get(SPAN)
            if span is not None:
                span.tell({STATUS: out.status, ROUTE: _route_of(scope)})
                span.end(failed=not 0 < out.status < 500)
            if out.status in REFUSALS and ASKER not in scope["state"]:
                self._refused(peer, out.status)

    def _turned_away(
        self, scope: Scope, headers: dict[bytes, bytes], peer: str
    ) -> JSONResponse | None:
        """What is answered at once; None: nothing is wrong with it so far."""
        crowd: Crowd | None = scope.setdefault("state", {}).get("crowd")
        why = "" if crowd is None else crowd.over(peer)
        if why:
            return problem(503, why, "busy", headers={"Retry-After": "1", "Connection": "close"})
        told = self._gate.refusal(scope, headers)
        if told is None and (b"authorization" in headers or not scope["path"].startswith("/v1/")):
            return None
        wait_ns = self._strangers.wait_ns(peer, _now_ns())
        if not wait_ns:
            return told
        seconds = -(-wait_ns // SECOND)
        detail = f"expected {peer} to ask less often without a token: wait {seconds} s"
        return problem(429, detail, "too-often", headers={"Retry-After": str(seconds)})

    def _refused(self, peer: str, status: int) -> None:
        now_ns = _now_ns()
        if status not in (401, 429):  # 401: the desk took it
            self._strangers.take(peer, now_ns)
        count = self._brake.tells("refused", peer, now_ns)
        if count:
            say(logging.WARNING, "a stranger was refused", peer=peer, status=status, count=count)

    async def _bounded(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        length = headers.get(b"content-length")
        if length is None and b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(STREAMED):
            body = _Body(receive, self._said.upload_idle_s_max, None)
        elif length is not None and not (length.isdigit() and int(length) <= BODY_BYTES_MAX):
            told = problem(
                413,
                f"expected at most {BODY_BYTES_MAX} bytes, found {length[:20].decode('latin1')}",
            )
            await told(scope, receive, send)
            return
        else:
            body = _Body(receive, self._said.body_s_max, BODY_BYTES_MAX)
        await self._app(scope, body.receive, send)


def _private(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether an answer is for nobody else: all but the console's files."""
    return b"authorization" in headers or not scope["path"].startswith(CONSOLE)


def _route_of(scope: Scope) -> str:
    """The template of the path that was asked, such as ``/v1/rollouts/{id}``; never the path itself."""
    return str(getattr(scope.get("route"), "path", ""))


def _now_ns() -> int:
    return int(asyncio.get_running_loop().time() * SECOND)


class _Out:
    """The sending side of one request: puts the headers on."""

    __slots__ = ("_private", "_secure", "_send", "status")

    def __init__(self, send: Send, *, private: bool, secure: bool) -> None:
        self._send, self._private, self._secure = send, private, secure
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            present = {name for name, _ in headers}
            headers += [pair for pair in _RAW if pair[0] not in present]
            if self._private and b"cache-control" not in present:
                headers.append(_NO_STORE)
            if self._secure:
                headers.append(_HSTS)
            message["headers"] = headers
        await self._send(message)


class _Body:
    """The receiving side of one request with a body.

    Args:
        receive: the server's.
        s_max: for the whole body where it is bounded, else for each part of it.
        bytes_max: None: a route streams it.
    """

    __slots__ = ("_bytes", "_bytes_max", "_over", "_receive", "_s_max", "_until")

    def __init__(self, receive: Receive, s_max: float, bytes_max: int | None) -> None:
        self._receive, self._s_max, self._bytes_max = receive, s_max, bytes_max
        self._until = asyncio.get_running_loop().time() + s_max
        self._bytes, self._over = 0, False

    async def receive(self) -> Message:
        if self._over:
            return await self._receive()
        if self._bytes_max is None:
            self._until = asyncio.get_running_loop().time() + self._s_max
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(
                408,
                f"expected the body within {self._s_max:g} s, found {self._bytes} bytes of it: send it again",
                {"Connection": "close"},
            ) from None
        self._over = not message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        if self._bytes_max is not None and self._bytes > self._bytes_max:
            raise HTTPException(413, f"expected at most {self._bytes_max} bytes, found more")
        return message
