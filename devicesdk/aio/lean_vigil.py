"""Keep-alive without a timer per packet: two stamps, and what is due when somebody looks.

Decides when a PINGREQ is due, when a connection counts as dead, and when to look next. Leaves out the
timer and the socket. Times are seconds of the event loop's clock.

Rules: a ping is due a keep-alive after the last word of *either* side, because one that only writes
QoS 0 hears nothing by itself. Dead is who was not heard for 1.5 keep-alives *and* a grace in which the
loop surely read: after a pause of our own the timer fires before the reads.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

GRACE_S: Final = 0.25
SILENT_KEEPALIVES: Final = 1.5


class Due(Enum):
    """What a look found."""

    NOTHING = "nothing"
    PING = "ping"
    DEATH = "death"


class Vigil:
    """Watches one connection.

    Args:
        keepalive_s: the interval in force; above 0.
        now: when the connection came up.
    """

    __slots__ = ("_doubt", "_keepalive_s", "_pinged_at", "read_at", "written_at")

    def __init__(self, keepalive_s: float, now: float) -> None:
        if not keepalive_s > 0:
            raise ValueError(f"expected a keep-alive above 0 s, found {keepalive_s}")
        self._keepalive_s = keepalive_s
        self._pinged_at = now
        self._doubt = False
        self.read_at = self.written_at = now
        """When something was last read, and last written: set by the connection."""

    def look(self, now: float) -> tuple[Due, float]:
        """What is due, and when to look again."""
        dead_at = self.read_at + SILENT_KEEPALIVES * self._keepalive_s
        if now >= dead_at:
            if self._doubt:
                return Due.DEATH, now
            self._doubt = True
            return Due.NOTHING, now + GRACE_S
        self._doubt = False
        due = Due.NOTHING
        if now >= self._ping_at:
            self._pinged_at = now
            due = Due.PING
        return due, min(self._ping_at, dead_at)

    @property
    def _ping_at(self) -> float:
        quiet_since = min(self.written_at, self.read_at)
        return max(quiet_since, self._pinged_at) + self._keepalive_s
