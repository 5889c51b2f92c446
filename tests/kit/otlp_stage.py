"""A collector: takes spans by OTLP over HTTP on a thread of its own, and decodes them."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE_S = 60.0


class Seen(NamedTuple):
    """One span as it came."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    told: dict[str, Any]
    began_ns: int
    ended_ns: int
    failed: bool


class Collector:
    """Listens on a free port; `spans` are those that came.

    Args:
        tls: with a certificate; None: plain HTTP.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.spans: list[Seen] = []
        self.bodies: list[bytes] = []
        self._came = threading.Condition()
        stage = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                good = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"  # fmt: skip
                if good:
                    stage.take(body)
                told = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200 if good else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def take(self, body: bytes) -> None:
        """Decode a request."""
        with self._came:
            self.bodies.append(body)
            self.spans += spans_of(body)
            self._came.notify_all()

    def named(self, name: str) -> list[Seen]:
        """Spans of a name."""
        with self._came:
            return [span for span in self.spans if span.name == name]

    def wait_for(self, *names: str) -> None:
        """Wait until a span of each name came."""
        with self._came:
            there = self._came.wait_for(
                lambda: {span.name for span in self.spans}.issuperset(names), PATIENCE_S
            )
            found = sorted({span.name for span in self.spans})
        assert there, f"waited {PATIENCE_S} s in vain for {names}, found {found}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def spans_of(body: bytes) -> list[Seen]:
    """All spans of one request."""
    found = []
    for one in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _told(one.resource.attributes)["service.name"]
        for scope in one.scope_spans:
            for s in scope.spans:
                found.append(Seen(
                    service, s.name, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(), _told(s.attributes),
                    s.start_time_unix_nano, s.end_time_unix_nano, s.status.code == 2,
                ))  # fmt: skip
    return found


def _told(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
