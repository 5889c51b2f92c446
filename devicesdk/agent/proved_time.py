"""What time it is, as far as anybody has proved it to this device.

Decides which instants have passed for certain, and when to ask. Leaves out what expires (trust.py).

Theory of operation. Of three clocks none is believed alone. *Proved* time is the newest instant in signed
metadata, or in a signed answer of the director, and runs on from there: it can be late, never early. The
device's own clock can be anything. One that is unset or behind proved time is not looked at. One that is
ahead is in *doubt*: where it alone would make the device refuse, the device asks. Its report carries a
number that nobody has seen before, and the next want that carries the number back, with the instant of its
signing, settles what time it is for the rest of this boot.

Rules: a clock in 1970 costs nothing, one in 2038 a question; what is refused as expired is expired by a
time that was proved; an answer that was recorded earlier answers nothing. The floor follows the trusted
set down as well as up: it falls when a root revokes the key that had signed it.
"""

from __future__ import annotations

from typing import Final

from devicesdk.agent.notes import NoteKind
from devicesdk.agent.shared import Shared
from devicesdk.wire.timebase import MS

NONCE_MAX: Final = 2**53


class ProvedTime:
    """Time as one device knows it, in one boot.

    Args:
        shared: common ground: luck for numbers, and the report.
    """

    __slots__ = ("_answered_at", "_answered_ms", "_floor_at", "_floor_ms", "_shared", "nonce")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._floor_ms = self._floor_at = 0
        self._answered_ms = self._answered_at = 0
        self.nonce = 0
        """Number that asks for the time; 0: nothing is asked."""

    def floor(self, floor_ms: int, now: int) -> None:
        """The newest instant in signed metadata is this one; 0: there is none."""
        if floor_ms != self._floor_ms:
            self._floor_ms, self._floor_at = floor_ms, now

    def proved_ms(self, now: int) -> int:
        """UTC as far as it is proved, ms: it is this late at least. 0: nobody has said anything."""
        proved = self._floor_ms
        if proved:
            proved += (now - self._floor_at) // MS
        if self._answered_ms:
            proved = max(proved, self._answered_ms + (now - self._answered_at) // MS)
        return proved

    def doubt_ms(self, own_ms: int | None, now: int) -> int | None:
        """What the device's own clock says, if it is ahead of proved time and nobody has answered."""
        if own_ms is None or self._answered_ms or own_ms <= self.proved_ms(now):
            return None
        return own_ms

    def is_past(self, instant_ms: int, own_ms: int | None, now: int) -> bool | None:
        """Whether an instant has passed; None: the own clock alone says so, and now it is asked."""
        if self.proved_ms(now) > instant_ms:
            return True
        doubt = self.doubt_ms(own_ms, now)
        if doubt is None or doubt <= instant_ms:
            return False
        self.ask()
        return None

    def ask(self) -> None:
        """Have the next report ask for the time, unless that is under way."""
        if not self.nonce:
            self.nonce = 1 + self._shared.dice.below(NONCE_MAX - 1)
            self._shared.report_due = True
            self._shared.note(NoteKind.TIME_ASKED)

    def told(self, nonce: int, issued_ms: int, now: int) -> bool:
        """The director signed this; True when it answers what was asked."""
        if not self.nonce or nonce != self.nonce or not issued_ms:
            return False
        self.nonce = 0
        self._answered_ms, self._answered_at = issued_ms, now
        self._shared.report_due = True
        self._shared.note(NoteKind.TIME_TOLD, issued_ms)
        return True
