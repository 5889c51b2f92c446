"""Spans to a collector of OpenTelemetry, by OTLP over HTTP (protobuf).

Decides sampling, the queue, and what is counted. Leaves out what spans say (gateway/runtime/tracing.py). Imported only
where a collector is named; needs the extra ``otel``.

Rules: nothing here makes the gateway wait: spans are sent by a thread of the SDK's; the queue is bounded, and when
it is full the newest span is dropped and counted; a batch that the collector does not take within `timeout_s` is lost
and counted; the provider is our own, never the process's, so that no library that finds one tells paths or bodies
beside us. A name that is not one of `attributes` is left out: a test holds that none ever is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from devicesdk.aio.clock import Clock
from devicesdk.aio.log_brake import LogBrake
from devicesdk.wire.timebase import MS
from gateway.config import ConfigError, TelemetrySection
from gateway.ports import Span, Told, TraceTally

PATH: Final = "/v1/traces"
"""Of OTLP over HTTP (OTLP specification 1.0, "OTLP/HTTP Request"), where the endpoint has none."""
BATCH_SPANS_MAX: Final = 512
SEND_MS: Final = 1_000.0
"""Spans wait no longer than this for others."""
VALUE_CHARS_MAX: Final = 256
STEP_NS: Final = 50 * MS
CALLER_CHARS_MAX: Final = 128
_NOBODY: Final = Context()
_LOG: Final = logging.getLogger(__name__)
_QUIET: Final = ("opentelemetry.exporter", "opentelemetry.sdk")
"""Loggers that would tell each batch that is lost; we tell the first, the 10th, the 100th ... in a minute."""


def url_of(endpoint: str) -> str:
    """Where spans are posted.

    Raises:
        ConfigError: it is no URL of a collector.
    """
    found = urlsplit(endpoint)
    if found.scheme not in ("http", "https") or not found.hostname or found.username is not None:
        raise ConfigError(
            "expected otlp_endpoint in [telemetry] such as http://127.0.0.1:4318, without a name and a password "
            "(headers come by OTEL_EXPORTER_OTLP_HEADERS), found another form"
        )
    path = PATH if found.path in ("", "/") else found.path
    return urlunsplit((found.scheme, found.netloc, path, found.query, ""))


class OtlpTracing:
    """Tells a collector.

    Args:
        said: where, and bounds.
        clock: time of all spans, so that none begins before its parent.
        attributes: names that a span may say.

    Raises:
        ConfigError: the endpoint is no URL.
    """

    def __init__(self, said: TelemetrySection, clock: Clock, attributes: frozenset[str]) -> None:
        self.on = True
        self.tally = TraceTally()
        self._clock, self._attributes = clock, attributes
        self._origin_ns = clock.wall_ms() * MS - clock.now()
        session = requests.Session()
        session.trust_env = False  # the collector that is named, by no proxy
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        exporter = OTLPSpanExporter(
            url_of(said.otlp_endpoint), timeout=said.timeout_s, session=session
        )
        self._queue = Queue(exporter, self.tally, said.queue_spans_max, clock)
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(said.sample)),
            resource=Resource.create({"service.name": said.service_name}),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=VALUE_CHARS_MAX),
        )
        provider.add_span_processor(self._queue)
        self._tracer = provider.get_tracer("fleetdrill")
        self._w3c = TraceContextTextMapPropagator()

    def begin(
        self,
        name: str,
        told: Told,
        *,
        parent: Span | None = None,
        caller: str = "",
        took_us: int = 0,
    ) -> Span:
        """As `gateway.ports.Tracing` says."""
        context = _NOBODY
        if isinstance(parent, OtlpSpan):
            context = trace.set_span_in_context(parent.span, _NOBODY)
        elif caller and len(caller) <= CALLER_CHARS_MAX:
            context = self._w3c.extract({"traceparent": caller}, _NOBODY)
        began_ns = self.now_ns() - took_us * 1_000
        span = OtlpSpan(self, self._tracer.start_span(name, context, start_time=began_ns))
        span.tell(told)
        return span

    def close(self) -> None:
        """Send what waits: at most two batches that the collector does not take."""
        self._queue.shutdown()

    def now_ns(self) -> int:
        """UTC, nanoseconds; in steps only where the machine's calendar was set."""
        found = self._origin_ns + self._clock.now()
        away_ns = self._clock.wall_ms() * MS - found
        if abs(away_ns) > STEP_NS:
            self._origin_ns += away_ns
            found += away_ns
        return found

    def kept(self, told: Told) -> Told:
        """What may be said, in signs that UTF-8 has."""
        return {
            name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
            for name, value in told.items()
            if name in self._attributes
        }


