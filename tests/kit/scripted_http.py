"""A peer that answers HTTP by a script: one act for each request, in order; the last goes on."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; acts answer it, or do not."""

    protocol_version = "HTTP/1.1"
    peer: Scripted

    def _any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        peer = self.peer
        peer.asked.append((self.command, self.path, dict(self.headers), body))
        acts = peer.acts
        (acts.pop(0) if len(acts) > 1 else acts[0])(self)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815 - the base class's names

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Scripted:
    """The peer; a context manager that listens on a port of its own.

    Args:
        acts: what is done with each request.
        tls: speaks TLS with this.
    """

    def __init__(self, *acts: Act, tls: ssl.SSLContext | None = None) -> None:
        self.acts = list(acts)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        handler = type("Bound", (Handler,), {"peer": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] - clients leave as they like
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'' if tls is None else 's'}://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def keys(self) -> list[str | None]:
        """Idempotency keys of the requests."""
        return [headers.get("Idempotency-Key") for _, _, headers, _ in self.asked]


def answer(value: Any = None, status: int = 200, **headers: str) -> Act:
    """Answer JSON; of 400 or more, a problem."""
    media = "application/json" if status < 400 else "application/problem+json"
    return raw(json.dumps(value).encode(), status, media, **headers)


def raw(body: bytes, status: int = 200, media: str = "text/html", **headers: str) -> Act:
    """Answer bytes."""

    def act(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", media)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return act


def vanish(handler: Handler) -> None:
    """Take the request and go away without a word."""
    handler.close_connection = True
    handler.connection.close()


def stream(*events: tuple[str, Any]) -> Act:
    """Tell events, then end."""

    def act(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        for number, (kind, value) in enumerate(events, 1):
            text = f"event: {kind}\nid: {number}\ndata: {json.dumps(value)}\n\n"
            handler.wfile.write(text.encode())
        handler.close_connection = True

    return act
