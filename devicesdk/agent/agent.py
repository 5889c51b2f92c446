"""The device agent: one sans-IO machine that connects, updates, infers and reports.

Decides only who hears what: each stimulus goes to the part that it concerns, and what one part's
answer means for another is said here and nowhere else. Leaves out everything else:

=========  =====================================================================================
session    connect, subscribe, back off           outbox     events and windows until acknowledged
update     want > download > kit > trial > commit  report     `have`
download   one blob in chunks                      flags      kill list, flag snapshots
trust      what may be installed, and what time
slots      what is in the two slots, quarantine    work       bursts, alarm, telemetry windows
inbox      what a message means for whom           probe      golden probes of what is active
experim.   which candidate takes turns             arm        whose turn it is
debug      debug mode, while a grant lasts
=========  =====================================================================================

    handle(stimulus, now) -> effects        deadline() -> (instant, reason) | None
    snapshot() / restore()                  validate()

Rules: nothing here or below reads a clock, does IO or draws luck from outside (the seed is handed in);
garbage from outside is counted in a note and never raises; effects come in the order in which they
must happen, and power can go between any two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from devicesdk.agent import refused_writes
from devicesdk.agent import stimuli as hear
from devicesdk.agent.books import Books
from devicesdk.agent.config import AgentConfig, Identity
from devicesdk.agent.debug import Debug
from devicesdk.agent.delta import Deltas
from devicesdk.agent.download import Download
from devicesdk.agent.effects import AnyEffect
from devicesdk.agent.experiments import Experiments
from devicesdk.agent.flags import Flags
from devicesdk.agent.inbox import Inbox
from devicesdk.agent.install import Install
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.probe import Probe
from devicesdk.agent.report import Report
from devicesdk.agent.session import Session
from devicesdk.agent.shared import Shared
from devicesdk.agent.sites import HAVE_AGAIN
from devicesdk.agent.slots import Slots, factory_state
from devicesdk.agent.snapshot import DebugMode, State, StateUnreadable, decode_state, encode_state
from devicesdk.agent.trial import TrialClock
from devicesdk.agent.trust import Trust
from devicesdk.agent.update import Update
from devicesdk.agent.work import Work
from devicesdk.bundle.chunks import Digests, RealDigests
from devicesdk.bundle.trust import Verifier
from devicesdk.wire import codec, topics
from devicesdk.wire.hardship import CALM, Hardship
from devicesdk.wire.messages import Link
from devicesdk.wire.timebase import NEVER

if TYPE_CHECKING:
    from devicesdk.bundle.trusted_set import Anchor

__all__ = ["Agent", "BrokenAgent", "Identity"]


class BrokenAgent(AssertionError):
    """An invariant of the agent does not hold; the message tells which, and where it stood."""


class Agent:
    """One device's agent, for one boot.

    Args:
        config: what is the same for all devices of a kind.
        identity: who this device is.
        verifier: checks signatures.
        seed: this device's luck.
        state: what the device knows; None: what it knew when it left the factory.
        saved_map: the file ``map``.
        digests: checks chunks; None: by hashing each.
        anchor: the TUF root that the device was enrolled with; None: it goes by `verifier` alone.
        saved_trust: the file ``trust``.
        hardship: asked at the places of `devicesdk.agent.sites`.
    """

    __slots__ = (
        "_books", "_booted", "_debug", "_deltas", "_download", "_experiments", "_flags", "_inbox",
        "_install", "_outbox", "_probe", "_report", "_session", "_shared", "_slots", "_state_lost",
        "_trial", "_trust", "_update", "_work",
    )  # fmt: skip

    def __init__(
        self,
        config: AgentConfig,
        identity: Identity,
        verifier: Verifier,
        seed: int,
        state: State | None = None,
        saved_map: bytes | None = None,
        digests: Digests | None = None,
        anchor: Anchor | None = None,
        saved_trust: bytes | None = None,
        hardship: Hardship = CALM,
    ) -> None:
        state = factory_state(identity) if state is None else state
        shared = Shared(config, identity, verifier, digests or RealDigests(), seed, hardship)
        self._shared = shared
        self._booted = False
        self._state_lost = state.lost
        self._slots = Slots(config, state)
        self._flags = Flags(shared, state)
        self._outbox = Outbox(shared, state)
        self._trial = TrialClock(config)
        self._probe = Probe(shared, self._slots, self._flags)
        self._work = Work(shared, self._slots, self._flags, self._outbox, self._trial, self._probe)
        self._books = Books(shared, self._slots, self._outbox, state)
        self._download = Download(shared, saved_map)
        self._deltas = Deltas(shared, self._slots, self._outbox, state)
        trust = self._trust = Trust(shared, self._download, state, anchor, saved_trust)
        install = self._install = Install(
            shared, self._slots, self._download, self._books, self._deltas, trust
        )
        self._update = Update(
            shared, self._slots, self._books, install, self._work, self._trial, trust
        )
        self._report = Report(
            shared, self._slots, self._flags, self._books, self._download, self._outbox, trust
        )
        self._session = Session(shared)
        self._debug = Debug(shared, self._outbox, trust, self._work, state)
        self._experiments = Experiments(
            shared, self._slots, self._flags, self._outbox, self._work, self._update, state
        )
        self._inbox = Inbox(
            shared, self._flags, self._work, self._download, self._update, self._report, trust,
            self._debug,
        )  # fmt: skip
        shared.take_snapshot = self.snapshot

    @classmethod
    def restore(
        cls,
        config: AgentConfig,
        identity: Identity,
        verifier: Verifier,
        seed: int,
        state: bytes | None,
        map: bytes | None,  # noqa: A002 - named as its file
        digests: Digests | None = None,
        anchor: Anchor | None = None,
        trust: bytes | None = None,
        hardship: Hardship = CALM,
    ) -> Agent:
        """Make the agent of a boot from the files ``state``, ``map`` and ``trust`` (None: there is none).

        A state file that cannot be read leaves a device that runs nothing, because nobody knows
        which slot is whole, and that takes the next update.
        """
        known = None if state is None else _known(state)
        return cls(config, identity, verifier, seed, known, map, digests, anchor, trust, hardship)

    # -- the machine --------------------------------------------------------------------------------

    def handle(self, stimulus: hear.AnyStimulus, now: int) -> list[AnyEffect]:
        """Take in what happened; returns what to do about it, in order."""
        shared = self._shared
        _ROUTES[type(stimulus)](self, stimulus, now)
        while shared.look_due:
            self._experiments.look(now)
        if shared.online:
            if self._outbox.unsent or self._outbox.kept:
                self._outbox.flush(now)
            if shared.report_due:
                self._report.publish(now)
        out, shared.out = shared.out, []
        return out

    def deadline(self, acked_by: int = NEVER) -> tuple[int, str] | None:
        """When the agent wants to hear `DeadlineReached`, and why; None: not before something else.

        Args:
            acked_by: the instant by which whatever is in flight will have been acknowledged, for a
                host that can know: a timer that can only find its work done is then left out.
        """
        at, why = self._session.at, "session"
        other = self._outbox.at
        if other < at and not (acked_by <= other and self._outbox.content):
            at, why = other, "outbox"
        other = self._work.at
        if other < at:
            at, why = other, "work"
        if self._download.source is not None:
            other = self._download.at
            if other < at:
                at, why = other, "download"
        if self._update.job is not None or self._trial.running:
            other = self._update.at
            if other < at:
                at, why = other, "update"
        other = self._trust.at
        if other < at:
            at, why = other, "trust"
        other = self._debug.at
        if other < at:
            at, why = other, "debug"
        other = self._report.at
        if other < at:
            at, why = other, "report"
        return None if at >= NEVER else (at, why)

    def dues(self) -> list[tuple[int, str]]:
        """Everything that it waits for, as (instant, why), soonest first; `deadline` names the first."""
        parts = {
            "session": self._session.at,
            "outbox": self._outbox.at,
            "work": self._work.at,
            "download": self._download.at if self._download.source is not None else NEVER,
            "update": self._update.at,
            "trust": self._trust.at,
            "debug": self._debug.at,
            "report": self._report.at,
        }
        return sorted((at, why) for why, at in parts.items() if at < NEVER)

    def snapshot(self) -> bytes:
        """What belongs into the file ``state`` now."""
        slots, flags, books = self._slots, self._flags, self._books
        return encode_state(
            State(
                committed=slots.committed,
                a=slots["a"],
                b=slots["b"],
                trial=slots.trial,
                want=books.want_bytes,
                status=books.status,
                bad=slots.bad,
                kill_version=flags.kill_version,
                killed=flags.killed,
                flags_rev=flags.rev,
                flags=flags.document,
                events=self._outbox.events,
                deltas_failed=self._deltas.failed,
                releases=self._trust.releases,
                kill_open=flags.kill_open,
                flags_open=flags.flags_open,
                fell_back=self._experiments.fell_back,
                debug=self._debug.mode,
                debug_number=self._debug.number,
            )
        )

    def enabled(self, feature: str) -> bool:
        """Whether a configured feature may run now: not killed, not flagged off."""
        return self._flags.enabled(feature)

    @property
    def flags(self) -> Flags:
        """What is in force: for whoever evaluates other flags on this device."""
        return self._flags

    @property
    def debug_mode(self) -> DebugMode | None:
        """What the owner of the device is shown of debug mode; None: it is off."""
        return self._debug.mode

    @property
    def garbage(self) -> int:
        """Payloads that were not understood or not signed rightly, in this boot."""
        return self._inbox.garbage

    @property
    def ignored(self) -> int:
        """Stimuli that fit nothing under way, in this boot."""
        return self._inbox.ignored

    @property
    def online(self) -> bool:
        """Whether the device is connected and subscribed."""
        return self._shared.online

    def proved_ms(self, now: int) -> int:
        """UTC as far as it was proved to this device (proved_time.py), ms; 0: not at all."""
        return self._trust.proved_ms(now)

    @property
    def standing(self) -> str:
        """Where it stands, for people: session, update, slot."""
        return self._where()

    def validate(self) -> None:
        """Check every invariant of every part; for tests and for the world's checks.

        Raises:
            BrokenAgent: one does not hold.
        """
        try:
            for check in (
                self._slots.validate,
                self._outbox.validate,
                self._session.validate,
                self._download.validate,
                self._update.validate,
            ):
                check()
            if self._booted:
                self._work.validate()
                assert not self._shared.out, f"effects left behind: {self._shared.out}"
        except AssertionError as error:
            raise BrokenAgent(f"{self._where()}: {error}") from error

    def _where(self) -> str:
        return (
            f"device {self._shared.identity.device}, boot {self._shared.boot_id}, session "
            f"{self._session.phase.value}, update {self._books.status.state.name} "
            f"{self._books.status.reason!r} of generation {self._books.generation}, slot "
            f"{self._slots.active or 'none'} active"
        )

    # -- life -----------------------------------------------------------------------------------------

    def _on_booted(self, booted: hear.Booted, now: int) -> None:
        assert not self._booted, "expected one Booted an agent, found another: restore a new agent"
        self._booted = True
        self._shared.conditions = booted.conditions
        self._shared.booted(booted.boot_id, booted.wall_ms, now)
        if self._state_lost:
            self._shared.note(NoteKind.STATE_LOST)
        self._shared.report_due = True
        self._trust.booted(now)
        self._work.booted(now)
        self._probe.booted(now)
        self._debug.booted(now)
        self._update.booted(now)
        self._session.booted(now, bearer_up=booted.bearer_up)

    def _on_deadline(self, _: hear.DeadlineReached, now: int) -> None:
        self._session.due(now)
        if not self._outbox.due(now):
            self._lost(self._session.give_up("publishes unacknowledged", now), now)
        self._work.due(now)
        self._download.due(now)
        if self._download.ended is not None:
            self._inbox.fetched(now)
        self._update.due(now)
        if self._trust.due(now):
            self._inbox.after_trust(now)
        if now >= self._debug.at:
            self._debug.end_of_time()
        self._report.due(now)

    def _on_conditions(self, changed: hear.ConditionsChanged, now: int) -> None:
        self._shared.conditions = changed.conditions
        self._update.advance(now)

    # -- session --------------------------------------------------------------------------------------

    def _on_bearer(self, changed: hear.BearerChanged, now: int) -> None:
        self._session.bearer_changed(now, up=changed.up)

    def _on_connected(self, connected: hear.Connected, now: int) -> None:
        if self._session.connected(now, session_present=connected.session_present):
            self._online(now, session_present=True)

    def _on_subscribed(self, subscribed: hear.Subscribed, now: int) -> None:
        if self._session.subscribed(subscribed.codes, now):
            self._online(now, session_present=False)

    def _on_connect_failed(self, _: hear.ConnectFailed, now: int) -> None:
        self._session.connect_failed(now)

    def _on_disconnected(self, _: hear.Disconnected, now: int) -> None:
        self._lost(self._session.lost(now), now)

    def _online(self, now: int, *, session_present: bool) -> None:
        link = Link(boot_id=self._shared.boot_id, session=self._session.number, online=True)
        self._outbox.retained(topics.LINK, codec.encode(link), now)
        self._report.online(session_present=session_present)
        if self._shared.report_due:
            self._report.publish(now)
        if self._shared.hardship.fires(HAVE_AGAIN):
            self._report.publish(now)
        self._outbox.flush(now)
        self._work.subscribed(now)
        self._download.online(now)
        if self._shared.roles:
            self._trust.online(now)
            self._inbox.after_trust(now)

    def _lost(self, was_online: bool, now: int) -> None:  # noqa: FBT001 - the session's answer
        if was_online:
            self._outbox.offline()
            self._download.offline()
            self._work.offline(now)

    # -- messages -------------------------------------------------------------------------------------

    def _on_arrived(self, arrived: hear.Arrived, now: int) -> None:
        if not arrived.retained:
            self._outbox.wake(now)
        self._inbox.arrived(arrived, now)

    def _on_acked(self, acked: hear.PubAcked, now: int) -> None:
        if acked.nobody:
            self._outbox.unheard(acked.token, now)
        else:
            self._outbox.acked(acked.token, now)

    # -- answers --------------------------------------------------------------------------------------

    def _on_frames(self, ran: hear.FramesRan, now: int) -> None:
        self._shared.conditions = ran.conditions
        if not self._work.frames_ran(ran, now):
            self._inbox.ignore()
            return
        if self._trial.running:
            self._update.judge(now)
        elif self._work.arm is not None:
            self._experiments.ran(now)
        self._work.go(now)
        if self._update.job is not None:
            self._update.advance(now)
        if now >= self._probe.due:
            busy = self._update.job is not None or self._trial.running
            self._probe.window_ended(now, ran.conditions, busy=busy, latency_us=ran.latency_us)

    def _on_taken(self, taken: hear.FramesTaken, now: int) -> None:
        self._shared.conditions = taken.conditions
        if not self._work.frames_taken(taken, now):
            self._inbox.ignore()

    def _on_file_read(self, read: hear.FileRead, now: int) -> None:
        self._update.file_read(read, now)

    def _on_file_hashed(self, hashed: hear.FileHashed, now: int) -> None:
        self._update.file_hashed(hashed, now)

    def _on_delta_applied(self, applied: hear.DeltaApplied, now: int) -> None:
        self._update.delta_applied(applied, now)

    def _on_kit_ran(self, ran: hear.KitRan, now: int) -> None:
        self._update.kit_ran(ran, now)

    def _on_probe_ran(self, ran: hear.ProbeRan, now: int) -> None:
        del now
        if not self._probe.ran(ran):
            self._inbox.ignore()

    def _on_storage_failed(self, failed: hear.StorageFailed, now: int) -> None:
        save = refused_writes.forget(failed, self._shared, self._trust, self._download)
        for effect in failed.lost:
            self._install.never_asked(effect)
            self._probe.never_asked(effect)
        again = self._work.never_done(failed.lost)
        ended = self._update.storage_failed(now)
        if save:
            self._shared.save_state()
        if not ended:
            if again:
                self._work.switch(now)
            else:
                self._work.go(now)


def _known(state: bytes) -> State:
    """What a state file says; of one that cannot be read, that it was lost."""
    try:
        return decode_state(state)
    except StateUnreadable:
        return State(lost=True)


_ROUTES: Final[dict[type[Any], Callable[[Agent, Any, int], None]]] = {
    hear.Booted: Agent._on_booted,  # noqa: SLF001 - the table of this very class
    hear.DeadlineReached: Agent._on_deadline,  # noqa: SLF001
    hear.BearerChanged: Agent._on_bearer,  # noqa: SLF001
    hear.Connected: Agent._on_connected,  # noqa: SLF001
    hear.ConnectFailed: Agent._on_connect_failed,  # noqa: SLF001
    hear.Disconnected: Agent._on_disconnected,  # noqa: SLF001
    hear.Subscribed: Agent._on_subscribed,  # noqa: SLF001
    hear.Arrived: Agent._on_arrived,  # noqa: SLF001
    hear.PubAcked: Agent._on_acked,  # noqa: SLF001
    hear.FileRead: Agent._on_file_read,  # noqa: SLF001
    hear.FileHashed: Agent._on_file_hashed,  # noqa: SLF001
    hear.DeltaApplied: Agent._on_delta_applied,  # noqa: SLF001
    hear.KitRan: Agent._on_kit_ran,  # noqa: SLF001
    hear.ProbeRan: Agent._on_probe_ran,  # noqa: SLF001
    hear.FramesRan: Agent._on_frames,  # noqa: SLF001
    hear.FramesTaken: Agent._on_taken,  # noqa: SLF001
    hear.ConditionsChanged: Agent._on_conditions,  # noqa: SLF001
    hear.StorageFailed: Agent._on_storage_failed,  # noqa: SLF001
}
