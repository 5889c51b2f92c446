"""What Prometheus hears, against the counters."""

from __future__ import annotations

import urllib.error
import urllib.request

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.metrics import (
    DROPPED,
    HOST,
    MEANINGS,
    PREFIX,
    MetricsError,
    MetricsServer,
    metric_names,
)
from gateway.ports import Counters


def scrape(server):
    with urllib.request.urlopen(server.url, timeout=60) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_counter_has_a_meaning_and_no_meaning_lacks_its_counter():
    assert set(MEANINGS) == {field.name for field in msgspec.structs.fields(Counters)}


def test_what_only_grows_is_a_counter_and_what_moves_is_a_gauge():
    for field, meaning in MEANINGS.items():
        moves = field.endswith(("_now", "_max"))
        assert meaning.grows is not moves, f"{field} is told as the wrong kind"


def test_a_scrape_sees_the_counters_as_they_are_then():
    counters = Counters()
    with MetricsServer(counters, port=0) as server:
        counters.messages_in["have"] = 3
        counters.messages_in["tel"] = 5
        counters.commit_us_sum = 1_500_000
        counters.connected_now = 1
        seen = scrape(server)
        assert seen[PREFIX + "messages_received_total", "have"] == 3
        assert seen[PREFIX + "messages_received_total", "tel"] == 5
        assert seen[PREFIX + "commit_seconds_total",] == 1.5
        assert seen[PREFIX + "connected",] == 1
        counters.messages_in["have"] += 1
        assert scrape(server)[PREFIX + "messages_received_total", "have"] == 4


def test_the_names_are_those_that_are_declared():
    counters = Counters()
    counters.messages_in["have"] = counters.messages_out["want"] = 1
    with MetricsServer(counters, port=0, dropped=lambda: 7) as server:
        seen = scrape(server)
    assert {name for name, *_ in seen} == metric_names()
    assert seen[DROPPED + "_total",] == 7


def test_a_count_of_drops_that_is_not_known_is_not_told():
    with MetricsServer(Counters(), port=0) as server:
        assert (DROPPED + "_total",) not in scrape(server)


def test_it_listens_on_loopback_and_releases_its_port():
    server = MetricsServer(Counters(), port=0)
    assert server.host == HOST == "127.0.0.1"
    with pytest.raises(MetricsError, match="name another one"):
        MetricsServer(Counters(), port=server.port)
    server.close()
    with pytest.raises(urllib.error.URLError):
        scrape(server)
    MetricsServer(Counters(), port=server.port).close()
