"""What the device says of itself: `have`, retained.

Decides when a report is worth a message, and when it is sent. Leaves out what is reported (update.py,
flags.py).

Rules: at most one report a stimulus, however much changed; none when it would say what the broker
already has; one always where the broker may not have it (a session that is not present, a first
connect, a `have` that was never acknowledged) or where the gateway asked. Progress in bytes travels
in a report and never causes one. What a whole segment hears at one instant, a kill list or flags, is
reported after a wait of the device's own; any other report that leaves before takes it along (ADR 25).
"""

from __future__ import annotations

from msgspec.structs import replace

from devicesdk.agent.books import Books
from devicesdk.agent.download import Download
from devicesdk.agent.flags import Flags
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.shared import Shared
from devicesdk.agent.slots import Slots
from devicesdk.agent.trust import Trust
from devicesdk.wire import codec, topics
from devicesdk.wire.messages import Have
from devicesdk.wire.timebase import NEVER


class Report:
    """The reports of one boot."""

    __slots__ = (
        "_books",
        "_download",
        "_flags",
        "_last",
        "_outbox",
        "_shared",
        "_slots",
        "_trust",
        "at",
        "seq",
    )

    def __init__(
        self,
        shared: Shared,
        slots: Slots,
        flags: Flags,
        books: Books,
        download: Download,
        outbox: Outbox,
        trust: Trust,
    ) -> None:
        self._shared = shared
        self._slots = slots
        self._flags = flags
        self._books = books
        self._download = download
        self._outbox = outbox
        self._trust = trust
        self._last: Have | None = None
        self.seq = 0
        self.at = NEVER
        """When the answer to something that the whole segment heard is due."""

    def later(self, now: int) -> None:
        """Something changed that the whole segment hears now: all of them at once is a stampede."""
        if self.at == NEVER:
            config = self._shared.config
            wait = self._shared.draw_wait(now, config.answer_spread_ns)
            self.at = now + config.answer_after_ns + wait

    def due(self, now: int) -> None:
        """The wait may be over."""
        if now >= self.at:
            self.at = NEVER
            self._shared.report_due = True

    def say_again(self) -> None:
        """The broker may not have the last report, or the gateway asked: the next is not skipped."""
        self._last = None
        self._shared.report_due = True

    def online(self, *, session_present: bool) -> None:
        """A connection is up: find out whether the broker has what it should."""
        if not session_present or not self._outbox.have_acked:
            self.say_again()
        elif self.at < NEVER:  # those who lost their connections do not come back at one instant
            self._shared.report_due = True

    def publish(self, now: int) -> None:
        """Publish what changed, if anything did."""
        self._shared.report_due = False
        self.at = NEVER
        have = self._compose()
        if have == self._last:
            return
        # Said once a boot, and to a gateway that may not have it: the twin keeps it.
        can = self._shared.identity.capabilities if self._last is None else None
        self._last = have
        self.seq += 1
        bytes_done = self._download.bytes_done
        said = replace(have, seq=self.seq, bytes_done=bytes_done, capabilities=can)
        self._outbox.retained(topics.HAVE, codec.encode(said), now)

    def _compose(self) -> Have:
        slots, status, want = self._slots, self._books.status, self._books.want
        running, trial = slots.running, slots.trial
        deployment, attempt = ("", 0) if want is None else (want.deployment, want.attempt)
        if trial is not None:
            deployment, attempt = trial.deployment, trial.attempt
        return Have(
            boot_id=self._shared.boot_id,
            seq=0,
            generation=self._books.generation,
            slot=slots.active or "a",
            running=running.manifest,
            trial=trial is not None,
            state=status.state,
            reason=status.reason,
            deployment=deployment,
            attempt=attempt,
            flags_rev=self._flags.rev,
            kill_version=self._flags.kill_version,
            hardware_class=self._shared.identity.hardware_class,
            variant=running.variant,
            nonce=self._trust.nonce,
        )
