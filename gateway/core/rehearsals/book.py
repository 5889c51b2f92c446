"""The book of rehearsals: who asked for which, what came of it, and whether a plan has been rehearsed.

Decides how many may wait, which are kept, and when a rehearsal counts for a plan. Leaves out rehearsing
(gateway/runtime/rehearsals.py) and what a verdict says (job.py).

Rules: a rehearsal counts for exactly the plan and the bundle that were rehearsed, and the newest that has ended decides;
one with fewer virtual fleets than are asked for can only speak against a plan: luck is not drawn again until it is good;
one that was cancelled while it ran speaks against a plan, too, lest a bad end be avoided; cancelled before, it says nothing; one that a restart interrupted is lost and says so; verdicts are rows like any other: durable before anybody is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from gateway.core.effects import Persist
from gateway.core.rehearsals.job import FAILED, HELD, REFUSED, Verdict
from gateway.core.rows import Row

REHEARSAL: Final = "rehearsal"
WAITS, RUNS, LOST, BROKEN = "waits", "runs", "lost", "broken"
CANCELLED: Final = "cancelled"
"""Beside a verdict's outcomes: not begun, under way, interrupted by a restart, ended without a verdict, or by somebody."""
OPEN: Final = (WAITS, RUNS)
STATES: Final = (WAITS, RUNS, HELD, FAILED, REFUSED, LOST, BROKEN, CANCELLED)
WAITING_MAX: Final = 8
"""Rehearsals that wait or run. Full: the next is refused."""
KEPT_MAX: Final = 100
"""Full: the oldest that has ended is forgotten, those first that never began: they say nothing. The audit log has what came
of it."""


class RehearsalRow(Row, frozen=True, array_like=True):
    """One rehearsal; the key is its number, twelve digits. Instants are UTC, ms; 0: not yet."""

    number: int
    asked_by: str
    asked_ms: int
    rollout: str
    """Id of the plan."""
    bundle: str
    plan: bytes
    """As JSON."""
    plan_digest: bytes
    bundle_digest: bytes
    seeds: tuple[int, ...]
    known_devices: int
    """How many the registry knew when it was asked for."""
    state: str = WAITS
    began_ms: int = 0
    ended_ms: int = 0
    why: str = ""
    verdict: bytes = b""
    """As JSON; empty: there is none."""


class BookFullError(Exception):
    """Too many rehearsals wait already."""


