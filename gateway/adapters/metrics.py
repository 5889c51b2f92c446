"""What a gateway tells Prometheus: its counters, read when somebody asks.

Decides names, units and the little HTTP server that answers ``/metrics``. Leaves out counting: the
runtime adds to plain integers (`gateway.ports.Counters`), and nothing here is called while it works.

Rules: base units (seconds, bytes) and ``_total`` for what only grows; a label's values are a closed
set (kinds of message), never a device; loopback unless asked otherwise, for there is no password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.ports import Counters

HOST: Final = "127.0.0.1"
PORT: Final = 9464
PREFIX: Final = "fleetdrill_gateway_"
DROPPED: Final = "fleetdrill_broker_messages_dropped"
US_PER_S: Final = 1_000_000


class MetricsError(OSError):
    """Nobody can be told: the port is taken."""


class Meaning(msgspec.Struct, frozen=True):
    """How one field of `Counters` is told."""

    name: str
    """Without prefix, and without ``_total``."""
    help: str
    grows: bool = True
    """A counter, else a gauge."""
    label: str = ""
    """For dictionaries: what their keys are."""
    divisor: int = 1
    """What the field is divided by to come to a base unit."""


MEANINGS: Final[dict[str, Meaning]] = {
    "messages_in": Meaning("messages_received", "Messages received.", label="kind"),
    "messages_out": Meaning("messages_published", "Messages published.", label="kind"),
    "bytes_in": Meaning("received_bytes", "Payload bytes received."),
    "bytes_out": Meaning("published_bytes", "Payload bytes published."),
    "publishes_refused": Meaning("publishes_refused", "Publishes that the broker refused."),
    "turns": Meaning("turns", "Batches of stimuli handled."),
    "commits": Meaning("commits", "Batches made durable."),
    "rows": Meaning("rows_written", "Rows made durable."),
    "commit_us_sum": Meaning(
        "commit_seconds", "Seconds that commits took, waiting included.", divisor=US_PER_S
    ),
    "commit_us_max": Meaning(
        "commit_seconds_max", "The longest commit since the start.", grows=False, divisor=US_PER_S
    ),
    "rounds": Meaning("rounds_sent", "Rounds of chunks sent."),
    "rounds_dropped": Meaning("rounds_dropped", "Rounds not sent; their devices ask again."),
    "rounds_waiting_now": Meaning("rounds_waiting", "Rounds that wait for room.", grows=False),
    "connects": Meaning("connects", "Successful connects to the broker."),
    "disconnects": Meaning("disconnects", "Connections to the broker that ended."),
    "connect_failures": Meaning("connect_failures", "Connects that failed."),
    "inbox_now": Meaning("inbox_messages", "Messages that wait to be handled.", grows=False),
    "inbox_max": Meaning("inbox_messages_max", "The longest the inbox has been.", grows=False),
    "inbox_dropped": Meaning("inbox_dropped", "QoS 0 messages that found the inbox full."),
    "outbox_rows_now": Meaning(
        "outbox_messages", "Retained payloads that the broker has not taken yet.", grows=False
    ),
    "unacked_in_now": Meaning(
        "unacknowledged_received_messages", "Received, not acknowledged yet.", grows=False
    ),
    "unacked_out_now": Meaning(
        "unacknowledged_published_messages",
        "Published, not acknowledged by the broker yet.",
        grows=False,
    ),
    "connected_now": Meaning(
        "connected", "1 while both connections are up and subscribed.", grows=False
    ),
    "starts": Meaning("starts", "Starts of the core in this process."),
}
"""Field of `Counters` to what it means; a field without a line here would be told to nobody."""


class CountersCollector(Collector):
    """Reads the counters at each scrape.

    Args:
        counters: the runtime's.
        dropped: how many messages the broker says it has dropped (``$SYS``); None when not known.
    """

    def __init__(
        self, counters: Counters, dropped: Callable[[], int | None] = lambda: None
    ) -> None:
        self._counters, self._dropped = counters, dropped

    def collect(self) -> Iterable[Metric]:
        """One family for each line of `MEANINGS`, and the broker's alarm when it is known."""
        for field, meaning in MEANINGS.items():
            yield _family(meaning, getattr(self._counters, field))
        dropped = self._dropped()
        if dropped is not None:
            yield CounterMetricFamily(
                DROPPED, "Messages that the broker dropped because a queue was full.", dropped
            )


def _family(meaning: Meaning, value: int | dict[str, int]) -> Metric:
    labels = [meaning.label] if meaning.label else None
    kind = CounterMetricFamily if meaning.grows else GaugeMetricFamily
    family = kind(PREFIX + meaning.name, meaning.help, labels=labels)
    # A copy: the runtime's thread may add a kind meanwhile.
    entries = dict(value).items() if isinstance(value, dict) else (("", value),)
    for name, number in entries:
        family.add_metric([name] if labels else [], number / meaning.divisor)
    return family


class MetricsServer:
    """Answers ``GET /metrics`` on a thread of its own.

    Args:
        counters: the runtime's.
        host: address to listen on; beyond loopback only inside a network that is trusted.
        port: port to listen on; 0 for a free one.
        dropped: as in `CountersCollector`.
        more: tells what else there is to tell.

    Raises:
        MetricsError: the port is taken.
    """

    def __init__(
        self,
        counters: Counters,
        *,
        host: str = HOST,
        port: int = PORT,
        dropped: Callable[[], int | None] = lambda: None,
        more: tuple[Collector, ...] = (),
    ) -> None:
        registry = CollectorRegistry()
        for collector in (CountersCollector(counters, dropped), *more):
            registry.register(collector)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise MetricsError(
                f"expected port {port} of {host} to be free for metrics, found: {error}; "
                f"name another one"
            ) from error
        self.host, self.port = host, int(self._server.server_port)

    @property
    def url(self) -> str:
        """Where Prometheus asks."""
        return f"http://{self.host}:{self.port}/metrics"

    def close(self) -> None:
        """Stop answering and release the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def metric_names() -> frozenset[str]:
    """All names as Prometheus stores them."""
    names = {f"{PREFIX}{m.name}{'_total' if m.grows else ''}" for m in MEANINGS.values()}
    return frozenset(names | {f"{DROPPED}_total"})
