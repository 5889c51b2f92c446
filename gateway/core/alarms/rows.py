"""What the alarms machine keeps: one immutable row an alarm, and one an event that waits for the webhook.

Decides the rows. Leaves out where they are stored. Instants are UTC nanoseconds; 0: not.
"""

from __future__ import annotations

import enum
from typing import Final

from gateway.core.alarms.rules import Severity
from gateway.core.rows import Row


class State(enum.IntEnum):
    """The life of an alarm."""

    RAISED = 0
    ACKNOWLEDGED = 1
    """Somebody looks after it."""
    CLEARED = 2
    """The condition is gone."""


class AlarmRow(Row, frozen=True, array_like=True, gc=False):
    """One alarm; the key is its number, sixteen digits."""

    number: int
    """UTC milliseconds of when it was raised, raised itself where need be, so no number is used twice."""
    kind: str
    subject: str
    state: State
    severity: Severity
    value: int
    words: str
    count: int
    """How often it was raised: more than once, it flaps."""
    first_ns: int
    """When it was first raised."""
    raised_ns: int
    """When it was last raised."""
    last_ns: int
    """When the condition was last seen, written down now and then."""
    cleared_ns: int = 0
    acknowledged_by: str = ""
    acknowledged_ns: int = 0
    acknowledged_why: str = ""
    silent_until_ns: int = 0
    silenced_by: str = ""
    silenced_why: str = ""
    told: bool = False
    """Whether the sinks know that it is open."""
    change: str = ""
    """What they were told last, such as ``alarm.raised``."""
    event: int = 0
    """Number of that event."""

    @property
    def open(self) -> bool:
        """Whether the condition holds, as far as is known."""
        return self.state is not State.CLEARED


class DeliveryRow(Row, frozen=True, array_like=True, gc=False):
    """An event that waits for the webhook; the key is its number, sixteen digits."""

    event: int
    payload: bytes
    """JSON, as it will be sent however often."""
    made_ns: int


ALARM: Final = "alarms.alarm"
DELIVERY: Final = "alarms.delivery"

TABLES: Final[dict[str, type[Row]]] = {ALARM: AlarmRow, DELIVERY: DeliveryRow}
"""Table name to the type of its rows."""


def key_of(number: int) -> str:
    """The key of an alarm or an event: numbers sort as text."""
    return f"{number:016d}"
