"""What alarm tests stand on: a core that has alarms, and a receiver of webhooks on a port of its own."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import msgspec

from devicesdk.bundle.trust import ROLE_DIRECTOR, ROLE_FLAGS
from devicesdk.wire.timebase import MS
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.gateway import Gateway, GatewayConfig
from tests_kit.agent_bundles import SIGNERS

SECRET = bytes(range(32))
QUICK = AlarmLimits(look_ns=50 * MS, broker_ns=200 * MS, calm_ns=200 * MS, webhook=True)


def core_with(limits: AlarmLimits = QUICK) -> Callable[[], Gateway]:
    """Makes cores that have alarms."""
    config = GatewayConfig(alarms=limits)
    return lambda: Gateway(config, SIGNERS[ROLE_DIRECTOR], SIGNERS[ROLE_FLAGS])


def secret_file(folder: Path) -> Path:
    """A webhook's secret that only its owner reads."""
    file = folder / "webhook.secret"
    file.touch(mode=0o600)
    file.write_text("whsec_" + b64encode(SECRET).decode() + "\n")
    return file


class Received(msgspec.Struct, frozen=True):
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        """The event in it."""
        return json.loads(self.body)


class Receiver:
    """A web server that keeps what it is sent; a context manager.

    Args:
        statuses: of its first answers; then 204.
        port: to listen on; 0: a free one.
    """

    def __init__(self, *statuses: int, port: int = 0) -> None:
        self.got: list[Received] = []
        self._statuses = list(statuses)
        self._held = threading.Event()
        self._held.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                status = receiver.take({k.lower(): v for k, v in self.headers.items()}, self.rfile.read(size))  # fmt: skip
                self.send_response(status)
                self.send_header("location", f"{receiver.url}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hooks/s3cret-path"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Keep a request; the status to answer with."""
        self.got.append(Received(headers, body))
        self._held.wait()
        return self._statuses.pop(0) if self._statuses else 204

    def hold(self) -> None:
        """Answer nobody."""
        self._held.clear()

    def go_on(self) -> None:
        """Answer again."""
        self._held.set()

    @property
    def events(self) -> list[tuple[str, str]]:
        """What was told, each id once: what happened, and to what kind of alarm."""
        found = {one.event["id"]: one.event for one in self.got}
        return [(e["type"].partition(".")[2], e["data"]["kind"]) for e in found.values()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self.go_on()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
