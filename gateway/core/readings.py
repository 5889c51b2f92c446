"""What was read of a condition that may be worth an alarm: a value that travels between machines.

Decides nothing: which conditions there are and what is too much is of the alarms (alarms/rules.py), how control and
collect are read is conditions.py.
"""

from __future__ import annotations

import msgspec


class Reading(msgspec.Struct, frozen=True):
    """What was seen of one subject."""

    subject: str
    value: int
    words: str = ""
    """More for people."""
