"""The life of an update: which want is followed, when it may go on, and what becomes of it.

    want > hold, jitter, policy > [install.py] > TRIAL > COMMITTED or ROLLED_BACK

Decides what a want means for what is in hand, the trial's beginning and its end. Leaves out the way
from a want to a staged image (install.py), what is in the slots (slots.py), how a trial is judged
(trial.py) and which frames run (work.py).

Rules: the newest generation wins, an equal or smaller one is ignored; a banned digest is refused
before a byte of it is fetched; `hold` and the policy stop everything but a trial that runs; the
trial's marker is durable before the swap, and a commit is one before it is reported; going back
needs nothing but what is on the device.
"""

from __future__ import annotations

from typing import Final

from devicesdk.agent.books import Books
from devicesdk.agent.install import READY, Install, Outcome
from devicesdk.agent.job import Job, blocked_by
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.shared import Shared
from devicesdk.agent.slots import Slots
from devicesdk.agent.snapshot import Trial, decode_want
from devicesdk.agent.stimuli import DeltaApplied, FileHashed, FileRead, KitRan
from devicesdk.agent.trial import TrialClock, Verdict
from devicesdk.agent.trust import Trust
from devicesdk.agent.work import Work
from devicesdk.bundle.trust import ROLE_DIRECTOR
from devicesdk.wire import limits
from devicesdk.wire.errors import BadMessage
from devicesdk.wire.messages import UpdateState, Want
from devicesdk.wire.timebase import MS, NEVER

GENERATION_MAX: Final = 2**52
ENVELOPE_BYTES_MAX: Final = limits.MANIFEST_BYTES_MAX + 256


