"""What Prometheus is told of alarms."""

from prometheus_client import CollectorRegistry, generate_latest

from gateway.adapters.alarm_metrics import AlarmsCollector
from gateway.core.alarms.rules import KINDS
from gateway.ports import AlarmTally


def told(tally):
    registry = CollectorRegistry()
    registry.register(AlarmsCollector(tally))
    lines = generate_latest(registry).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_each_kind_is_there_before_anything_happens():
    found = told(AlarmTally())
    kinds = {line.split('kind="')[1].split('"')[0] for line in found if "kind=" in line}
    assert kinds == set(KINDS)
    assert set(found.values()) == {"0.0"}


def test_open_alarms_by_kind_severity_and_state_and_what_waits():
    tally = AlarmTally({("disk", "critical", "acknowledged"): 2}, 3, 4)
    found = told(tally)
    assert found['fleetdrill_alarms{kind="disk",severity="critical",state="acknowledged"}'] == "2.0"
    assert found["fleetdrill_alarm_deliveries_waiting"] == "3.0"
    assert found["fleetdrill_alarm_deliveries_dropped_total"] == "4.0"
