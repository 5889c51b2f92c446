"""Who may look closer at a device, who let him, and how it went: grants of debug mode.

Decides when a grant is given, signed and sent, and what is written down. Leaves out whether the device
agrees, which is the device's own (devicesdk/agent/debug.py), and what it tells (gateway/core/collect).

Theory of operation. A grant is a verb to one device: signed by the director, never retained, kept by the broker
for a minute. It is sent when it is given, and again whenever the device shows itself (a birth, a report) until the
device has said that it began, refused or ended; then never again. A revocation is the same with a newer number. All
of this is one durable row a grant, which stays when it is over: the audit.

Rules: a grant names who asked and why, or is refused; it lasts `debug_ns_max` at most; numbers are UTC
milliseconds, raised where need be, so they grow even where rows were lost; a grant is over at the gateway when the device
says so or, unheard, when it could no longer be in force anywhere.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from devicesdk.bundle.trust import Signer
from devicesdk.wire import codec, limits, topics
from devicesdk.wire.messages import Control, ControlVerb, DebugGrant, Event
from devicesdk.wire.timebase import MS, SECOND, format_duration
from gateway.core import notes, rows
from gateway.core.control.outbox import Batch, Outbox
from gateway.core.control.twins import Twins
from gateway.core.effects import Note, Persist
from gateway.core.internal import DebugGranted
from gateway.core.limits import ControlLimits
from gateway.core.rows import DebugRow
from gateway.core.stimuli import GrantDebug, RevokeDebug

_BEGAN: Final = "began"
_REPLACED: Final = "replaced"
_NOT_CONFIRMED: Final = "not confirmed"
_GUESSES: Final = frozenset((_REPLACED, _NOT_CONFIRMED))
"""Ends that the gateway wrote down itself: the device's own word, when it comes, is better."""


class DebugView(msgspec.Struct, frozen=True):
    """One grant, for people. Instants are UTC, milliseconds; 0: not yet."""

    device: str
    number: int
    state: str
    """asked, on, revoking or over."""
    by: str
    why: str
    granted_ms: int
    until_ms: int
    begun_ms: int
    ended_ms: int
    ended: str
    revoked_by: str
    revoked_why: str


