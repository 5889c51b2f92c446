"""Spans to a collector: what may be said, the bounded queue, and an end that does not wait for ever."""

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from devicesdk.aio.clock import RealClock
from gateway.adapters.tracing import OtlpTracing, Sender
from gateway.config import TelemetrySection
from gateway.ports import TraceTally, Untraced
from tests_kit.otlp_stage import Collector

NAMES = frozenset({"a.name", "a.number"})


def tracing(url, **more):
    return OtlpTracing(TelemetrySection(otlp_endpoint=url, **more), RealClock(), NAMES)


def test_only_known_names_are_said_and_long_or_broken_text_is_cut_and_mended():
    with Collector() as collector:
        made = tracing(collector.url)
        span = made.begin(
            "x", {"a.name": "\ud800" + "y" * 999, "token": "fd_secret"}, took_us=5_000
        )
        span.tell({"a.number": 7, "payload": "bytes"})
        span.end(failed=True)
        span.tell({"a.number": 8})
        made.close()
    (seen,) = collector.spans
    assert seen.told == {"a.name": ("?" + "y" * 999)[:256], "a.number": 7}
    assert seen.failed
    assert seen.ended_ns - seen.began_ns >= 5_000_000


class Away(SpanExporter):
    """A collector that takes nothing."""

    def __init__(self):
        self.asked = 0

    def export(self, spans):
        self.asked += 1
        return SpanExportResult.FAILURE


def test_a_full_queue_drops_the_newest_and_each_span_is_counted_once():
    with Collector() as collector:
        made = tracing(collector.url, queue_spans_max=1)
        for number in range(500):
            made.begin("x", {"a.number": number}).end()
        made.close()
        made.begin("x", {}).end()
    tally = made.tally
    assert tally.dropped > 0, "it was full"
    assert (tally.exported + tally.dropped, tally.failed, tally.waiting_now) == (501, 0, 0)
    kept = [span.told["a.number"] for span in collector.spans]
    assert (len(kept), kept[0]) == (tally.exported, 0), "the first to come was sent"


def test_the_end_does_not_ask_a_collector_again_that_is_away():
    with Collector() as collector:
        source = tracing(collector.url, sample=1.0)
        spans = [source.begin("x", {"a.number": number}).span for number in range(3)]
        away, tally = Away(), TraceTally()
        sender = Sender(away, tally, RealClock())
        sender.export(spans)
        sender.export(spans)
        assert (away.asked, tally.failed) == (2, 6), "while nothing ends it is asked each time"
        sender.closing = True
        assert sender.export(spans) is SpanExportResult.FAILURE
        assert (away.asked, tally.failed, tally.taken) == (2, 9, 9)
        source.close()


def test_nobody_listens_and_nothing_is_said():
    off = Untraced()
    span = off.begin("x", {"a.name": "y"})
    span.tell({"a.number": 1})
    span.end()
    off.close()
    assert (off.on, span.recording, off.tally) == (False, False, TraceTally())
