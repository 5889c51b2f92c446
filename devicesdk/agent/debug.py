"""Debug mode on the device: a while in which windows tell more, because somebody asked and the owner agreed.

Decides whether a grant counts, how long debug mode lasts, and what of a window's rows is told. Leaves
out who may grant (the director signs) and what is made of it (gateway/core/control/debugging.py).

Rules: off unless the owner's setting `debug_consent` says otherwise, and never in privacy or a regulatory mode; a
grant names the device, its number is newer than all that were heard before (durable, so nothing recorded
comes back), and it has not expired by whatever time this device knows: where neither a signed instant nor
its own clock tells the time, it is refused. Debug mode ends by the monotonic clock, never later than
`debug_ns_max` after it began. A reboot goes on with what is left of it; one that does not know the time, or finds
itself before the beginning, ends it. Its beginning, end or refusal is an event, saved before it is
said. What is told is quantised rows of what histograms count anyway, a bounded number of them: never a raw input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from devicesdk.agent.notes import NoteKind
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.shared import Shared
from devicesdk.agent.snapshot import DebugMode, State
from devicesdk.agent.telemetry import READING_CLASSES, Rows
from devicesdk.agent.trust import Trust
from devicesdk.agent.work import Work
from devicesdk.bundle.trust import ROLE_DIRECTOR
from devicesdk.wire import codec, limits
from devicesdk.wire.messages import DebugGrant
from devicesdk.wire.timebase import MS, NEVER, SECOND

ROW_BYTES: Final = 8
_READING_MAX: Final = 999
_NIBBLE: Final = 15
_BYTE: Final = 255


class Debug:
    """Debug mode of one device, in one boot.

    Args:
        shared: common ground.
        outbox: takes the events.
        trust: knows what time it is for certain.
        work: asks for rows while debug mode lasts.
        state: what the last boot knew.
    """

    __slots__ = ("_outbox", "_shared", "_trust", "_work", "at", "mode", "number")

    def __init__(
        self, shared: Shared, outbox: Outbox, trust: Trust, work: Work, state: State
    ) -> None:
        self._shared, self._outbox, self._trust, self._work = shared, outbox, trust, work
        self.mode: DebugMode | None = state.debug
        self.number = state.debug_number
        """Newest grant or revocation that was heard."""
        self.at = NEVER
        """When debug mode ends."""

    def booted(self, now: int) -> None:
        """Go on with what is left of debug mode, if this boot can tell."""
        mode = self.mode
        if mode is None:
            return
        known = self._known_ms(now)
        if self._forbidden():
            self._end("refused:" + self._forbidden())
        elif known < mode.begun_ms:
            self._end("clock")
        elif known >= mode.until_ms:
            self._end("expired")
        else:
            self._last(
                mode, now, min((mode.until_ms - known) * MS, self._shared.config.debug_ns_max)
            )

    def heard(self, envelope: bytes, now: int) -> None:
        """A grant or a revocation came.

        Raises:
            ProtocolError: not signed rightly, or not a grant.
        """
        raw = self._shared.verifier.open(ROLE_DIRECTOR, envelope, limits.DEBUG_GRANT_BYTES_MAX)
        grant = codec.decode(DebugGrant, raw, limits.DEBUG_GRANT_BYTES_MAX)
        if grant.device != self._shared.identity.device or grant.number <= self.number:
            self._shared.note(NoteKind.DEBUG_OLD, grant.number)
            return
        self.number = grant.number
        if not grant.for_ms:
            self._revoked(grant)
            return
        refusal = self._forbidden() or self._untimely(grant, now)
        if refusal:
            self._shared.note(NoteKind.DEBUG_REFUSED, grant.number)
            self._say("refused:" + refusal, grant.number)
        else:
            self._begin(grant, now)

    def end_of_time(self) -> None:
        """The clock says that debug mode is over."""
        self._end("expired")

    def window(self, rows: Rows, now: int) -> tuple[int, bytes] | None:
        """What a window tells in debug mode: number of the grant, and rows; None: no more of them."""
        mode = self.mode
        assert mode is not None, "asked for rows outside of debug mode"
        if self._known_ms(now) >= mode.until_ms:
            self._end("expired")
            return None
        most = min(self._shared.config.debug_frames_max, mode.rows_left)
        step = -(-len(rows) // most) if rows else 1
        told = b"".join(redacted(row) for row in rows[::step])
        left = mode.rows_left - len(told) // ROW_BYTES
        self.mode = DebugMode(mode.number, mode.begun_ms, mode.until_ms, left, mode.by, mode.why)
        if left:
            self._shared.save_state()
        else:
            self._end("spent")
        return mode.number, told

    # -- inside -----------------------------------------------------------------------------------

    def _known_ms(self, now: int) -> int:
        """The latest that anybody says it is, UTC; 0: nobody says anything."""
        return max(self._trust.proved_ms(now), self._shared.wall_ms(now) or 0)

    def _forbidden(self) -> str:
        config = self._shared.config
        if config.privacy:
            return "privacy"
        if config.regulatory_mode:
            return "regulatory"
        return "" if config.debug_consent else "consent"

    def _untimely(self, grant: DebugGrant, now: int) -> str:
        known = self._known_ms(now)
        if not known:
            return "time"
        return "expired" if known >= grant.expires_ms else ""

    def _begin(self, grant: DebugGrant, now: int) -> None:
        if self.mode is not None:
            self._say("replaced", self.mode.number)
        config, known = self._shared.config, self._known_ms(now)
        lasts_ms = min(grant.for_ms, grant.expires_ms - known, config.debug_ns_max // MS)
        until_ms, left = known + lasts_ms, config.debug_rows_max
        mode = self.mode = DebugMode(grant.number, known, until_ms, left, grant.by, grant.why)
        self._last(mode, now, lasts_ms * MS)
        self._say("began", grant.number)

    def _last(self, mode: DebugMode, now: int, lasts_ns: int) -> None:
        self.at = now + lasts_ns
        self._work.debug = self.window
        self._shared.note(NoteKind.DEBUG_BEGAN, mode.number, lasts_ns // SECOND)

    def _revoked(self, grant: DebugGrant) -> None:
        if self.mode is not None:
            self._end("revoked")
        else:
            self._say("revoked", grant.ends)

    def _end(self, reason: str) -> None:
        mode, self.mode, self.at = self.mode, None, NEVER
        self._work.debug = None
        if mode is not None:
            self._shared.note(NoteKind.DEBUG_ENDED, mode.number, mode.rows_left)
            self._say(reason, mode.number)

    def _say(self, reason: str, number: int) -> None:
        self._outbox.event("debug", reason=reason, value=number)
        self._shared.save_state()


def redacted(row: Sequence[int]) -> bytes:
    """One frame in eight bytes: reading (32nds of full scale), confidence bin, entropy bin, eight feature
    bins of four bits, error code."""
    reading = min(max(row[0], 0), _READING_MAX) * READING_CLASSES // 1000
    bins = [min(max(one, 0), _NIBBLE) for one in row[3:11]]
    pairs = [bins[place] << 4 | bins[place + 1] for place in range(0, 8, 2)]
    return bytes((reading, row[1] & _BYTE, row[2] & _BYTE, *pairs, min(row[11], _BYTE)))
