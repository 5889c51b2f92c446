"""Alarms for people, and events as bytes that stay the same."""

import msgspec

from devicesdk.wire.timebase import MS
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rows import AlarmRow, State
from gateway.core.alarms.rules import Severity, rules_of
from gateway.core.alarms.views import AlarmEvent, event_of, says, view

RULES = rules_of(AlarmLimits())
ROW = AlarmRow(
    7, "offline", "fleet", State.ACKNOWLEDGED, Severity.CRITICAL, 60, "6 of 10 devices", 2, 10 * MS, 20 * MS, 30 * MS,
    acknowledged_by="ann", acknowledged_ns=25 * MS, event=9, change="alarm.acknowledged",
)  # fmt: skip


def test_a_view_has_words_and_milliseconds():
    seen = view(ROW, RULES)
    assert seen.says == "60 % of the fleet are offline (6 of 10 devices)."
    assert (seen.state, seen.severity, seen.unit, seen.count) == (
        "acknowledged",
        "critical",
        "%",
        2,
    )
    assert (seen.first_ms, seen.raised_ms, seen.last_ms, seen.acknowledged_ms) == (10, 20, 30, 25)


def test_an_alarm_of_a_kind_that_is_off_can_still_be_shown():
    row = msgspec.structs.replace(ROW, kind="gone")
    assert says(row, RULES) == "gone: fleet (6 of 10 devices)"
    assert view(row, RULES).unit == ""


def test_an_event_is_json_that_names_itself():
    told = event_of(ROW, RULES)
    event = msgspec.json.decode(told, type=AlarmEvent)
    assert (event.id, event.type, event.timestamp) == ("evt_9", "alarm.acknowledged", 9)
    assert event.data == view(ROW, RULES)
    assert told == event_of(ROW, RULES)
