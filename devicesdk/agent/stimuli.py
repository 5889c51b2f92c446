"""Everything that can happen to a device agent.

The twin of effects.py: a host turns the world into these values, hands each to `Agent.handle` with
the instant it happened, and performs the effects that come back. *Event*, *command* and *message*
are words of MQTT land and are not used for these.

Rules: a stimulus carries facts, never advice; bytes from outside are unverified; where an effect
asks for something (`RunKit`, `HashFile`, `ReadFile`, `RunModel`), exactly one stimulus answers it,
unless power goes first.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from devicesdk.agent.effects import Effect


class Readings(Protocol):
    """The quantised outputs of a burst of inferences, computed when first looked at."""

    def rows(self) -> list[list[int]]:
        """One row a frame that ran: reading (permille), confidence bin, entropy bin, eight feature
        bins, error code (0 = none)."""
        ...


class Stimulus(msgspec.Struct, frozen=True, gc=False):
    """Base of all stimuli."""


class Conditions(msgspec.Struct, frozen=True, gc=False):
    """What the device's sensors say now."""

    battery_percent: int = 100
    plugged: bool = True
    chip_c: int = 25
    throttled: bool = False
    metered: bool = False
    """Whether the link is paid by the byte."""
    memory_percent: int = 0
    """Memory in use; 0 where nobody measures it."""


class Booted(Stimulus, frozen=True, gc=False):
    """Power is on and the agent was restored from its files. `boot_id` grows with each boot."""

    boot_id: int
    wall_ms: int | None
    """Wall-clock UTC if the clock was ever set, else None (or 1970: it is only ever a hint)."""
    bearer_up: bool
    conditions: Conditions


class DeadlineReached(Stimulus, frozen=True, gc=False):
    """The instant that `Agent.deadline` named has come (or passed)."""


class BearerChanged(Stimulus, frozen=True, gc=False):
    """The modem or network card gained or lost its carrier."""

    up: bool


class Connected(Stimulus, frozen=True, gc=False):
    """CONNACK with success."""

    session_present: bool


class ConnectFailed(Stimulus, frozen=True, gc=False):
    """No connection came of a `Connect`: refused, timed out, or the CONNACK never came."""

    reason: str


class Disconnected(Stimulus, frozen=True, gc=False):
    """An established connection is gone (closed, reset, taken over, or silent for too long)."""

    reason: str


class Subscribed(Stimulus, frozen=True, gc=False):
    """SUBACK: one reason code for each filter asked for, in order; >= 0x80 is a refusal."""

    codes: tuple[int, ...]


class Arrived(Stimulus, frozen=True, gc=False):
    """A message arrived on a topic of this device."""

    kind: str
    """`devicesdk.wire.topics` kind: kill, flags, want, ctl or dat."""
    payload: bytes
    retained: bool = False


class PubAcked(Stimulus, frozen=True, gc=False):
    """The broker answered the QoS 1 publish with this token."""

    token: int
    nobody: bool = False
    """Whether it said that nobody has subscribed to the topic (reason 0x10): then it kept the message for nobody,
    but for a retained one. False: it took responsibility."""


class FileRead(Stimulus, frozen=True, gc=False):
    """Answer to `ReadFile`: contents, or None where there is no such file."""

    file: str
    data: bytes | None


class FileHashed(Stimulus, frozen=True, gc=False):
    """Answer to `HashFile`: SHA-256 of the first `size_bytes` of the file."""

    file: str
    digest: bytes


class DeltaApplied(Stimulus, frozen=True, gc=False):
    """Answer to `ApplyDelta`. Says nothing of whether the image is the one that was signed."""

    file: str
    ok: bool
    reason: str
    """Empty when ok; else one word: `delta` (damaged, or for other images) or `storage`."""


class KitRan(Stimulus, frozen=True, gc=False):
    """Answer to `RunKit`."""

    slot: str
    passed: bool
    reason: str
    """Empty when passed; else one word such as `deviation`, `argmax`, `nan`, `latency`, `memory`."""
    worst_permille: int
    latency_us: int


class ProbeRan(Stimulus, frozen=True, gc=False):
    """Answer to `RunProbe`; one that could not be run at all has failed, with everything at its worst."""

    slot: str
    passed: bool
    """By the rule that the bundle's kit pins."""
    residual_permille: int
    """Mean distance of the readings from the golden readings, permille of full scale."""
    worst_permille: int
    """Largest distance of a probability from its golden."""
    argmax_mismatches: int
    resembles: str = ""
    """The kernel class whose goldens were met; empty where none was."""


class FramesRan(Stimulus, frozen=True, gc=False):
    """Answer to `RunModel` (at the end of the burst, or at once after `CutBurst`)."""

    burst: int
    frames: int
    """How many frames ran: fewer than asked for when the burst was cut."""
    readings: Readings
    latency_us: int
    """Mean latency of one inference in this burst."""
    throttled_frames: int
    conditions: Conditions
    memory_mib: int = 0
    """Peak memory of what ran the model; 0: not known."""
    accelerator_permille: int = 0
    """Share of the frames that an accelerator ran; 0: none, or not known."""
    shadow: Readings | None = None
    """Of the slot that ran in the shadow, row by row for the same frames."""
    shadow_latency_us: int = 0


class FramesTaken(Stimulus, frozen=True, gc=False):
    """Answer to `TakeFrames` (at the end of the burst, or at once after `CutBurst`)."""

    burst: int
    frames: int
    """How many are kept."""
    pixels: bytes
    """Where they were asked for: the model's input of each frame plus 128, a byte a value."""
    conditions: Conditions


class ConditionsChanged(Stimulus, frozen=True, gc=False):
    """A sensor crossed something that matters (throttle, plug, battery step)."""

    conditions: Conditions


class StorageFailed(Stimulus, frozen=True, gc=False):
    """A write or save was refused: flash full or worn out. Nothing of it was stored, and the effects
    after it in the same batch were not performed."""

    file: str
    reason: str
    lost: tuple[Effect, ...] = ()
    """Those effects, in their order."""


AnyStimulus = (
    Booted
    | DeadlineReached
    | BearerChanged
    | Connected
    | ConnectFailed
    | Disconnected
    | Subscribed
    | Arrived
    | PubAcked
    | FileRead
    | FileHashed
    | DeltaApplied
    | KitRan
    | ProbeRan
    | FramesRan
    | FramesTaken
    | ConditionsChanged
    | StorageFailed
)
