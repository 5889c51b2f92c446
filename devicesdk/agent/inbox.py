"""What arrives on a topic, what it means, and for whom.

Decides which part hears a message, what a message that nobody understands counts as, and what follows
from a download that ended or from roles that changed: the three ways in which something from outside
sets an update going. Leaves out what each part does with it, and the session (agent.py).

Rules: garbage is counted in a note and never raises; what was signed by a key that the roles may yet
bring is set aside (trust.py) and comes here again once they were read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from devicesdk.agent.notes import NoteKind
from devicesdk.wire import codec, topics
from devicesdk.wire.errors import BadSignature, ProtocolError
from devicesdk.wire.messages import Control, ControlVerb

if TYPE_CHECKING:
    from devicesdk.agent.debug import Debug
    from devicesdk.agent.download import Download
    from devicesdk.agent.flags import Flags
    from devicesdk.agent.report import Report
    from devicesdk.agent.shared import Shared
    from devicesdk.agent.stimuli import Arrived
    from devicesdk.agent.trust import Trust
    from devicesdk.agent.update import Update
    from devicesdk.agent.work import Work


class Inbox:
    """Hears every message of one boot.

    Args:
        shared: the agent's common ground.
        flags: hears kill lists and flag snapshots.
        work: goes by both, and by answers of a twin elsewhere.
        download: hears chunks and what the gateway says of them.
        update: hears wants.
        report: says again what it said.
        trust: hears timestamps, and what its roles did not know.
        debug: hears grants.
    """

    __slots__ = (
        "_debug", "_download", "_flags", "_report", "_shared", "_trust", "_update", "_work",
        "garbage", "ignored",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        flags: Flags,
        work: Work,
        download: Download,
        update: Update,
        report: Report,
        trust: Trust,
        debug: Debug,
    ) -> None:
        self._debug = debug
        self._shared, self._flags, self._work, self._trust = shared, flags, work, trust
        self._download, self._update, self._report = download, update, report
        self.garbage = 0
        """Payloads that were not understood or not signed rightly."""
        self.ignored = 0
        """What fitted nothing under way."""

    def arrived(self, arrived: Arrived, now: int) -> None:
        """A message came."""
        take = _TOPICS.get(arrived.kind)
        if take is None:
            self.ignore()
            return
        try:
            take(self, arrived, now)
        except BadSignature:
            if not self._trust.set_aside(arrived):
                self.garbage += 1
                self._shared.note(NoteKind.GARBAGE, self.garbage)
        except ProtocolError:
            self.garbage += 1
            self._shared.note(NoteKind.GARBAGE, self.garbage)

    def fetched(self, now: int) -> None:
        """The download ended: whoever asked for it hears so."""
        if self._trust.fetching:
            self._trust.fetched(now)
            self.after_trust(now)
        else:
            self._update.fetched(now)

    def after_trust(self, now: int) -> None:
        """Something of the roles changed, or was asked for: keys may be gone, and an update may go on."""
        trust = self._trust
        trust.keep()
        if trust.flags_changed:
            trust.flags_changed = False
            self._flags.keys_changed()
            self._shared.save_state()
            self._shared.report_due = True
        if trust.director_changed:
            trust.director_changed = False
            self._update.director_changed()
        for arrived in trust.taken_aside():
            self.arrived(arrived, now)
        self._update.advance(now)

    def ignore(self) -> None:
        """Something came that fits nothing under way."""
        self.ignored += 1
        self._shared.note(NoteKind.IGNORED, self.ignored)

    def _kill(self, arrived: Arrived, now: int) -> None:
        if self._flags.take_kill_list(arrived.payload):
            self._shared.save_state()
            self._shared.look_due = True
            self._report.later(now)
        if self._flags.kill_list_current:
            self._work.kill_list_came(now)
        self._update.advance(now)

    def _flag(self, arrived: Arrived, now: int) -> None:
        if self._flags.take_snapshot(arrived.payload, self._trust.proved_ms(now)):
            self._shared.save_state()
            self._shared.look_due = True
            self._report.later(now)
            self._work.permit(now)
            self._update.advance(now)

    def _want(self, arrived: Arrived, now: int) -> None:
        self._update.offered(arrived.payload, now)

    def _timestamp(self, arrived: Arrived, now: int) -> None:
        self._trust.heard(arrived.payload, now)
        self.after_trust(now)

    def _data(self, arrived: Arrived, now: int) -> None:
        self._download.frame(arrived.payload, now)
        if self._download.ended is not None:
            self.fetched(now)

    def _control(self, arrived: Arrived, now: int) -> None:
        if arrived.retained:
            self._shared.note(NoteKind.RETAINED_VERB)
            return
        control = codec.decode(Control, arrived.payload)
        if control.verb is ControlVerb.REPORT:
            self._report.say_again()
            return
        if control.verb is ControlVerb.DEBUG:
            self._debug.heard(control.grant, now)
            return
        if control.ask:
            if not self._work.answered(control, now):
                self.ignore()
            return
        self._download.control(control, now)
        if self._download.ended is not None:
            self.fetched(now)


_TOPICS: Final[dict[str, Callable[[Inbox, Arrived, int], None]]] = {
    topics.KILL: Inbox._kill,  # noqa: SLF001 - the table of this very class
    topics.FLAGS: Inbox._flag,  # noqa: SLF001
    topics.WANT: Inbox._want,  # noqa: SLF001
    topics.CTL: Inbox._control,  # noqa: SLF001
    topics.DAT: Inbox._data,  # noqa: SLF001
    topics.TIMESTAMP: Inbox._timestamp,  # noqa: SLF001
}
