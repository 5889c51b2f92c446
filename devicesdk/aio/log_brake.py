"""Which of many like lines of a log are worth writing, so that a flood of nonsense is told and not copied.

Decides that of the same event by the same culprit the first, the 10th, the 100th ... within a minute are
told, each with its count. Leaves out levels, words and sinks.

Rules: whoever sends is not trusted, so memory is bounded (`CULPRITS_MAX`) and so is what a minute can
write: ten lines for a thousand million messages of one culprit. Past the bound of culprits the others share
one count. Nothing is lost that a counter does not keep; instants are the host's nanoseconds.
"""

from __future__ import annotations

from typing import Final

from devicesdk.wire.timebase import MINUTE

WINDOW_NS: Final = MINUTE
CULPRITS_MAX: Final = 256
"""Pairs of event and culprit that are counted apart within a window."""
OTHERS: Final = "(others)"


class LogBrake:
    """Counts like lines within windows of a minute."""

    __slots__ = ("_counts", "_ends_ns")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._ends_ns = 0

    def tells(self, event: str, culprit: str, now: int) -> int:
        """How many there were in this window, this one included, if it is worth a line; else 0.

        Args:
            event: what happened; out of a small set.
            culprit: by whom; anything.
            now: instant in ns.
        """
        counts = self._counts
        if now >= self._ends_ns:
            counts.clear()
            self._ends_ns = now + WINDOW_NS
        name = event, culprit
        if name not in counts and len(counts) >= CULPRITS_MAX:
            name = event, OTHERS
        count = counts[name] = counts.get(name, 0) + 1
        return count if _is_power_of_ten(count) else 0


def _is_power_of_ten(count: int) -> bool:
    while count % 10 == 0:
        count //= 10
    return count == 1
