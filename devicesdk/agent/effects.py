"""Everything a device agent can ask for.

The twin of stimuli.py. A host performs the effects of one `handle` in their order, and never
reorders them: durability (`Save`, `Sync`) before what depends on it is expressed by order alone, and
power can go between any two.

Files: ``slot-a`` and ``slot-b`` hold images; ``state`` (the snapshot), ``map`` (chunk map) and
``meta-manifest`` and ``meta-hashes`` are small. `Write` is durable only after `Sync`; `Save` replaces a
small file atomically (write, fsync, rename) and is durable when done.
"""

from __future__ import annotations

from typing import Final

import msgspec

from devicesdk.wire.messages import Link


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Base of all effects."""


class Connect(Effect, frozen=True, gc=False):
    """Open a connection: clean start false, session expiry and keep-alive from the config."""

    will: Link
    """To be published retained on this device's `link` topic when the connection is lost."""


class Disconnect(Effect, frozen=True, gc=False):
    """Give the connection (or the attempt at one) up, in a way that has the will published (MQTT 5
    reason 0x04). The agent counts itself offline at once; no stimulus answers."""

    reason: str


class Subscribe(Effect, frozen=True, gc=False):
    """Subscribe with QoS 1 to these filters (at most 8), kill list first."""

    filters: tuple[str, ...]


class Publish(Effect, frozen=True, gc=False):
    """Publish; `token` (> 0) asks for a `PubAcked` and means QoS 1, 0 means QoS 0.

    Only asked for while connected. A publish that is not acknowledged when the connection goes is
    published again by the agent, not by the host.
    """

    kind: str
    """`devicesdk.wire.topics` kind: have, link, get, ev, tel or ask."""
    payload: bytes
    token: int
    retain: bool


class Write(Effect, frozen=True, gc=False):
    """Write bytes into a file at an offset (not durable yet)."""

    file: str
    offset: int
    data: bytes | memoryview


class Sync(Effect, frozen=True, gc=False):
    """Make all earlier writes to this file durable."""

    file: str


class Save(Effect, frozen=True, gc=False):
    """Replace a small file atomically and durably."""

    file: str
    data: bytes


class Delete(Effect, frozen=True, gc=False):
    """Remove a file durably; no error when it is not there."""

    file: str


class ReadFile(Effect, frozen=True, gc=False):
    """Ask for a small file; answered by `FileRead`."""

    file: str


class HashFile(Effect, frozen=True, gc=False):
    """Ask for the SHA-256 of a file's first `size_bytes`, read back from storage; `FileHashed`."""

    file: str
    size_bytes: int


class ApplyDelta(Effect, frozen=True, gc=False):
    """Make an image out of a delta and another image; answered by `DeltaApplied`. What was written is
    durable when that comes. In memory of at most `devicesdk.bundle.delta.APPLY_BYTES_MAX`; never more than
    `size_bytes` are written, and nothing where the base has not the digest that the delta names."""

    file: str
    """Where the image goes: the inactive slot."""
    size_bytes: int
    """Of the image, as signed."""
    delta: str
    delta_bytes: int
    base: str
    """The active slot; empty where nothing runs."""


class RunKit(Effect, frozen=True, gc=False):
    """Run the validation kit of a manifest on the image in an inactive slot; answered by `KitRan`."""

    slot: str
    manifest: bytes
    """Digest of the manifest."""
    variant: str


class RunProbe(Effect, frozen=True, gc=False):
    """Run the validation kit of the *active* image again, as a golden probe; answered by `ProbeRan`.

    Nothing is activated, kept back or rolled back by its result.
    """

    slot: str
    manifest: bytes
    """Digest of the manifest."""
    variant: str


class Activate(Effect, frozen=True, gc=False):
    """Run inference from this slot from now on (empty slot: run nothing). Saved state says so already."""

    slot: str
    manifest: bytes
    variant: str


class Mode(msgspec.Struct, frozen=True, gc=False):
    """How frames are run: which of the models in the slot's image, and on how many pixels."""

    variant: str = ""
    """Empty: the image's own; else one that it carries (`devicesdk.bundle.sealed`)."""
    side: int = 0
    """Frames are reduced to this many pixels a side before anything else; 0: not reduced."""


PLAIN: Final = Mode()


class RunModel(Effect, frozen=True, gc=False):
    """Capture and infer `frames` frames, `period_ns` apart, the first one now; answered by `FramesRan`
    `frames * period_ns` from now. One burst runs at a time."""

    burst: int
    slot: str
    frames: int
    period_ns: int
    mode: Mode = PLAIN
    shadow: str = ""
    """Slot whose model runs on the same frames and is only compared; empty: none."""


class TakeFrames(Effect, frozen=True, gc=False):
    """Capture frames as `RunModel` does and keep them, without running anything; answered by
    `FramesTaken`. What is kept goes with `RunTaken`, `ReadAnswer`, `DropTaken` or the power."""

    burst: int
    slot: str
    frames: int
    period_ns: int
    side: int
    send: bool
    """Whether the answer shall have the pixels."""


class RunTaken(Effect, frozen=True, gc=False):
    """Run the frames that were kept of a burst, as fast as it goes; answered by `FramesRan`."""

    burst: int
    slot: str
    mode: Mode


class ReadAnswer(Effect, frozen=True, gc=False):
    """Make readings of frames that were kept and of what somebody else's model said of them, by the
    bundle's own bins; answered by `FramesRan`."""

    burst: int
    slot: str
    outputs: bytes
    """Little-endian float32; fewer or others than the frames need make frames in error."""


class DropTaken(Effect, frozen=True, gc=False):
    """Forget the frames that were kept of a burst; no answer."""

    burst: int


class StandBy(Effect, frozen=True, gc=False):
    """This verified slot, which is not the active one, may be named by `RunModel` from now on. Saved
    state says what is in it."""

    slot: str
    manifest: bytes
    variant: str


class CutBurst(Effect, frozen=True, gc=False):
    """End a burst now; its `FramesRan` with what ran until now follows at once."""

    burst: int


class Act(Effect, frozen=True, gc=False):
    """Do something in the device's own world because of what was read (sound an alarm, stop it)."""

    action: str
    """``alarm_on``, ``alarm_off``, or ``last_known``: no reading now is to be trusted, this is the last
    one that was."""
    value: int
    age_ms: int = 0
    """Of ``last_known``: how old it is."""


class Note(Effect, frozen=True, gc=False):
    """Say what happened, for logs, traces and stories. Never decides anything."""

    kind: str
    """One of `devicesdk.agent.notes`."""
    a: int = 0
    b: int = 0


AnyEffect = (
    Connect
    | Disconnect
    | Subscribe
    | Publish
    | Write
    | Sync
    | Save
    | Delete
    | ReadFile
    | HashFile
    | ApplyDelta
    | RunKit
    | RunProbe
    | Activate
    | RunModel
    | TakeFrames
    | RunTaken
    | ReadAnswer
    | DropTaken
    | StandBy
    | CutBurst
    | Act
    | Note
)
