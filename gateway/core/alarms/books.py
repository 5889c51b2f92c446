"""Which alarms there are: open ones by kind and subject, cleared ones for a while.

Decides numbers, indices, and which cleared alarm is forgotten. Leaves out why anything is raised (alarms.py).

Rules: at most one alarm of a kind and subject is open; a number is never used twice, also not where rows were lost,
because it is never behind the clock; cleared alarms are bounded, and forgotten in the order of their ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from devicesdk.wire.timebase import MS
from gateway.core.alarms.rows import ALARM, AlarmRow, key_of
from gateway.core.effects import Persist

Batch = list[Any]
"""Effects and internal messages of one `handle`, in order."""


class Books:
    """All alarms.

    Args:
        kept_max: cleared ones.
    """

    __slots__ = ("_by_number", "_cleared", "_kept_max", "_last", "_open", "changed_ms")

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        self._by_number: dict[int, AlarmRow] = {}
        self._open: dict[str, dict[str, int]] = {}
        """Kind, subject and number of those that are open."""
        self._cleared: dict[int, None] = {}
        """In the order of their ends."""
        self._last: dict[tuple[str, str], int] = {}
        """Kind and subject to its newest alarm."""
        self.changed_ms = 0
        """A number that grows with every change."""

    def restore(self, stored: list[AlarmRow]) -> None:
        """Take durable rows."""
        for row in sorted(stored, key=lambda row: row.number):
            self._by_number[row.number] = row
            self._last[row.kind, row.subject] = row.number
            if row.open:
                self._open.setdefault(row.kind, {})[row.subject] = row.number
            self.changed_ms = max(self.changed_ms, row.number, row.last_ns // MS, row.event)
        ended = [row for row in self._by_number.values() if not row.open]
        self._cleared = dict.fromkeys(
            row.number for row in sorted(ended, key=lambda row: (row.cleared_ns, row.number))
        )

    def get(self, number: int) -> AlarmRow | None:
        """One alarm."""
        return self._by_number.get(number)

    def all(self) -> Iterator[AlarmRow]:
        """Every alarm, the oldest first."""
        return iter(self._by_number.values())

    def open_of(self, kind: str) -> dict[str, int]:
        """Subject to number of the open alarms of a kind; not to be changed."""
        return self._open.get(kind, {})

    @property
    def open_kinds(self) -> list[str]:
        """Kinds of which one is open."""
        return [kind for kind, subjects in self._open.items() if subjects]

    def open_rows(self) -> list[AlarmRow]:
        """Open alarms, the oldest first."""
        numbers = sorted(n for subjects in self._open.values() for n in subjects.values())
        return [self._by_number[number] for number in numbers]

    def last_of(self, kind: str, subject: str) -> AlarmRow | None:
        """The newest alarm of a subject, open or cleared."""
        number = self._last.get((kind, subject))
        return None if number is None else self._by_number[number]

    def new_number(self, at: int) -> int:
        """A number for an alarm that is raised at `at` (UTC, ns)."""
        return max(at // MS, max(self._by_number, default=0) + 1, 1)

    def put(self, row: AlarmRow, at: int, out: Batch) -> list[AlarmRow]:
        """Replace or add an alarm; returns those that were forgotten for it."""
        number = row.number
        self._by_number[number] = row
        self._last[row.kind, row.subject] = number
        self._cleared.pop(number, None)
        if row.open:
            self._open.setdefault(row.kind, {})[row.subject] = number
        else:
            self._open.get(row.kind, {}).pop(row.subject, None)
            self._cleared[number] = None
        self.changed_ms = max(self.changed_ms + 1, at // MS)
        out.append(Persist(ALARM, key_of(number), row))
        return self._make_room(out)

    def _make_room(self, out: Batch) -> list[AlarmRow]:
        gone: list[AlarmRow] = []
        while len(self._cleared) > self._kept_max:
            number = next(iter(self._cleared))
            del self._cleared[number]
            row = self._by_number.pop(number)
            if self._last.get((row.kind, row.subject)) == number:
                del self._last[row.kind, row.subject]
            out.append(Persist(ALARM, key_of(number), None))
            gone.append(row)
        return gone

    def validate(self) -> None:
        """Check the indices.

        Raises:
            AssertionError: they tell something else than the rows.
        """
        mine = {row.number for row in self._by_number.values() if row.open}
        indexed = {n for subjects in self._open.values() for n in subjects.values()}
        assert mine == indexed, f"open alarms {sorted(mine)}, booked {sorted(indexed)}"
        assert set(self._by_number) == mine | set(self._cleared), (
            "an alarm is neither open nor kept"
        )
        assert len(self._cleared) <= self._kept_max, f"{len(self._cleared)} cleared alarms"
        for (kind, subject), number in self._last.items():
            row = self._by_number[number]
            assert (row.kind, row.subject) == (kind, subject), f"alarm {number} is booked elsewhere"