class Update:
    """The update in hand."""

    __slots__ = (
        "_books",
        "_clock",
        "_install",
        "_shared",
        "_slots",
        "_trust",
        "_work",
        "job",
        "staged",
        "storage_failures",
    )

    def __init__(
        self,
        shared: Shared,
        slots: Slots,
        books: Books,
        install: Install,
        work: Work,
        clock: TrialClock,
        trust: Trust,
    ) -> None:
        self._shared = shared
        self._slots = slots
        self._books = books
        self._install = install
        self._work = work
        self._clock = clock
        self._trust = trust
        self.job: Job | None = None
        """The update in hand."""
        self.staged = False
        """The newest want rests: its image is beside what runs, read back and judged in this boot."""
        self.storage_failures = 0

    @property
    def at(self) -> int:
        """When something here is due."""
        if self._clock.running:
            return self._clock.at
        return NEVER if self.job is None else self.job.wake_at

    @property
    def promoting(self) -> bool:
        """Whether what was staged is on its way to a trial, and held back by something."""
        return self.job is not None and self.job.promoted

    # -- what happens -----------------------------------------------------------------------------

    def booted(self, now: int) -> None:
        """Find out where the last boot stopped, run what may run, and go on."""
        slots, books = self._slots, self._books
        self._install.booted()
        if slots.trial is not None:
            self._trial_after_boot(now)
        elif slots.committed:
            self._work.switch(now)
        if books.want is None or slots.trial is not None or self.job is not None:
            return
        if not books.over:
            self._plan(books.want, now)

    def offered(self, payload: bytes, now: int) -> None:
        """A want arrived.

        Raises:
            ProtocolError: not signed by the director, not a want, or one of no possible generation.
        """
        raw = self._shared.verifier.open(ROLE_DIRECTOR, payload, limits.WANT_BYTES_MAX)
        want = decode_want(raw)
        if want.device != self._shared.identity.device:
            self._shared.note(NoteKind.WANT_NOT_MINE)
            return
        if want.generation > GENERATION_MAX:
            raise BadMessage(
                f"expected a generation of at most {GENERATION_MAX}, found {want.generation}: the "
                f"report of it could not be read, and no newer one could be said"
            )
        if self._trust.time_told(want, now) and want.generation == self._books.generation:
            self.advance(now)
        if want.generation < self._books.generation:
            self._shared.note(NoteKind.WANT_OLD, want.generation, self._books.generation)
        elif want.generation > self._books.generation:
            self._adopt(want, raw, now)

    def advance(self, now: int) -> None:
        """Something changed that may let the update in hand go on, or hold it back."""
        job = self.job
        if job is None:
            return
        why = blocked_by(job, self._shared.conditions, now)
        if not why:
            job.wake_at = NEVER
            self._follow(self._install.advance(job, now), now)
            return
        self._install.hold()
        if why == "jitter":
            job.wake_at = job.start_at
            self._books.enter(UpdateState.OFFERED)
        else:
            job.wake_at = NEVER
            self._books.enter(UpdateState.WAITING, why)

    def due(self, now: int) -> None:
        """The jitter is over, or a trial fell silent."""
        if now < self.at:
            return
        if self._clock.running:
            self.judge(now)
        else:
            self.advance(now)

    def fetched(self, now: int) -> None:
        """The download ended."""
        if self.job is not None:
            self._follow(self._install.fetched(self.job, now), now)

    def file_read(self, read: FileRead, now: int) -> None:
        """Answer to `ReadFile`."""
        self._follow(self._install.file_read(self.job, read, now), now)

    def file_hashed(self, hashed: FileHashed, now: int) -> None:
        """Answer to `HashFile`."""
        self._follow(self._install.file_hashed(self.job, hashed, now), now)

    def delta_applied(self, applied: DeltaApplied, now: int) -> None:
        """Answer to `ApplyDelta`."""
        self._follow(self._install.delta_applied(self.job, applied, now), now)

    def kit_ran(self, ran: KitRan, now: int) -> None:
        """Answer to `RunKit`."""
        self._follow(self._install.kit_ran(self.job, ran, now), now)

    def director_changed(self) -> None:
        """The key of the newest want was revoked: follow nobody until a want comes from one who may."""
        self._shared.note(NoteKind.DIRECTOR_REVOKED, self._books.generation)
        if self.job is not None:
            self._books.enter(UpdateState.CANCELED, "revoked")
            self._books.tell()
            self._drop_job()
        self._books.forget()
        self._shared.save_state()

    def storage_failed(self, now: int) -> bool:
        """Storage refused a write: an update cannot go on, what runs for good still does. True when that
        ended a trial."""
        self.storage_failures += 1
        self._shared.note(NoteKind.STORAGE_FAILED, self.storage_failures)
        if self._slots.trial is not None:
            self._back(UpdateState.ROLLED_BACK, "storage", now, failed=False)
            return True
        if self.job is not None:
            self._install.storage_failed(self.job)
            self._conclude(UpdateState.FAILED, "storage")
        return False

    # -- wants --------------------------------------------------------------------------------------

    def _adopt(self, want: Want, raw: bytes, now: int) -> None:
        books, job, trial = self._books, self.job, self._slots.trial
        if trial is not None:
            books.take(want, raw)
            if self._slots[trial.slot].manifest == want.manifest:
                self._slots.rename_trial(want.generation, want.deployment, want.attempt)
                books.enter(UpdateState.TRIAL)
            elif not want.hold:
                self._back(UpdateState.SUPERSEDED, "", now, failed=False)
            self._shared.save_state()
        elif job is not None and job.want.manifest == want.manifest:
            books.take(want, raw)
            job.want = want
            self._shared.save_state()
            self.advance(now)
        else:
            if job is not None:
                books.enter(UpdateState.SUPERSEDED)
                books.tell()
                self._drop_job()
            elif self.staged and self._slots[self._slots.inactive].manifest != want.manifest:
                books.enter(UpdateState.SUPERSEDED)
                books.tell()
            self._unrest()
            books.take(want, raw)
            self._plan(want, now)

    def _plan(self, want: Want, now: int) -> None:
        """Begin to follow the newest want."""
        slots = self._slots
        if slots.committed and slots[slots.committed].manifest == want.manifest:
            self._conclude(UpdateState.COMMITTED, "", tell=False)
            return
        refusal = self._refusal(want, now)
        if refusal is not None:
            self._conclude(*refusal)
            return
        jitter_ns = self._shared.offer_dice(want.generation).below(want.jitter_ms * MS + 1)
        self.job = Job(want, now + jitter_ns)
        self._books.enter(UpdateState.OFFERED)
        self._shared.save_state()
        self.advance(now)

    def _refusal(self, want: Want, now: int) -> tuple[UpdateState, str] | None:
        if self._slots.is_banned(want.manifest):
            return UpdateState.REJECTED, "quarantined"
        if want.expires_ms and self._trust.is_past(want.expires_ms, now):
            return UpdateState.CANCELED, "expired"
        if not 0 < want.manifest_bytes <= ENVELOPE_BYTES_MAX:
            return UpdateState.REJECTED, "manifest:size"
        return None

    def _follow(self, outcome: Outcome, now: int) -> None:
        """Do what an outcome of the steps asks for."""
        job = self.job
        if outcome is None or job is None:
            return
        if outcome is not READY:
            self._conclude(*outcome)
            return
        if job.want.stage and not job.promoted:
            self._rest()
            return
        why = blocked_by(job, self._shared.conditions, now)
        if not why and not self._work.enabled:
            why = "killed"
        if why:
            self._books.enter(UpdateState.WAITING, why)
        else:
            self._begin_trial(job.want, now)

    # -- beside what runs -----------------------------------------------------------------------------

    def _rest(self) -> None:
        """The image is here, whole and judged, and shall not run for good: wait for a flag."""
        self._drop_job()
        self.staged = self._shared.look_due = self._shared.report_due = True
        self._books.enter(UpdateState.STAGED)
        self._books.tell()
        self._shared.save_state()

    def _unrest(self) -> None:
        """Nobody counts on the inactive slot from now on: nothing runs from it."""
        if self.staged:
            self.staged = False
            self._shared.look_due = True
            self._work.stand_down()

    def promote(self, now: int) -> None:
        """Try what is staged, as soon as the want's policy allows; it was judged in this boot."""
        want = self._books.want
        if not self.staged or want is None:
            return
        self._unrest()
        self.job = job = Job(want, now)
        job.checked = job.kit_passed = job.promoted = True
        self.advance(now)

    def drop_staged(self, reason: str, now: int) -> None:
        """End the newest want, and give the inactive slot up."""
        del now
        self._unrest()
        self._slots.invalidate()
        self._conclude(UpdateState.CANCELED, reason)

    def _conclude(self, state: UpdateState, reason: str, *, tell: bool = True) -> None:
        """The newest want has ended."""
        self._books.enter(state, reason)
        if tell:
            self._books.tell()
        self._drop_job()
        self._shared.report_due = True
        self._shared.save_state()

    def _drop_job(self) -> None:
        self._install.drop()
        self.job = None

    # -- the trial ----------------------------------------------------------------------------------

    def _begin_trial(self, want: Want, now: int) -> None:
        self._drop_job()
        self._slots.begin_trial(
            Trial(
                slot=self._slots.inactive,
                generation=want.generation,
                deployment=want.deployment,
                attempt=want.attempt,
                trial_ms=want.policy.trial_ms,
            )
        )
        self._clock.begin(want.policy.trial_ms)
        self._books.enter(UpdateState.TRIAL)
        self._books.tell()
        self._shared.save_state()
        self._work.switch(now)

    def _trial_after_boot(self, now: int) -> None:
        boots = self._slots.rebooted()
        trial = self._slots.trial
        assert trial is not None, "the trial went while its boots were counted"
        self._shared.note(NoteKind.TRIAL_REBOOTED, boots)
        if boots > self._shared.config.trial_boots_max:
            self._back(UpdateState.ROLLED_BACK, "runtime:reboot", now, failed=True)
            return
        self._clock.begin(trial.trial_ms)
        self._books.enter(UpdateState.TRIAL)
        self._shared.save_state()
        self._work.switch(now)

    def judge(self, now: int) -> None:
        """Look at the frames of the trial: commit, go back, or go on."""
        verdict = self._clock.verdict(now)
        if verdict is Verdict.FAILED:
            reason = "runtime:errors" if self._clock.errors else "runtime:silent"
            self._back(UpdateState.ROLLED_BACK, reason, now, failed=True)
        elif verdict is Verdict.PASSED:
            self._books.enter(UpdateState.COMMITTED)
            self._books.tell()
            self._clock.end()
            self._trust.committed(self._slots.running.manifest)
            self._slots.commit()
            self._after_trial(now)

    def _back(self, state: UpdateState, reason: str, now: int, *, failed: bool) -> None:
        """End the trial and run the committed slot again."""
        self._books.enter(state, reason)
        self._books.tell()
        self._clock.end()
        self._slots.roll_back(failed=failed)
        if failed:
            self._shared.note(NoteKind.QUARANTINED, len(self._slots.bad))
        self._shared.save_state()
        self._work.switch(now)
        self._after_trial(now)

    def _after_trial(self, now: int) -> None:
        """Save; a want that came during the trial and asks for something else is followed now."""
        self._shared.report_due = True
        self._shared.save_state()
        want = self._books.want
        if want is not None and self._books.status.generation != want.generation:
            self._plan(want, now)

    def validate(self) -> None:
        """Check that job and trial fit each other, and that an update in hand waits for something.

        Raises:
            AssertionError: they do not, or it does not.
        """
        trial, job, status = self._slots.trial, self.job, self._books.status
        assert trial is None or job is None, "a trial and an update in hand at once"
        assert self._clock.running == (trial is not None), "the trial's clock and marker disagree"
        if job is None:
            assert not self._install.waits, "a download or an answer that nobody wants"
            return
        assert not self._books.over, "an update in hand that is over"
        held = status.state is UpdateState.WAITING
        waits = self._install.waits or job.wake_at != NEVER
        assert held or waits, f"the update in state {status.state.name} waits for nothing"