class OtlpSpan:
    """One span.

    Args:
        told_to: whose.
        span: the SDK's.
    """

    __slots__ = ("_told_to", "span")

    def __init__(self, told_to: OtlpTracing, span: trace.Span) -> None:
        self._told_to, self.span = told_to, span

    @property
    def recording(self) -> bool:
        """Whether it is sent."""
        return bool(self.span.get_span_context().trace_flags.sampled)

    def tell(self, told: Told) -> None:
        """As `gateway.ports.Span` says."""
        if self.span.is_recording():
            self.span.set_attributes(self._told_to.kept(told))

    def end(self, *, failed: bool = False) -> None:
        """As `gateway.ports.Span` says."""
        if failed and self.span.is_recording():
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end(self._told_to.now_ns())


class Queue(SpanProcessor):
    """A bounded queue before the SDK's, which would drop the oldest and tell nobody how many.

    Args:
        exporter: sends.
        tally: where it is counted.
        spans_max: that wait. Full: the newest is dropped.
        clock: of the log's brake.
    """

    def __init__(
        self, exporter: SpanExporter, tally: TraceTally, spans_max: int, clock: Clock
    ) -> None:
        self._tally, self._spans_max = tally, spans_max
        self._sender = Sender(exporter, tally, clock)
        self._batches = BatchSpanProcessor(
            self._sender,
            max_queue_size=spans_max,
            schedule_delay_millis=SEND_MS,
            max_export_batch_size=min(BATCH_SPANS_MAX, spans_max),
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, on the loop's thread alone; unsampled ones never come here."""
        tally = self._tally
        if self._sender.closing or tally.waiting_now >= self._spans_max:
            tally.dropped += 1
            return
        tally.accepted += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        """Send what waits, and end the thread."""
        self._sender.closing = True
        self._batches.shutdown()  # type: ignore[no-untyped-call]


class Sender(SpanExporter):
    """The exporter, counted. Used by the thread of the queue alone.

    Args:
        exporter: sends.
        tally: where it is counted.
        clock: of the log's brake.
    """

    def __init__(self, exporter: SpanExporter, tally: TraceTally, clock: Clock) -> None:
        self._exporter, self._tally, self._clock = exporter, tally, clock
        self._brake, self._away = LogBrake(), False
        self.closing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; at the end nothing more to a collector that took the last one not."""
        tally = self._tally
        tally.taken += len(spans)
        if self.closing and self._away:
            tally.failed += len(spans)
            return SpanExportResult.FAILURE
        try:
            found = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - the SDK would tell each one
            found = SpanExportResult.FAILURE
        self._away = found is not SpanExportResult.SUCCESS
        if not self._away:
            tally.exported += len(spans)
            return found
        tally.failed += len(spans)
        count = self._brake.tells("spans", "collector", self._clock.now())
        if count:
            _LOG.warning("spans were not taken", extra={"fields": {
                "spans": len(spans), "count": count, "hint": "is the collector of [telemetry] there?"}})  # fmt: skip
        return found

    def shutdown(self) -> None:
        """Close connections."""
        self._exporter.shutdown()
