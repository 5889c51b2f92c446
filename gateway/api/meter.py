"""What the API tells Prometheus of itself: requests by method and status, and who listens.

Decides names. Leaves out the runtime's counters (gateway/adapters/metrics.py).

Rules: labels are closed sets: never a path, a token or a device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

REQUESTS: Final = "fleetdrill_http_requests"
LISTENERS: Final = "fleetdrill_http_event_listeners"
METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})


class Meter(Collector):
    """Counts answers.

    Args:
        listeners: how many listen to events.
    """

    def __init__(self, listeners: Callable[[], int]) -> None:
        self._listeners = listeners
        self._counts: dict[tuple[str, int], int] = {}

    def count(self, method: str, status: int) -> None:
        """Count one answer; status 0: nobody was there to take it."""
        key = (method if method in METHODS else "other", status)
        self._counts[key] = self._counts.get(key, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """Two families."""
        family = CounterMetricFamily(REQUESTS, "Requests answered.", labels=["method", "status"])
        for (method, status), number in sorted(self._counts.items()):
            family.add_metric([method, str(status)], number)
        yield family
        yield GaugeMetricFamily(LISTENERS, "Streams of events that are open.", self._listeners())
