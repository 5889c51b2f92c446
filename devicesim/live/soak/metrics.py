"""What a running soak tells Prometheus.

Decides names, units and labels. Leaves out counting (books.py, windows.py): the numbers are read when
somebody asks, and they are those of the last settling of the books.

Rules: as for the gateway's metrics: base units, closed sets of labels, loopback only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from devicesim.live.soak.books import KINDS, Tally
from devicesim.live.soak.windows import Windows, quantiles
from devicesim.report.soak_record import Quantiles

HOST: Final = "127.0.0.1"
PREFIX: Final = "fleetdrill_soak_"


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """A soak at one moment."""

    elapsed_s: float
    devices: int
    online: int
    restarts: int
    lag_s: float
    tallies: dict[str, Tally]
    windows: Windows
    """For percentiles, which are made only when somebody asks."""
    held: dict[str, float]
    """Newest readings by subject of windows.py, MiB or counts."""


class SoakCollector(Collector):
    """Reads a soak at each scrape.

    Args:
        glance: makes the numbers.
    """

    def __init__(self, glance: Callable[[], Glance]) -> None:
        self._glance = glance

    def collect(self) -> Iterable[Metric]:
        """All families."""
        now = self._glance()
        yield _gauge("elapsed_seconds", "Real time that the soak has run.", now.elapsed_s)
        yield _gauge("devices", "Devices of the fleet.", now.devices)
        yield _gauge("devices_online", "Devices with a live session.", now.online)
        yield _gauge("lag_seconds", "How far the machine fell behind at worst.", now.lag_s)
        yield CounterMetricFamily(
            f"{PREFIX}broker_restarts", "Restarts of the broker.", now.restarts
        )
        yield from _messages(now.tallies)
        totals = now.windows.total.items()
        yield from _latencies({name: quantiles(sketch) for name, sketch in totals})
        held = GaugeMetricFamily(
            f"{PREFIX}held", "What processes hold: MiB of memory, or a count.", labels=["what"]
        )
        for what, value in now.held.items():
            held.add_metric([what], value)
        yield held


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value)


def _messages(tallies: dict[str, Tally]) -> Iterator[Metric]:
    fates = CounterMetricFamily(
        f"{PREFIX}messages", "Messages by kind and how they ended.", labels=["kind", "way", "fate"]
    )
    open_now = GaugeMetricFamily(
        f"{PREFIX}messages_open", "Messages not heard yet.", labels=["kind", "way", "fate"]
    )
    for kind, tally in tallies.items():
        way = KINDS[kind]
        counts = {"said": tally.said, "once": tally.once, "again": tally.again,
                  "nowhere": tally.nowhere, **dict(tally.causes)}  # fmt: skip
        for fate, count in counts.items():
            fates.add_metric([kind, way, fate.replace(" ", "_")], count)
        open_now.add_metric([kind, way, "waiting"], tally.waiting)
        open_now.add_metric([kind, way, "unexplained"], tally.unexplained)
    yield fates
    yield open_now


def _latencies(latencies: dict[str, Quantiles]) -> Iterator[Metric]:
    for quantile in ("p50", "p90", "p99", "max"):
        family = GaugeMetricFamily(
            f"{PREFIX}latency_{quantile}_seconds", "Latency over the soak.", labels=["metric"]
        )
        for metric, found in latencies.items():
            value: float | None = getattr(found, f"{quantile}_s")
            if value is not None:
                family.add_metric([metric], value)
        yield family
    counts = CounterMetricFamily(
        f"{PREFIX}latency_samples", "Samples of each latency.", labels=["metric"]
    )
    for metric, found in latencies.items():
        counts.add_metric([metric], found.n)
    yield counts


@contextmanager
def serving(glance: Callable[[], Glance], port: int) -> Iterator[str]:
    """Answer ``GET /metrics`` on loopback; gives the address.

    Args:
        glance: makes the numbers; called from another thread.
        port: 0 for a free one.

    Raises:
        ValueError: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(SoakCollector(glance))
    try:
        server, thread = start_http_server(port, HOST, registry)
    except OSError as error:
        raise ValueError(
            f"expected port {port} of {HOST} to be free for metrics, found: {error}"
        ) from error
    try:
        yield f"http://{HOST}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
