"""What sinks are told, and what of it has not arrived.

Decides the numbers of events, what waits for the webhook, and what stands on an alarm's topic. Leaves out sending:
the webhook's is gateway/runtime/courier.py, the topic goes through control's outbox like everything retained.

Theory of operation. Every event is a row until the webhook has taken it (at least once; whoever gets it knows it by
its id), and a retained message on the alarm's own topic, ``{root}/a/{kind}/{number}``, which says how it stands now;
the topic is emptied when the alarm is forgotten. A broker may come back with an older state, so what is open is
published again whenever the broker comes back, as the same event.

Rules: numbers of events are UTC milliseconds, raised where need be, so they never repeat, also not after a restore
from a backup; what waits for the webhook is bounded, and the oldest is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from devicesdk.wire.timebase import MS
from gateway.core.alarms import notes
from gateway.core.alarms.books import Batch
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rows import DELIVERY, AlarmRow, DeliveryRow, key_of
from gateway.core.alarms.rules import Rule
from gateway.core.alarms.views import event_of, says
from gateway.core.effects import Note, Persist
from gateway.core.internal import AlarmTold


class Telling:
    """Tells sinks.

    Args:
        limits: which sinks there are, and how much waits.
        rules: for the words.
    """

    __slots__ = ("_last", "_limits", "_rules", "dropped", "waiting")

    def __init__(self, limits: AlarmLimits, rules: Mapping[str, Rule]) -> None:
        self._limits, self._rules = limits, rules
        self.waiting: dict[int, DeliveryRow] = {}
        """Events that the webhook has not taken, the oldest first."""
        self._last = 0
        self.dropped = 0
        """Events that it never took, since the process began."""

    def restore(self, alarms: Iterable[AlarmRow], waiting: Iterable[DeliveryRow]) -> None:
        """Take durable rows."""
        self.waiting = {row.event: row for row in sorted(waiting, key=lambda row: row.event)}
        self._last = max([0, *self.waiting, *(row.event for row in alarms)])

    def tell(self, row: AlarmRow, change: str, at: int, out: Batch) -> AlarmRow:
        """Tell a change; returns the alarm as it is known now."""
        self._last = max(self._last + 1, at // MS)
        told = change != notes.CLEARED
        row = replace(row, change=change, event=self._last, told=told)
        payload = event_of(row, self._rules)
        if self._limits.webhook:
            delivery = DeliveryRow(row.event, payload, at)
            self.waiting[row.event] = delivery
            out.append(Persist(DELIVERY, key_of(row.event), delivery))
            if len(self.waiting) > self._limits.deliveries_max:
                self.gone(next(iter(self.waiting)), "too many wait", out)
        if self._limits.mqtt:
            out.append(AlarmTold(self.topic(row), payload))
        return row

    def forget(self, rows: Iterable[AlarmRow], out: Batch) -> None:
        """These alarms are kept no more: nothing stands on their topics."""
        if self._limits.mqtt:
            out += [AlarmTold(self.topic(row), b"") for row in rows if row.event]

    def say_again(self, rows: Iterable[AlarmRow], out: Batch) -> None:
        """The broker is there (again), perhaps with an older state: what is open stands on its topics."""
        if self._limits.mqtt:
            for row in rows:
                if row.told:
                    out.append(AlarmTold(self.topic(row), event_of(row, self._rules)))

    def gone(self, event: int, why: str, out: Batch) -> None:
        """An event waits no more: the webhook took it, or (`why`) it is dropped."""
        if self.waiting.pop(event, None) is None:
            return
        out.append(Persist(DELIVERY, key_of(event), None))
        if why:
            self.dropped += 1
            out.append(Note(notes.DROPPED, why, event))

    def note(self, kind: str, row: AlarmRow, b: int, out: Batch) -> None:
        """Say it to the log."""
        out.append(Note(kind, says(row, self._rules), row.number, b))

    def topic(self, row: AlarmRow) -> str:
        """Where an alarm stands."""
        return f"{self._limits.root}/a/{row.kind}/{row.number}"
