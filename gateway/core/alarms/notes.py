"""The kinds of `Note` that the alarms machine makes, each with its sentence; the first are also kinds of events."""

from __future__ import annotations

from typing import Final

RAISED: Final = "alarm.raised"
ESCALATED: Final = "alarm.escalated"
ACKNOWLEDGED: Final = "alarm.acknowledged"
CLEARED: Final = "alarm.cleared"
SILENCED: Final = "alarm.silenced"
REFUSED: Final = "alarm.refused"
DROPPED: Final = "alarm.delivery_dropped"

SENTENCES: Final[dict[str, str]] = {
    RAISED: "Alarm {a}, raised {b} times so far: {subject}",
    ESCALATED: "Alarm {a} is critical now: {subject}",
    ACKNOWLEDGED: "Alarm {a} is acknowledged: {subject}",
    CLEARED: "Alarm {a} is over: {subject}",
    SILENCED: "Alarm {a} is silent for {b} s: {subject}",
    REFUSED: "Nothing was done to the alarm: {subject}.",
    DROPPED: "Event {a} of an alarm was dropped, the webhook has not taken it: {subject}.",
}
"""What each kind means, for people."""
