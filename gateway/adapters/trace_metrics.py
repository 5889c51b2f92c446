"""Spans for Prometheus: how many the collector took, and how many are lost, and why.

Decides names. Leaves out counting (tracing.py), and imports nothing of OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.ports import TraceTally

SPANS: Final = "fleetdrill_trace_spans"
WAITING: Final = "fleetdrill_trace_spans_waiting"


class TracesCollector(Collector):
    """Reads the tally at each scrape.

    Args:
        tally: what was counted.
    """

    def __init__(self, tally: TraceTally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        """The two families."""
        tally = self._tally
        family = CounterMetricFamily(SPANS, "Spans by what became of them.", labels=["outcome"])
        for outcome, number in (
            ("dropped", tally.dropped),
            ("exported", tally.exported),
            ("failed", tally.failed),
        ):
            family.add_metric([outcome], number)
        yield family
        yield GaugeMetricFamily(WAITING, "Spans that wait to be sent.", tally.waiting_now)