class Book:
    """All rehearsals that are kept."""

    def __init__(self) -> None:
        self._by_number: dict[int, RehearsalRow] = {}
        self._next = 1

    def restore(self, stored: Iterable[tuple[str, RehearsalRow]], now_ms: int) -> list[Persist]:
        """Take durable rows; what was under way is lost. Returns what that changes."""
        self._by_number = {row.number: row for _, row in stored}
        self._next = max(self._by_number, default=0) + 1
        why = "the gateway was started again meanwhile: ask anew"
        out: list[Persist] = []
        for row in list(self._by_number.values()):
            if row.state in OPEN:
                out += self._kept(_ended(row, LOST, now_ms, why))
        return out

    def rows(self) -> list[RehearsalRow]:
        """All of them, the oldest first."""
        return list(self._by_number.values())

    def get(self, number: int) -> RehearsalRow | None:
        """One of them."""
        return self._by_number.get(number)

    def begun(self, at_most: int) -> list[int]:
        """Numbers of the newest that have begun, the oldest of them first: they may have left files."""
        return [row.number for row in self._by_number.values() if row.began_ms][-at_most:]

    @property
    def first_waiting(self) -> RehearsalRow | None:
        """The next to begin."""
        return next((row for row in self._by_number.values() if row.state == WAITS), None)

    def ask(self, row: RehearsalRow) -> tuple[RehearsalRow, list[Persist]]:
        """Put a new one down; its number is given here.

        Raises:
            BookFullError: too many wait.
        """
        waiting = sum(one.state in OPEN for one in self._by_number.values())
        if waiting >= WAITING_MAX:
            raise BookFullError(
                f"expected fewer than {WAITING_MAX} rehearsals that wait or run, found {waiting}: ask later"
            )
        row = msgspec.structs.replace(row, number=self._next)
        self._next += 1
        return row, [*self._kept(row), *self._forgotten()]

    def begin(self, number: int, now_ms: int) -> list[Persist]:
        """It is under way; unless it was cancelled."""
        row = self._by_number[number]
        if row.state != WAITS:
            return []
        return self._kept(msgspec.structs.replace(row, state=RUNS, began_ms=now_ms))

    def end(self, number: int, verdict: Verdict, now_ms: int) -> list[Persist]:
        """It has ended with a verdict; nothing, unless it was open."""
        if self._by_number[number].state not in OPEN:
            return []
        row = _ended(self._by_number[number], verdict.outcome, now_ms, verdict.why)
        told = msgspec.json.encode(verdict)
        return self._kept(msgspec.structs.replace(row, verdict=told))

    def fail(self, number: int, now_ms: int, why: str) -> list[Persist]:
        """It has ended without one; nothing, unless it was open."""
        if self._by_number[number].state not in OPEN:
            return []
        return self._kept(_ended(self._by_number[number], BROKEN, now_ms, why))

    def cancel(self, number: int, now_ms: int, why: str) -> list[Persist]:
        """Somebody ended it, or keeps it from beginning; nothing, unless it was open."""
        if self._by_number[number].state not in OPEN:
            return []
        return self._kept(_ended(self._by_number[number], CANCELLED, now_ms, why))

    def newest(self, plan: bytes, bundle: bytes, seeds_min: int = 1) -> RehearsalRow | None:
        """The newest that has ended of exactly this plan (its digest) and bundle (its digest), where one that held has
        so many virtual fleets, if there is one."""
        ended = [
            row
            for row in self._by_number.values()
            if row.state not in OPEN
            and row.plan_digest == plan
            and row.bundle_digest == bundle
            and not _silent(row)
        ]
        long = [row for row in ended if row.state != HELD or len(row.seeds) >= seeds_min]
        return next(reversed(long or ended), None)

    def refusal(
        self, plan: bytes, bundle: bytes, now_ms: int, good_ms: int, seeds_min: int = 1
    ) -> str:
        """Why a plan does not count as rehearsed; empty when it does."""
        row = self.newest(plan, bundle, seeds_min)
        if row is None:
            return "found none"
        if row.state != HELD:
            return f"found that rehearsal {row.number} {_WORDS[row.state]}: {row.why}"
        if len(row.seeds) < seeds_min:
            return f"found rehearsal {row.number}, which held in {len(row.seeds)} of {seeds_min} virtual fleets"
        age_ms = now_ms - row.ended_ms
        if age_ms > good_ms:
            hours = age_ms // 3_600_000
            return f"found rehearsal {row.number}, which held {hours} h ago: too long"
        return ""

    def _kept(self, row: RehearsalRow) -> list[Persist]:
        self._by_number[row.number] = row
        return [Persist(REHEARSAL, rehearsal_key(row.number), row)]

    def _forgotten(self) -> list[Persist]:
        over = len(self._by_number) - KEPT_MAX
        ended = [row for row in self._by_number.values() if row.state not in OPEN]
        ended.sort(key=lambda row: (not _silent(row), row.number))
        out: list[Persist] = []
        for number in [row.number for row in ended[: max(0, over)]]:
            del self._by_number[number]
            out.append(Persist(REHEARSAL, rehearsal_key(number), None))
        return out


_WORDS: Final = {
    FAILED: "failed",
    REFUSED: "could not be done",
    LOST: "was lost",
    BROKEN: "broke",
    CANCELLED: "was cancelled while it ran",
}


def rehearsal_key(number: int) -> str:
    """Key of a row."""
    return f"{number:012d}"


def _silent(row: RehearsalRow) -> bool:
    """Cancelled before it began."""
    return row.state == CANCELLED and not row.began_ms


def _ended(row: RehearsalRow, state: str, now_ms: int, why: str) -> RehearsalRow:
    return msgspec.structs.replace(row, state=state, ended_ms=now_ms, why=why)
