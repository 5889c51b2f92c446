"""Alarms for Prometheus: how many are open, by kind, severity and state.

Decides names. Leaves out counting (gateway/runtime/lookout.py).

Rule: labels are closed sets, never a subject: who asks further asks the API.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.core.alarms.rules import KINDS
from gateway.ports import AlarmTally

ALARMS: Final = "fleetdrill_alarms"
WAITING: Final = "fleetdrill_alarm_deliveries_waiting"
DROPPED: Final = "fleetdrill_alarm_deliveries_dropped"
_OTHERS: Final = ("warning", "raised")
"""Told as 0 of each kind, so that a graph has a beginning."""


class AlarmsCollector(Collector):
    """Reads the tally at each scrape.

    Args:
        tally: what was counted.
    """

    def __init__(self, tally: AlarmTally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        """The three families."""
        tally = self._tally
        found = {(kind, *_OTHERS): 0 for kind in KINDS} | tally.open_now
        family = GaugeMetricFamily(ALARMS, "Open alarms.", labels=["kind", "severity", "state"])
        for labels, number in sorted(found.items()):
            family.add_metric(list(labels), number)
        yield family
        yield GaugeMetricFamily(
            WAITING, "Events that the webhook has not taken yet.", tally.deliveries_waiting_now
        )
        yield CounterMetricFamily(
            DROPPED, "Events that the webhook never took.", tally.deliveries_dropped
        )
