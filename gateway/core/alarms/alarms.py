"""Alarms: conditions that last are raised once, and cleared once.

Decides when an alarm is raised, escalates, is cleared, and what people may do to it. Leaves out what is bad
(rules.py), what is seen (gateway/core/conditions.py, gateway/runtime/probes.py), the books (books.py) and who is told
(telling.py).

Theory of operation. A condition is told as readings of a kind: all subjects of that kind that could be bad, with a
value each; who is not named is well. A subject whose value has been bad for the rule's time is raised; one that has
been calm for the calm time is cleared; a value between the two levels is neither, and leaves both clocks where hysteresis
needs them: it ends a wait to be raised, and ends a calm. An alarm that is raised again soon after its end, or while
it is silent, is the same alarm, and each time its calm must last twice as long: whatever flaps, raises the fewer
events the longer it does.

    bad for `for_ns`          RAISED ---acknowledge---> ACKNOWLEDGED
    ----------------------->    |  <----gets worse--------   |
    bad again within flap_ns    +---calm for `calm_ns`-------+---> CLEARED
    <---------------------------------------------------------------

Rules: all instants are UTC nanoseconds; a restart forgets only how long a subject had been bad or calm, never an alarm; sinks are
told of an end exactly when they were told of the beginning; silence keeps a beginning from sinks, and if it still
holds when silence ends they are told then; silence is of what was seen, so getting worse ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from devicesdk.wire.timebase import MS, SECOND, format_duration
from gateway.core.alarms import notes
from gateway.core.alarms.books import Batch, Books
from gateway.core.alarms.limits import AlarmLimits
from gateway.core.alarms.rows import ALARM, DELIVERY, AlarmRow, DeliveryRow, State
from gateway.core.alarms.rules import (
    BROKER_DOWN,
    FULL,
    SUBJECT_CHARS_MAX,
    WORDS_CHARS_MAX,
    Level,
    Rule,
    Severity,
    rules_of,
)
from gateway.core.alarms.telling import Telling
from gateway.core.alarms.views import AlarmCounts, AlarmView, view
from gateway.core.effects import Note
from gateway.core.stimuli import (
    AcknowledgeAlarm,
    AlarmDelivered,
    BrokerDown,
    BrokerUp,
    Observed,
    Reading,
    SilenceAlarm,
    Started,
    Stimulus,
)

BROKER: Final = "broker"
NOT_YET: Final = "not connected since the start"
WHO_CHARS_MAX: Final = 80
DOUBLINGS_MAX: Final = 16


class Alarms:
    """The alarms machine.

    Args:
        limits: thresholds, bounds and sinks.

    Raises:
        ValueError: thresholds that contradict each other.
    """

    __slots__ = (
        "_books", "_calm", "_limits", "_look_ns", "_offset_ns", "_over", "_pending", "_rules", "_telling",
        "_up", "_why_down",
    )  # fmt: skip

    def __init__(self, limits: AlarmLimits) -> None:
        self._limits = limits
        self._rules = rules_of(limits)
        self._books, self._telling = Books(limits.kept_max), Telling(limits, self._rules)
        self._pending: dict[str, dict[str, int]] = {}
        """Kind and subject to since when it is bad and not raised yet."""
        self._calm: dict[int, int] = {}
        """Number of an open alarm to since when its condition is calm."""
        self._over: dict[str, int] = {}
        """Kind to how many subjects had no room."""
        self._look_ns: int | None = None
        self._offset_ns = 0
        self._up, self._why_down = False, NOT_YET

    # -- the machine ---------------------------------------------------------------------------

    def handle(self, stimulus: Stimulus, now: int) -> Batch:
        """Take one stimulus; anything that is not for us does nothing."""
        out: Batch = []
        match stimulus:
            case Started(wall_ms=wall_ms):
                self._offset_ns = wall_ms * MS - now
                self._look_ns = now
            case BrokerUp():
                self._up = True
                self._telling.say_again(self._books.open_rows(), out)
            case BrokerDown(reason=reason):
                self._up, self._why_down = False, reason
            case Observed(kind=kind, readings=readings):
                self._observe(kind, readings, now + self._offset_ns, out)
            case AcknowledgeAlarm():
                self._acknowledge(stimulus, now + self._offset_ns, out)
            case SilenceAlarm():
                self._silence(stimulus, now + self._offset_ns, out)
            case AlarmDelivered(event=event, dropped=dropped):
                self._telling.gone(event, dropped, out)
            case _:
                pass
        return out

    def deadline(self) -> tuple[int, str] | None:
        """When conditions are looked at next."""
        return None if self._look_ns is None else (self._look_ns, "alarms: a look at conditions")

    def due(self, now: int) -> bool:
        """Whether it is time to `look`."""
        return self._look_ns is not None and now >= self._look_ns

    def look(self, seen: Mapping[str, Sequence[Reading]], now: int) -> Batch:
        """Take what was seen of the core's own conditions, by kind."""
        out: Batch = []
        at = now + self._offset_ns
        self._look_ns = now + self._limits.look_ns
        for kind, readings in seen.items():
            self._observe(kind, readings, at, out)
        away = () if self._up else (Reading(BROKER, 1, self._why_down),)
        self._observe(BROKER_DOWN, away, at, out)
        full = [Reading(kind, count) for kind, count in self._over.items() if count]
        self._observe(FULL, full, at, out)
        for kind in self._books.open_kinds:
            if kind not in self._rules:  # nobody looks at it any more
                for number in list(self._books.open_of(kind).values()):
                    self._clear(number, at, out)
        self._end_silences(at, out)
        return out

    def restore(self, stored: Iterable[tuple[str, str, Any]]) -> None:
        """Take durable rows into a new machine."""
        alarms: list[AlarmRow] = []
        waiting: list[DeliveryRow] = []
        for table, _, row in stored:
            if table == ALARM:
                alarms.append(row)
            elif table == DELIVERY:
                waiting.append(row)
        self._books.restore(alarms)
        self._telling.restore(alarms, waiting)

    def validate(self) -> None:
        """Check the whole state.

        Raises:
            AssertionError: something that must always hold does not.
        """
        self._books.validate()
        for kind, subjects in self._pending.items():
            held = self._books.open_of(kind)
            both = subjects.keys() & held.keys()
            assert not both, f"{kind} of {sorted(both)} is raised and waits to be"
            assert len(subjects) + len(held) <= self._limits.each_max, f"too many of {kind}"
        waiting = len(self._telling.waiting)
        assert waiting <= self._limits.deliveries_max, f"{waiting} events wait"

    # -- for people ----------------------------------------------------------------------------

    def views(self) -> list[AlarmView]:
        """All alarms, the oldest first."""
        rows = sorted(self._books.all(), key=lambda row: row.number)
        return [view(row, self._rules) for row in rows]

    def view(self, number: int) -> AlarmView | None:
        """One alarm; None when it is not known (any more)."""
        row = self._books.get(number)
        return None if row is None else view(row, self._rules)

    def counts(self) -> AlarmCounts:
        """Open alarms in sum."""
        rows = self._books.open_rows()
        raised = sum(row.state is State.RAISED for row in rows)
        return AlarmCounts(
            open=len(rows),
            raised=raised,
            acknowledged=len(rows) - raised,
            critical=sum(row.severity is Severity.CRITICAL for row in rows),
            silent=sum(bool(row.silent_until_ns) for row in rows),
            newest=self._books.changed_ms,
        )

    def by_label(self) -> dict[tuple[str, str, str], int]:
        """How many alarms are open, by kind, severity and state."""
        found: dict[tuple[str, str, str], int] = {}
        for row in self._books.open_rows():
            labels = row.kind, row.severity.name.lower(), row.state.name.lower()
            found[labels] = found.get(labels, 0) + 1
        return found

    def waiting(self, limit: int) -> list[DeliveryRow]:
        """Up to `limit` events that wait for the webhook, the oldest first."""
        return list(self._telling.waiting.values())[:limit]

    @property
    def waiting_count(self) -> int:
        """How many events wait for the webhook."""
        return len(self._telling.waiting)

    @property
    def dropped(self) -> int:
        """How many events the webhook never took, since the process began."""
        return self._telling.dropped

    # -- conditions ----------------------------------------------------------------------------

    def _observe(self, kind: str, readings: Iterable[Reading], at: int, out: Batch) -> None:
        """Take all that was seen of one kind."""
        rule = self._rules.get(kind)
        if rule is None:
            return
        seen = {reading.subject[:SUBJECT_CHARS_MAX]: reading for reading in readings}
        held = self._books.open_of(kind)
        for subject in list(held):
            self._again(held[subject], rule, seen.get(subject), at, out)
        before, after = self._pending.get(kind, {}), {}
        room = self._limits.each_max - len(held)
        over = 0
        for subject in sorted(seen):
            if subject in held or rule.level(seen[subject].value) is not Level.BAD:
                continue
            since = before.get(subject, at)
            if room <= 0:
                over += 1
            elif at - since >= rule.for_ns:
                self._raise(rule, since, seen[subject], at, out)
                room -= 1
            else:
                after[subject] = since
                room -= 1
        self._pending[kind], self._over[kind] = after, over

    def _again(self, number: int, rule: Rule, reading: Reading | None, at: int, out: Batch) -> None:
        """An open alarm's condition was looked at."""
        row = self._books.get(number)
        assert row is not None, f"alarm {number} is open and unknown"
        level = Level.CALM if reading is None else rule.level(reading.value)
        if level is Level.CALM:
            since = self._calm.setdefault(number, at)
            if at - since >= self._calm_ns(row):
                self._clear(number, at, out)
            return
        self._calm.pop(number, None)
        if level is Level.BAD and reading is not None:
            self._still(row, rule, reading, at, out)

    def _calm_ns(self, row: AlarmRow) -> int:
        """How long an alarm must be calm: the longer, the oftener it was raised."""
        doubled = self._limits.calm_ns << min(row.count - 1, DOUBLINGS_MAX)
        return max(self._limits.calm_ns, min(doubled, self._limits.calm_ns_max))

    def _still(self, row: AlarmRow, rule: Rule, reading: Reading, at: int, out: Batch) -> None:
        """It is bad still; perhaps worse."""
        severity = max(row.severity, rule.severity(reading.value))
        words = reading.words[:WORDS_CHARS_MAX]
        worse = severity > row.severity
        if not worse and at - row.last_ns < self._limits.refresh_ns:
            return
        row = replace(row, severity=severity, value=reading.value, words=words, last_ns=at)
        if worse:
            row = replace(
                row, state=State.RAISED, acknowledged_by="", acknowledged_ns=0, acknowledged_why="",
                silent_until_ns=0,
            )  # fmt: skip
            row = self._telling.tell(row, notes.ESCALATED, at, out)
            self._telling.note(notes.ESCALATED, row, 0, out)
        self._books.put(row, at, out)

    def _raise(self, rule: Rule, since: int, reading: Reading, at: int, out: Batch) -> None:
        """Raise what has been bad since an instant."""
        subject = reading.subject[:SUBJECT_CHARS_MAX]
        old = self._books.last_of(rule.kind, subject)
        severity = rule.severity(reading.value)
        if old is not None and self._same(old, since, at):
            row = replace(
                old, state=State.RAISED, severity=severity, value=reading.value,
                words=reading.words[:WORDS_CHARS_MAX], count=old.count + 1, raised_ns=at, last_ns=at,
                cleared_ns=0, acknowledged_by="", acknowledged_ns=0, acknowledged_why="",
                silent_until_ns=0 if severity > old.severity else old.silent_until_ns,
            )  # fmt: skip
        else:
            row = AlarmRow(
                self._books.new_number(at), rule.kind, subject, State.RAISED, severity, reading.value,
                reading.words[:WORDS_CHARS_MAX], count=1, first_ns=at, raised_ns=at, last_ns=at,
            )  # fmt: skip
        if at >= row.silent_until_ns:
            row = self._telling.tell(row, notes.RAISED, at, out)
        self._telling.note(notes.RAISED, row, row.count, out)
        self._books.put(row, at, out)

    def _same(self, old: AlarmRow, since: int, at: int) -> bool:
        """Whether a condition that is bad again is the same alarm."""
        return since - old.cleared_ns < self._limits.flap_ns or at < old.silent_until_ns

    def _clear(self, number: int, at: int, out: Batch) -> None:
        self._calm.pop(number, None)
        row = self._books.get(number)
        assert row is not None, f"alarm {number} is open and unknown"
        row = replace(row, state=State.CLEARED, cleared_ns=at)
        if row.told:
            row = self._telling.tell(row, notes.CLEARED, at, out)
        self._telling.note(notes.CLEARED, row, 0, out)
        self._telling.forget(self._books.put(row, at, out), out)

    # -- people --------------------------------------------------------------------------------

    def _acknowledge(self, asked: AcknowledgeAlarm, at: int, out: Batch) -> None:
        row = self._asked_of(asked.alarm, out)
        if row is None:
            return
        if row.state is State.ACKNOWLEDGED:
            said = f"{asked.alarm}: {row.acknowledged_by} has acknowledged it already"
            out.append(Note(notes.REFUSED, said))
            return
        row = replace(
            row, state=State.ACKNOWLEDGED, acknowledged_by=asked.by[:WHO_CHARS_MAX], acknowledged_ns=at,
            acknowledged_why=asked.why,
        )  # fmt: skip
        if row.told:
            row = self._telling.tell(row, notes.ACKNOWLEDGED, at, out)
        self._telling.note(notes.ACKNOWLEDGED, row, 0, out)
        self._books.put(row, at, out)

    def _silence(self, asked: SilenceAlarm, at: int, out: Batch) -> None:
        row, most = self._asked_of(asked.alarm, out), self._limits.silence_ns_max
        if row is None:
            return
        if not 0 <= asked.for_ns <= most:
            said = f"{asked.alarm}: expected a silence of at most {format_duration(most)}"
            out.append(Note(notes.REFUSED, said))
            return
        row = replace(
            row, silent_until_ns=at + asked.for_ns if asked.for_ns else 0,
            silenced_by=asked.by[:WHO_CHARS_MAX], silenced_why=asked.why,
        )  # fmt: skip
        self._telling.note(notes.SILENCED, row, asked.for_ns // SECOND, out)
        self._books.put(row, at, out)
        if not asked.for_ns:
            self._end_silences(at, out)

    def _asked_of(self, number: int, out: Batch) -> AlarmRow | None:
        """The open alarm that somebody speaks of; None, with a note, when there is none."""
        row = self._books.get(number)
        if row is not None and row.open:
            return row
        why = "expected an alarm that is known" if row is None else "it is over already"
        out.append(Note(notes.REFUSED, f"{number}: {why}"))
        return None

    def _end_silences(self, at: int, out: Batch) -> None:
        """Tell what was raised in a silence that has ended."""
        for row in self._books.open_rows():
            if row.silent_until_ns > at:
                continue
            untold = row.state is State.RAISED and not row.told
            if untold:
                row = self._telling.tell(row, notes.RAISED, at, out)  # noqa: PLW2901 - its newer self
            if untold or row.silent_until_ns:
                self._books.put(replace(row, silent_until_ns=0), at, out)
