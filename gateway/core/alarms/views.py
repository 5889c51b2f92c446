"""Alarms as people and sinks are told of them.

Decides names and the JSON of an event. Leaves out who is told.

Rule: an event is written once and sent as it was written, so whoever gets it twice gets the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from devicesdk.wire.timebase import MS
from gateway.core.alarms.rows import AlarmRow
from gateway.core.alarms.rules import Rule

_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode


class AlarmView(msgspec.Struct, frozen=True):
    """One alarm. Instants are UTC, milliseconds; 0: not."""

    id: int
    kind: str
    subject: str
    """Whom it concerns: a rollout, a cohort, a file."""
    severity: str
    """warning or critical."""
    state: str
    """raised, acknowledged or cleared."""
    says: str
    """A sentence."""
    value: int
    unit: str
    """Of the value; empty: a mark."""
    count: int
    """How often it was raised; more than once, it flaps."""
    first_ms: int
    raised_ms: int
    last_ms: int
    """When the condition was last seen, to within some minutes."""
    cleared_ms: int
    acknowledged_by: str
    acknowledged_ms: int
    acknowledged_why: str
    silent_until_ms: int
    silenced_by: str
    silenced_why: str
    event: int
    """Number of the last event that was told of it; 0: none was."""


class AlarmCounts(msgspec.Struct, frozen=True):
    """Open alarms in sum."""

    open: int
    raised: int
    acknowledged: int
    critical: int
    silent: int
    newest: int
    """Number of the newest change of any alarm: whoever has seen it has seen all."""


class AlarmEvent(msgspec.Struct, frozen=True):
    """What sinks are told."""

    id: str
    """The same for every attempt."""
    type: str
    """alarm.raised, alarm.escalated, alarm.acknowledged or alarm.cleared."""
    timestamp: int
    """UTC, milliseconds."""
    data: AlarmView


def says(row: AlarmRow, rules: Mapping[str, Rule]) -> str:
    """An alarm as a sentence."""
    rule = rules.get(row.kind)
    if rule is None:
        return f"{row.kind}: {row.subject} ({row.words})"
    return rule.sentence.format(subject=row.subject, value=row.value, words=row.words or "-")


def view(row: AlarmRow, rules: Mapping[str, Rule]) -> AlarmView:
    """An alarm for people."""
    rule = rules.get(row.kind)
    return AlarmView(
        id=row.number,
        kind=row.kind,
        subject=row.subject,
        severity=row.severity.name.lower(),
        state=row.state.name.lower(),
        says=says(row, rules),
        value=row.value,
        unit="" if rule is None else rule.unit,
        count=row.count,
        first_ms=row.first_ns // MS,
        raised_ms=row.raised_ns // MS,
        last_ms=row.last_ns // MS,
        cleared_ms=row.cleared_ns // MS,
        acknowledged_by=row.acknowledged_by,
        acknowledged_ms=row.acknowledged_ns // MS,
        acknowledged_why=row.acknowledged_why,
        silent_until_ms=row.silent_until_ns // MS,
        silenced_by=row.silenced_by,
        silenced_why=row.silenced_why,
        event=row.event,
    )


def event_id(number: int) -> str:
    """The id of an event."""
    return f"evt_{number}"


def event_of(row: AlarmRow, rules: Mapping[str, Rule]) -> bytes:
    """The JSON of an alarm's newest event."""
    return _ENCODE(AlarmEvent(event_id(row.event), row.change, row.event, view(row, rules)))
