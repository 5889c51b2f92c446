"""Metrics: what Prometheus reads on loopback is what the books say."""

from __future__ import annotations

from urllib.request import urlopen

import pytest

from devicesim.live.soak.books import Books, Ends
from devicesim.live.soak.metrics import Glance, serving
from devicesim.live.soak.windows import Windows


def glance() -> Glance:
    books, windows = Books(["a"]), Windows(10**9)
    for seq in (1, 2):
        books.said(0, "tel", (1, seq), 0, qos=1)
    books.heard(0, "tel", (1, 1), 5)
    books.settle(10, Ends(0, [0], [1]))
    windows.took("telemetry", 5_000_000)
    return Glance(
        elapsed_s=12.0, devices=1, online=1, restarts=3, lag_s=0.0, tallies=books.tallies,
        windows=windows, held={"rss": 200.0},
    )  # fmt: skip


def test_what_is_served_is_what_was_counted() -> None:
    with serving(glance, 0) as url:
        assert url.startswith("http://127.0.0.1:")
        text = urlopen(url, timeout=60).read().decode()
    for line in (
        'fleetdrill_soak_messages_total{fate="said",kind="tel",way="up"} 2.0',
        'fleetdrill_soak_messages_total{fate="once",kind="tel",way="up"} 1.0',
        'fleetdrill_soak_messages_open{fate="waiting",kind="tel",way="up"} 1.0',
        'fleetdrill_soak_latency_p99_seconds{metric="telemetry"} 0.005',
        'fleetdrill_soak_held{what="rss"} 200.0',
        "fleetdrill_soak_broker_restarts_total 3.0",
    ):
        assert line in text, f"{line} is missing from:\n{text}"


def test_a_taken_port_is_refused() -> None:
    with serving(glance, 0) as url:
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(ValueError, match="to be free for metrics"), serving(glance, port):
            pass
