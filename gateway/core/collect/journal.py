"""Which rows make telemetry durable, and which they replace.

Decides between writing a group's entries one by one (small groups, nothing is computed) and writing
sums and cursors in their place (when the journal has grown, or a window closes). Leaves out when to
commit: the host asks.
"""

from __future__ import annotations

from gateway.core.collect import rows
from gateway.core.collect.cohorts import Cohorts
from gateway.core.collect.sources import Sources
from gateway.core.collect.window import Window
from gateway.core.effects import Persist


class Journal:
    """Entries not durable yet, and the keys of what is durable and will be replaced.

    Args:
        messages_max: entries made durable one by one before sums take their place.
    """

    __slots__ = ("_keys", "_max", "_next", "_open_keys", "_recorded", "entries")

    def __init__(self, messages_max: int) -> None:
        self.entries: list[rows.Entry] = []
        """Counted since the last checkpoint."""
        self._keys: list[str] = []
        self._open_keys: list[str] = []
        self._next = self._recorded = 0
        self._max = messages_max

    def checkpoint(self, window: Window, cohorts: Cohorts, sources: Sources) -> list[Persist]:
        """Rows to commit before what was counted so far is acknowledged."""
        if not self.entries:
            return []
        if self._recorded + len(self.entries) > self._max:
            return self._compact(window, cohorts, sources)
        row = rows.JournalRow(tuple(self.entries))
        self.entries.clear()
        return [Persist(rows.JOURNAL, self.known(self._next, len(row.entries)), row)]

    def known(self, number: int, entries: int) -> str:
        """Account for a row of the journal, just written or found at the start; returns its key."""
        key = f"{number:012d}"
        self._next = number + 1
        self._recorded += entries
        self._keys.append(key)
        return key

    def known_open(self, name: str) -> None:
        """Account for a durable row of open sums."""
        self._open_keys.append(name)

    def _compact(self, window: Window, cohorts: Cohorts, sources: Sources) -> list[Persist]:
        window.fold()
        effects = self.settle(sources)
        for cohort in cohorts.spoke():
            effects.append(Persist(rows.OPEN, cohort.name, window.open_row(cohort)))
            self.known_open(cohort.name)
        return effects

    def settle(self, sources: Sources) -> list[Persist]:
        """All cursors that moved, and the removal of the rows that the caller's batch replaces."""
        effects = [
            Persist(rows.CURSORS, f"{number:06d}", page) for number, page in sources.dirty_pages()
        ]
        effects += [Persist(rows.JOURNAL, key, None) for key in self._keys]
        effects += [Persist(rows.OPEN, key, None) for key in self._open_keys]
        self.entries.clear()
        self._keys.clear()
        self._open_keys.clear()
        self._recorded = 0
        return effects