class Debugging:
    """All grants.

    Args:
        control: bounds.
        twins: which devices are known.
        outbox: where verbs go.
        director: signs.
    """

    __slots__ = ("_director", "_limits", "_open", "_outbox", "_rows", "_topics", "_twins")

    def __init__(
        self, control: ControlLimits, twins: Twins, outbox: Outbox, director: Signer
    ) -> None:
        self._limits, self._twins, self._outbox, self._director = control, twins, outbox, director
        self._topics = topics.Topics(control.root)
        self._rows: dict[str, DebugRow] = {}
        self._open: dict[str, str] = {}
        """Device to the key of its grant that is not over."""

    # -- operators --------------------------------------------------------------------------------

    def asked(self, asked: GrantDebug | RevokeDebug, at: int, out: Batch) -> None:
        """An operator asks for something."""
        if isinstance(asked, GrantDebug):
            self.grant(asked, at, out)
        else:
            self.revoke(asked, at, out)

    def grant(self, asked: GrantDebug, at: int, out: Batch) -> None:
        """Give a grant, in place of the one that the device may have."""
        refusal = self._refusal(asked)
        if refusal:
            out.append(Note(notes.DEBUG_REFUSED, f"{asked.device}: {refusal}"))
            return
        old = self._open.get(asked.device)
        if old is not None:
            self._put(replace(self._rows[old], ended_ns=at, ended=_REPLACED), out)
        late = min(self._limits.debug_heard_ns_max, asked.for_ns)
        row = DebugRow(
            device=asked.device,
            number=self._number(asked.device, at),
            by=asked.by,
            why=asked.why,
            granted_ns=at,
            until_ns=at + late + asked.for_ns,
            for_ms=asked.for_ns // MS,
            expires_ms=(at + late + asked.for_ns) // MS,
        )
        self._put(row, out)
        self._make_room(out)
        out.append(DebugGranted(row.device, row.number))
        said = f"{row.device} by {row.by}, because {row.why}"
        out.append(Note(notes.DEBUG_GRANTED, said, asked.for_ns // SECOND, row.number))
        self._send(row, out)

    def revoke(self, asked: RevokeDebug, at: int, out: Batch) -> None:
        """End a device's grant."""
        key = self._open.get(asked.device)
        if key is None or not _named(asked.by, asked.why):
            refusal = "expected who asks and why, 64 characters each at most"
            if key is None:
                refusal = "expected a device with a grant that is not over"
            out.append(Note(notes.DEBUG_REFUSED, f"{asked.device}: {refusal}"))
            return
        row = replace(
            self._rows[key],
            revocation=self._number(asked.device, at),
            revoked_by=asked.by,
            revoked_why=asked.why,
        )
        self._put(row, out)
        said = f"{row.device} by {asked.by}, because {asked.why}"
        out.append(Note(notes.DEBUG_REVOKED, said, row.number))
        self._send(row, out)

    # -- devices ----------------------------------------------------------------------------------

    def heard(self, device: str, at: int, out: Batch) -> None:
        """A device shows itself: say again what it has not answered."""
        key = self._open.get(device)
        if key is not None:
            self._say_unless_known(self._rows[key], at, out)

    def say_again(self, at: int, out: Batch) -> None:
        """The broker is there (again): whatever waits for an answer goes out."""
        for key in self._open.values():
            self._say_unless_known(self._rows[key], at, out)

    def event(self, device: str, event: Event, at: int, out: Batch) -> None:
        """A device says how it went; one that comes twice, or about a grant we do not know, changes nothing."""
        row = self._rows.get(_key(device, event.value))
        if row is None:
            return
        if event.reason == _BEGAN:
            if not row.begun_ns:
                self._put(replace(row, begun_ns=at), out)
                out.append(Note(notes.DEBUG_BEGAN, device, row.number))
        elif not row.ended_ns or row.ended in _GUESSES - {event.reason}:
            self._put(replace(row, ended_ns=row.ended_ns or at, ended=event.reason), out)
            out.append(Note(notes.DEBUG_ENDED, f"{device}: {event.reason}", row.number))

    # -- time -------------------------------------------------------------------------------------

    def due(self) -> tuple[int, str] | None:
        """When the next grant is over without a word of its device."""
        if not self._open:
            return None
        return min(self._rows[key].until_ns for key in self._open.values()), "debug mode is over"

    def run(self, at: int, out: Batch) -> None:
        """Close what can no longer be in force."""
        for key in list(self._open.values()):
            row = self._rows[key]
            if at >= row.until_ns:
                self._put(replace(row, ended_ns=at, ended=_NOT_CONFIRMED), out)
                said = f"{row.device}: it has not said so itself"
                out.append(Note(notes.DEBUG_ENDED, said, row.number))

    # -- books ------------------------------------------------------------------------------------

    def restore(self, key: str, row: DebugRow) -> None:
        """Take back a durable row."""
        self._rows[key] = row
        if not row.ended_ns:
            self._open[row.device] = key

    def announce(self, out: Batch) -> None:
        """Say what the collect machine must know."""
        for row in self._rows.values():
            out.append(DebugGranted(row.device, row.number))

    def views(self) -> list[DebugView]:
        """All grants, oldest first."""
        ordered = sorted(self._rows.values(), key=lambda row: (row.granted_ns, row.device))
        return [_view(row) for row in ordered]

    def validate(self) -> None:
        """Check the books.

        Raises:
            AssertionError: a grant is open and over, or two of a device are open.
        """
        found = {row.device: key for key, row in self._rows.items() if not row.ended_ns}
        assert found == self._open, f"open grants {sorted(found)}, booked {sorted(self._open)}"

    # -- inside -----------------------------------------------------------------------------------

    def _refusal(self, asked: GrantDebug) -> str:
        most = self._limits.debug_ns_max
        if asked.device not in self._twins.by_name:
            return "expected a device that is known"
        if not SECOND <= asked.for_ns <= most:
            found = format_duration(max(0, asked.for_ns))
            return f"expected 1s to {format_duration(most)}, found {found}"
        if not _named(asked.by, asked.why):
            return f"expected who asks and why, {limits.REASON_CHARS_MAX} characters each at most"
        if asked.device not in self._open and len(self._open) >= self._limits.debug_open_max:
            return f"{len(self._open)} devices are in debug mode already; revoke one"
        return ""

    def _number(self, device: str, at: int) -> int:
        used = [
            max(row.number, row.revocation) for row in self._rows.values() if row.device == device
        ]
        return max([at // MS, 1, *(number + 1 for number in used)])

    def _put(self, row: DebugRow, out: Batch) -> None:
        key = _key(row.device, row.number)
        self._rows[key] = row
        if not row.ended_ns:
            self._open[row.device] = key
        elif self._open.get(row.device) == key:
            del self._open[row.device]
        out.append(Persist(rows.DEBUG, key, row))

    def _make_room(self, out: Batch) -> None:
        if len(self._rows) > self._limits.debug_rows_max:
            over = [(row.granted_ns, key) for key, row in self._rows.items() if row.ended_ns]
            for _, key in sorted(over)[:1]:
                del self._rows[key]
                out.append(Persist(rows.DEBUG, key, None))

    def _say_unless_known(self, row: DebugRow, at: int, out: Batch) -> None:
        if row.revocation or (not row.begun_ns and at < row.expires_ms * MS):
            self._send(row, out)

    def _send(self, row: DebugRow, out: Batch) -> None:
        if row.revocation:
            grant = DebugGrant(
                device=row.device, number=row.revocation, expires_ms=row.expires_ms, ends=row.number,
                by=row.revoked_by, why=row.revoked_why,
            )  # fmt: skip
        else:
            grant = DebugGrant(
                device=row.device, number=row.number, for_ms=row.for_ms, expires_ms=row.expires_ms,
                by=row.by, why=row.why,
            )  # fmt: skip
        envelope = self._director.seal(codec.encode(grant))
        payload = codec.encode(Control(verb=ControlVerb.DEBUG, grant=envelope))
        topic = self._topics.device(row.device, topics.CTL)
        self._outbox.ask(topic, topics.CTL, payload, self._limits.debug_expiry_ns, out)


def _named(by: str, why: str) -> bool:
    most = limits.REASON_CHARS_MAX
    return 0 < len(by.strip()) <= len(by) <= most and 0 < len(why.strip()) <= len(why) <= most


def _key(device: str, number: int) -> str:
    return f"{device}/{number:016d}"


def _view(row: DebugRow) -> DebugView:
    state = "on" if row.begun_ns else "asked"
    if row.ended_ns:
        state = "over"
    elif row.revocation:
        state = "revoking"
    return DebugView(
        row.device, row.number, state, row.by, row.why, row.granted_ns // MS, row.until_ns // MS,
        row.begun_ns // MS, row.ended_ns // MS, row.ended, row.revoked_by, row.revoked_why,
    )  # fmt: skip
