"""Inference: when frames are captured and what is done about what they show.

Decides bursts (one a telemetry window), the local alarm and what of a burst goes to telemetry and to
the trial's clock. Leaves out which slot is active (update.py), what is enabled (flags.py) and the
window's bytes (telemetry.py).

In steady state there is one stimulus a window: `FramesRan` ends one, and its answer begins the next.

Rules: no frame before the kill list of this boot is in force, except that a device without a
connection trusts the last one it knew after a grace; the first window of a boot begins at a random
phase, so a fleet's windows do not end together; every frame that ran is in exactly one window, also
when a burst was cut; an alarm sounds once until the reading has fallen below its hysteresis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from devicesdk.agent.arm import APART_PERMILLE, Arm, shadow_window
from devicesdk.agent.choosing import Choice, Chooser
from devicesdk.agent.effects import (
    PLAIN,
    Act,
    Activate,
    CutBurst,
    Effect,
    Mode,
    ReadAnswer,
    RunModel,
    RunTaken,
    StandBy,
    TakeFrames,
)
from devicesdk.agent.elsewhere import Elsewhere, Phase
from devicesdk.agent.flags import Flags
from devicesdk.agent.notes import NoteKind
from devicesdk.agent.outbox import Outbox
from devicesdk.agent.privacy import Secret, Veil
from devicesdk.agent.probe import Probe
from devicesdk.agent.shared import Shared
from devicesdk.agent.slots import Slots
from devicesdk.agent.stimuli import FramesRan, FramesTaken
from devicesdk.agent.telemetry import ERROR, READING, Rows, encode_window
from devicesdk.agent.trial import TrialClock
from devicesdk.wire.messages import Control
from devicesdk.wire.timebase import NEVER, SECOND

TRIAL_BURST_NS_MIN: Final = SECOND


class Work:
    """The bursts of one boot."""

    __slots__ = (
        "_bundle8",
        "_burst_in_trial",
        "_burst_started",
        "_bursts",
        "_candidates",
        "_chooser",
        "_cut",
        "_elsewhere",
        "_flags",
        "_gate_at",
        "_outbox",
        "_probe",
        "_shadow8",
        "_shared",
        "_slots",
        "_start_at",
        "_trial",
        "_veil",
        "_window_seq",
        "alarm",
        "arm",
        "at",
        "burst",
        "debug",
        "enabled",
        "running",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        slots: Slots,
        flags: Flags,
        outbox: Outbox,
        trial: TrialClock,
        probe: Probe,
    ) -> None:
        self._shared = shared
        self._slots = slots
        self._flags = flags
        self._outbox = outbox
        self._trial = trial
        self._probe = probe
        self._veil: Veil | None = None
        self.at = NEVER
        """When the next burst may begin, if that is not at once."""
        self.burst = 0
        """Number of the burst that runs or ran last."""
        self.running = False
        self.alarm = False
        self.arm: Arm | None = None
        """This device's part in an experiment."""
        self.debug: Callable[[Rows, int], tuple[int, bytes] | None] | None = None
        """In debug mode: what a window tells more."""
        self.enabled = flags.enabled(shared.config.inference_feature)
        self._cut = False
        self._start_at = self._gate_at = 0
        self._burst_started = 0
        self._burst_in_trial = False
        self._candidates = False
        """Whether the burst is an experiment's candidate's: it runs as it is, outside of the policy."""
        self._bundle8 = self._shadow8 = b""
        self._window_seq = 0
        self._bursts = 0
        self._chooser: Chooser | None = None
        self._elsewhere: Elsewhere | None = None
        self._adopt()

    # -- when ---------------------------------------------------------------------------------------

    def booted(self, now: int) -> None:
        """Draw the phase of this boot's windows, and wait for the kill list."""
        shared = self._shared
        self._start_at = now + shared.dice.below(shared.config.window_ns)
        self._gate_at = now + shared.config.kill_grace_ns
        if shared.config.privacy:
            self._veil = Veil(
                Secret(shared.seed, shared.boot_id),
                shared.config.privacy_epsilon_permille,
                shared.config.privacy_frames_min,
            )

    def subscribed(self, now: int) -> None:
        """The kill list, if there is one, comes now or has come."""
        self._gate_at = min(self._gate_at, now + self._shared.config.kill_settle_ns)
        self.go(now)

    def kill_list_came(self, now: int) -> None:
        """The kill list of this moment is in force."""
        self._gate_at = min(self._gate_at, now)
        self.permit(now)

    def _adopt(self) -> None:
        """Put the flags' policy in force; a device that never had one has no chooser at all."""
        policy = self._flags.policy
        if self._chooser is None:
            if policy is None:
                return
            self._chooser = Chooser(self._shared)
            self._elsewhere = Elsewhere(self._shared, self._chooser)
        self._chooser.adopt(policy, self._flags.rev)

    def permit(self, now: int) -> None:
        """Flags or kills changed: stop at once, or begin again at a phase of its own."""
        self._adopt()
        enabled = self._flags.enabled(self._shared.config.inference_feature)
        if enabled is not self.enabled:
            self.enabled = enabled
            self._trial.restart()
            if enabled:
                phase = self._shared.dice.below(self._shared.config.window_ns)
                self._start_at = max(self._start_at, now + phase)
            else:
                self.cut()
                if self._elsewhere is not None:
                    self._elsewhere.drop_waiting()
        self.go(now)

    def switch(self, now: int) -> None:
        """Run what the slots say is active, from now on. The saved state says so already."""
        self.cut()
        if self._chooser is not None:
            self._chooser.another_image()
        if self._elsewhere is not None:
            self._elsewhere.drop_waiting()  # it is another model's input
        active, image = self._slots.active, self._slots.running
        self._shared.out.append(Activate(active, image.manifest, image.variant))
        self._probe.switched(now)
        self.go(now)

    def cut(self) -> None:
        """End the burst that runs; its frames are reported when `FramesRan` says how many."""
        elsewhere = self._elsewhere
        if elsewhere is not None and elsewhere.phase is Phase.ASKING:
            elsewhere.drop()
            self.running = False
            self.at = NEVER
        elif self.running and not self._cut:
            self._cut = True
            self._shared.out.append(CutBurst(self.burst))

    def never_done(self, lost: Iterable[Effect]) -> bool:
        """What was asked for after a refused write never happened: nobody will report that burst. True when
        the host does not know what is active; then `switch` has to say it again."""
        again = False
        for effect in lost:
            kind = type(effect)
            if isinstance(effect, RunModel | TakeFrames | RunTaken | ReadAnswer):
                if self.running and effect.burst == self.burst:
                    self.running = self._cut = False
                    if self._elsewhere is not None and self._elsewhere.busy:
                        self._elsewhere.drop()
            elif kind is StandBy:
                self.arm, self._shared.look_due = None, True
            elif kind in (Activate, CutBurst):
                again = True
                self._cut = False
        return again

    def stand_down(self) -> None:
        """The experiment's part is over: whatever of it runs ends now."""
        if self.arm is not None:
            self.arm = None
            self.cut()

    def go(self, now: int) -> None:
        """Begin a burst if one may begin; else know when to look again."""
        if self.running or not self.enabled:
            self.at = NEVER if self._elsewhere is None else self._elsewhere.at
            return
        active = self._slots.active
        if not active or not (self._shared.config.window_frames or self._trial.running):
            # Without frames there are no windows; a trial runs its own all the same.
            self.at = NEVER if self._elsewhere is None else self._elsewhere.at
            return
        earliest = self._gate_at
        if not self._trial.running and self._start_at > earliest:
            earliest = self._start_at
        if now < earliest:
            self.at = earliest
            return
        self.at = NEVER
        self._begin(active, now)

    def due(self, now: int) -> None:
        """It is time to look again."""
        if now >= self.at:
            if self._elsewhere is not None and self._elsewhere.phase is Phase.ASKING:
                self._elsewhere.due(now)
            self.go(now)

    def _begin(self, active: str, now: int) -> None:
        config, slots = self._shared.config, self._slots
        span, frames = config.window_ns, config.window_frames
        if self.alarm:
            frames *= config.alarm_frames_factor
        choice = None if self._chooser is None else self._chosen(now)
        if choice is not None:
            if choice.path == "local" and self._ran_kept(choice):
                return
            span *= choice.windows
            frames = max(1, frames * choice.windows * choice.frames_permille // 1000)
        self._burst_in_trial = self._trial.running
        late = (now - self._start_at) % span
        if self._burst_in_trial:
            left = self._trial.burst_begins(now)
            span = min(span, max(left, TRIAL_BURST_NS_MIN))
            frames = max(frames, config.trial_frames_min)
        elif late:
            span, frames = _to_the_beat(span, frames, span - late)
        self._bursts += 1
        self.burst = self._bursts
        self.running = True
        self._cut = False
        self._burst_started = now
        slot, shadow = active, ""
        here = choice is None or choice.path == "local"
        if self.arm is not None and here and not self._burst_in_trial:
            slot, shadow = self.arm.turn(self._shared.conditions)
            if (
                self._veil is not None
            ):  # how two models compare on private inputs is exact, and told
                shadow = ""
            self._shadow8 = slots[shadow].manifest[:8] if shadow else b""
        self._candidates = slot != active
        self._bundle8 = slots[slot].manifest[:8]
        if span < frames * config.frame_period_ns_min:
            frames = max(1, span // config.frame_period_ns_min)
        # Rounded up: a trial's burst must not end before the trial does.
        period = -(-span // frames)
        if here or choice is None:
            # The policy's variants are those of the active image.
            plain = choice is None or self._candidates
            mode = PLAIN if plain or choice is None else Mode(choice.variant, choice.side)
            self._shared.out.append(RunModel(self.burst, slot, frames, period, mode, shadow))
        else:
            assert self._elsewhere is not None, "a choice without a chooser"
            self._elsewhere.take(choice, self.burst, active, frames, period)

    def _chosen(self, now: int) -> Choice | None:
        """What the policy says of the next burst; a trial is judged on the image's own model."""
        chooser, config = self._chooser, self._shared.config
        if chooser is None or self._trial.running:
            return None
        may_send = (
            config.offload_consent
            and not config.regulatory_mode
            and not config.privacy
            and self._flags.on(config.offload_feature)
        )
        return chooser.choose(self._slots.running, now, alarm=self.alarm, may_send=may_send)

    def _ran_kept(self, choice: Choice) -> bool:
        """Better days: run the oldest frames that wait, if there are any."""
        elsewhere = self._elsewhere
        if elsewhere is None or not elsewhere.waiting:
            return False
        slots = self._slots
        self.running, self._cut, self._burst_in_trial = True, False, False
        self._candidates = False
        self._bundle8 = slots.running.manifest[:8]
        self.burst = elsewhere.run_oldest(slots.active, Mode(choice.variant, choice.side))
        return True

    # -- frames that are not run at once --------------------------------------------------------------

    def frames_taken(self, taken: FramesTaken, now: int) -> bool:
        """Frames are on the host; False when they are none of ours."""
        elsewhere = self._elsewhere
        if elsewhere is None or elsewhere.phase is not Phase.TAKING or taken.burst != self.burst:
            return False
        if self._cut:
            self._cut = False
            elsewhere.drop()
        else:
            manifest = self._slots.running.manifest
            elsewhere.taken(taken, now - self._burst_started, manifest, now)
        self.running = elsewhere.busy
        self.go(now)
        return True

    def answered(self, control: Control, now: int) -> bool:
        """The gateway answered an ask; False when nobody waits for it any more."""
        if self._elsewhere is None or not self._elsewhere.answered(control, now):
            return False
        self.at = NEVER
        return True

    def offline(self, now: int) -> None:
        """The connection is gone."""
        if self._elsewhere is not None and self._elsewhere.phase is Phase.ASKING:
            self._elsewhere.offline(now)
            self.at = NEVER

    # -- what came of it ------------------------------------------------------------------------------

    def frames_ran(self, ran: FramesRan, now: int) -> bool:
        """Report a burst that is over; False when it is none of ours. The next one begins by `go`."""
        if ran.burst != self.burst or not self.running:
            return False
        self.running = self._cut = False
        span = now - self._burst_started
        elsewhere = self._elsewhere
        if elsewhere is not None and elsewhere.phase is Phase.READING:
            elsewhere.read()
            span = elsewhere.span_ns
            if elsewhere.took_ms >= 0:
                # What the reading cost in time is how long the gateway took.
                ran = replace(ran, latency_us=elsewhere.took_ms * 1000)
        if not ran.frames:
            return True
        rows: Rows = ran.readings.rows()
        config = self._shared.config
        self._window_seq += 1
        payload, errors = encode_window(
            self._shared.boot_id,
            self._window_seq,
            self._bundle8,
            self._flags.rev,
            span,
            ran,
            rows,
            sketches=config.sketches,
            count_min=config.count_min,
            probed=None if self._probe.result is None else self._probe.take(),
            veil=self._veil,
            chosen=None if self._chooser is None else self._told_of_choices(self._chooser),
            debug=None if self.debug is None else self.debug(rows, now),
            bloom=config.bloom,
        )
        if self._burst_in_trial and self._trial.running:
            self._trial.count(ran.frames, errors)
        acted_on = rows
        if self._chooser is not None and not (self._burst_in_trial or self._candidates):
            acted_on = self._believed([list(row) for row in rows], now)
        if acted_on:
            self._decide(acted_on, errors)
        self._outbox.window(payload, now)
        if self.arm is not None and self._candidates:
            self.arm.judge(ran, errors)
        if ran.shadow is not None:
            self._tell_shadow(ran, rows, now)
        return True

    def _told_of_choices(self, chooser: Chooser) -> tuple[dict[str, int], int]:
        """Decisions by rule, and the moved bound: not of private inputs, whose exact confidences moved it."""
        return chooser.counts(), chooser.shift if self._veil is None else 0

    def _tell_shadow(self, ran: FramesRan, rows: Rows, now: int) -> None:
        """A window of its own for what ran on the same frames."""
        self._window_seq += 1
        boot_id, span_ns = self._shared.boot_id, now - self._burst_started
        apart = APART_PERMILLE if self.arm is None else self.arm.definition.apart_permille
        payload = shadow_window(
            boot_id, self._window_seq, self._shadow8, self._flags.rev, span_ns, ran, rows, apart
        )
        self._outbox.window(payload, now)

    def _decide(self, rows: Rows, errors: int) -> None:
        """Act on the readings, in their order; a frame in error decides nothing."""
        config = self._shared.config
        if not errors:
            # Nearly always nothing crosses its threshold: one comparison instead of a walk.
            reading = rows[0][READING]
            if len(rows) > 1:
                readings = [row[READING] for row in rows]
                reading = min(readings) if self.alarm else max(readings)
            if self.alarm:
                if reading >= config.alarm_below_permille:
                    return
            elif reading <= config.alarm_above_permille:
                return
        for row in rows:
            if row[ERROR]:
                continue
            reading = row[READING]
            if not self.alarm and reading > config.alarm_above_permille:
                self._alarm_on(reading)
            elif self.alarm and reading < config.alarm_below_permille:
                self.alarm = False
                self._shared.out.append(Act("alarm_off", reading))
                self._shared.note(NoteKind.ALARM_OFF, reading)

    def _believed(self, rows: list[list[int]], now: int) -> Rows:
        """The frames that may be acted on; when there is none, say what was last known, and how old."""
        chooser = self._chooser
        assert chooser is not None, "nobody to believe"
        good = chooser.believed(rows, self._slots.running, now)
        if not good and rows:
            reading = -1 if chooser.last_good is None else chooser.last_good[0]
            age_ms = chooser.age_ms(now)
            self._shared.note(NoteKind.LAST_KNOWN, reading, age_ms)
            if chooser.last_good is not None:
                self._shared.out.append(Act("last_known", reading, age_ms))
        return good

    def _alarm_on(self, reading: int) -> None:
        self.alarm = True
        self._shared.out.append(Act("alarm_on", reading))
        self._shared.note(NoteKind.ALARM_ON, reading)
        self._outbox.event("alarm", value=reading, digest=self._bundle8)
        self._shared.save_state()

    def validate(self) -> None:
        """Check that what should run does, or knows when it will.

        Raises:
            AssertionError: it does not, or what must not run does.
        """
        if self._chooser is not None and self._elsewhere is not None:
            self._chooser.validate()
            self._elsewhere.validate()
            assert self.running or not self._elsewhere.busy, "frames in nobody's hand"
        if self.running:
            assert self.enabled or self._cut, "a killed feature runs"
            assert self._slots.active or self._cut, "a burst runs and no slot is active"
        elif self.enabled and self._slots.active and self._shared.config.window_frames:
            assert self.at != NEVER, "nothing runs and nothing will"


def _to_the_beat(span: int, frames: int, left: int) -> tuple[int, int]:
    """Length and frames of a window that begins off the beat, `left` ns before the next one.

    Keeps the device's own beat, or a rollout would leave a fleet that reports in step. The frames
    keep their rate, rounded to nearest: a host that is a little late or early changes nothing. Where
    not half a frame is left, the window lasts until the beat after.
    """
    some = (2 * frames * left + span) // (2 * span)
    return (left, some) if some else (left + span, frames)
