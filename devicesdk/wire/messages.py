"""The messages of the wire protocol, as values.

Decides fields, their short keys, types and bounds. Leaves out bytes (codec.py), topics (topics.py)
and signatures (bundle/trust.py: `Want`, `KillList` and `FlagSnapshot` travel inside a `Signed`).

Rules: field names here are words, keys on the wire are one or two letters; a field that this version
does not know is kept in `extra` and sent on; instants on the wire are wall-clock milliseconds UTC,
durations are milliseconds; digests are 32 raw bytes.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from devicesdk.wire import limits
from devicesdk.wire.errors import Nack, Wait

U16 = Annotated[int, Meta(ge=0, le=2**16 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
U53 = Annotated[int, Meta(ge=0, le=2**53)]
Generation = Annotated[int, Meta(ge=0, le=2**52)]
"""As reported by a device: half the range, so that the next one can always be said."""
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Digest8 = Annotated[bytes, Meta(min_length=0, max_length=8)]
Text = Annotated[str, Meta(max_length=limits.TEXT_CHARS_MAX)]
Word = Annotated[str, Meta(max_length=32)]
Reason = Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)]


class UpdateState(enum.IntEnum):
    """The life of an update on one device; numbers are the wire's, order is the life's order."""

    IDLE = 0
    OFFERED = 1
    WAITING = 2
    DOWNLOADING = 3
    DOWNLOADED = 4
    VERIFIED = 5
    STAGED = 6
    TRIAL = 7
    COMMITTED = 8
    ROLLED_BACK = 9
    FAILED = 10
    REJECTED = 11
    CANCELED = 12
    TIMED_OUT = 13
    SUPERSEDED = 14

    @property
    def terminal(self) -> bool:
        """Whether this attempt is over."""
        return self >= UpdateState.COMMITTED

    @property
    def failed(self) -> bool:
        """Whether this attempt ended in a way that a gate counts against the release."""
        return self in (UpdateState.ROLLED_BACK, UpdateState.FAILED, UpdateState.TIMED_OUT)


class WireMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What all messages share: the fields that a newer peer added, kept as they came."""

    extra: dict[str, Any] = field(default_factory=dict)


class Signed(WireMessage, frozen=True, kw_only=True):
    """An envelope: exact payload bytes, the key that signed them, the Ed25519 signature (64 bytes)."""

    payload: bytes = field(name="p")
    key_id: Annotated[bytes, Meta(min_length=8, max_length=8)] = field(name="k")
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)] = field(name="s")


class UpdatePolicy(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """When a device may act on a want. Percent, degrees Celsius; the defaults ask for nothing."""

    battery_percent_min: Annotated[int, Meta(ge=0, le=100)] = field(name="b", default=0)
    chip_c_max: Annotated[int, Meta(ge=-50, le=150)] = field(name="t", default=150)
    plugged: bool = field(name="p", default=False)
    trial_ms: U32 = field(name="tr", default=60_000)


class DeltaRef(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A blob that makes the wanted image out of the one that runs: a hint, never authority."""

    encoder: Annotated[int, Meta(ge=1, le=255)] = field(name="e")
    """A device that does not know it fetches the image."""
    base: Annotated[bytes, Meta(max_length=limits.DIGEST_BYTES)] = field(name="b", default=b"")
    """SHA-256 of the image that it starts from; empty when it needs none."""
    target: Digest = field(name="t")
    """SHA-256 of the image that it makes: the manifest's, or the delta is of no use."""
    blob: Digest = field(name="d")
    size_bytes: Annotated[int, Meta(ge=1, le=limits.BLOB_BYTES_MAX)] = field(name="s")
    chunk_bytes: Annotated[int, Meta(ge=limits.CHUNK_BYTES_MIN, le=limits.CHUNK_BYTES_MAX)] = field(
        name="c", default=limits.CHUNK_BYTES_DEFAULT
    )
    hashes: Annotated[bytes, Meta(max_length=limits.DIGEST_BYTES)] = field(name="h", default=b"")
    """Digest of its hash list (32 bytes a chunk); empty where it is small enough for RAM."""


class Want(WireMessage, frozen=True, kw_only=True):
    """The desired state of one device; the newest generation wins, equal or smaller is ignored."""

    device: Text = field(name="d")
    generation: U53 = field(name="g")
    deployment: Text = field(name="r")
    attempt: U16 = field(name="a", default=0)
    manifest: Digest = field(name="m")
    manifest_bytes: U32 = field(name="mb")
    hold: bool = field(name="h", default=False)
    """Stay where you are: fetch nothing and begin no trial until a newer generation says otherwise."""
    policy: UpdatePolicy = field(name="p", default_factory=UpdatePolicy)
    jitter_ms: U32 = field(name="j", default=0)
    expires_ms: U53 = field(name="x", default=0)
    """Wall-clock UTC; 0 means never."""
    nonce: U53 = field(name="n", default=0)
    """The `Have.nonce` that this want answers; 0: it answers none."""
    delta: DeltaRef | None = field(name="dl", default=None)
    """Fetch this instead of the image, if you run its base."""
    issued_ms: U53 = field(name="i", default=0)
    """Wall-clock UTC when it was signed; said where `nonce` is, so that a device learns the time."""
    back: bool = field(name="bk", default=False)
    """Going to an older release is meant."""
    stage: bool = field(name="so", default=False)
    """Stage only: install beside what runs, pass the kit, and rest there (`STAGED`) until a flag or a
    newer generation says more."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a device's runtime can do; said once a boot, and where the gateway asks."""

    runtime: Annotated[str, Meta(max_length=32)] = field(name="rt", default="")
    """Version of the inference runtime, such as ``1.23.2``."""
    providers: Annotated[tuple[Word, ...], Meta(max_length=8)] = field(name="pv", default=())
    """Execution providers, best first."""
    cpu: Annotated[tuple[Word, ...], Meta(max_length=32)] = field(name="cf", default=())
    """Processor flags that matter to kernels, such as ``avx2`` or ``asimddp``."""
    memory_mib: U32 = field(name="mm", default=0)


class Have(WireMessage, frozen=True, kw_only=True):
    """What one device reports of itself; newer by ``(boot_id, seq)``."""

    boot_id: U53 = field(name="b")
    seq: U53 = field(name="q")
    generation: Generation = field(name="g", default=0)
    slot: Annotated[str, Meta(pattern="^[ab]$")] = field(name="sl", default="a")
    running: bytes = field(name="d", default=b"")
    """Digest of the manifest that runs, empty when nothing does."""
    trial: bool = field(name="t", default=False)
    state: UpdateState = field(name="st", default=UpdateState.IDLE)
    reason: Reason = field(name="rs", default="")
    deployment: Text = field(name="r", default="")
    attempt: U16 = field(name="a", default=0)
    bytes_done: U53 = field(name="by", default=0)
    flags_rev: U53 = field(name="fr", default=0)
    kill_version: U53 = field(name="kv", default=0)
    hardware_class: Text = field(name="hc", default="")
    variant: Text = field(name="v", default="")
    nonce: U53 = field(name="nc", default=0)
    """Asks for the time: the next want shall carry this number and the instant of its signing."""
    capabilities: Capabilities | None = field(name="cp", default=None)
    """In the first report of a boot and where the gateway asks; None: as said before."""


class Link(WireMessage, frozen=True, kw_only=True):
    """Presence, and the last will. A will can overtake a birth: newer by ``(boot_id, session)``,
    and within one session offline is final."""

    boot_id: U53 = field(name="b")
    session: U53 = field(name="q")
    online: bool = field(name="on")


class Get(WireMessage, frozen=True, kw_only=True):
    """A chunk request: up to `count` chunks of `blob` from `base`, those whose bit in `bitmap` is
    set (LSB first; empty means all `count`), at most `credit` bytes."""

    transfer: U32 = field(name="x")
    seq: U32 = field(name="q")
    blob: Digest = field(name="b")
    base: U32 = field(name="o")
    count: Annotated[int, Meta(ge=1, le=limits.ROUND_CHUNKS_MAX)] = field(name="n")
    bitmap: Annotated[bytes, Meta(max_length=limits.ROUND_CHUNKS_MAX // 8)] = field(
        name="m", default=b""
    )
    credit: U32 = field(name="cr", default=limits.ROUND_BYTES_MAX)
    rtt_ms: U32 = field(name="rt", default=0)


class ControlVerb(enum.StrEnum):
    """What a `ctl` message asks."""

    WAIT = "wait"
    NACK = "nack"
    REPORT = "report"
    """Publish your `have` again: the gateway reconciles by query."""
    ANSWER = "answer"
    """Outputs for the frames of an `Ask`."""
    DEBUG = "debug"
    """Debug mode is granted or revoked: `Control.grant`."""


class Control(WireMessage, frozen=True, kw_only=True):
    """A verb to one device: never retained, expires after 60 s; a set retain flag is ignored."""

    verb: ControlVerb = field(name="c")
    transfer: U32 = field(name="x", default=0)
    seq: U32 = field(name="q", default=0)
    retry_after_ms: U32 = field(name="ra", default=0)
    why: Wait | None = field(name="w", default=None)
    code: Nack | None = field(name="e", default=None)
    ask: U53 = field(name="k", default=0)
    """Number of the `Ask` that this answers; 0: it answers no ask."""
    outputs: Annotated[bytes, Meta(max_length=limits.ASK_BYTES_MAX)] = field(name="o", default=b"")
    """Of `ANSWER`: the model's output for each frame, little-endian float32, one after the other."""
    grant: Annotated[bytes, Meta(max_length=limits.DEBUG_GRANT_BYTES_MAX)] = field(
        name="g", default=b""
    )
    """Of `DEBUG`: a `DebugGrant`, signed by the director (the bytes of a `Signed`)."""


class DebugGrant(WireMessage, frozen=True, kw_only=True):
    """Lets one device be in debug mode for a while, or (`for_ms` 0) ends that. Travels inside a `Signed`."""

    device: Text = field(name="d")
    number: Annotated[int, Meta(ge=1, le=2**53)] = field(name="n")
    """The newest wins; equal or smaller is ignored, also after a reboot."""
    for_ms: U32 = field(name="f", default=0)
    """From when it is heard; the device has a bound of its own."""
    expires_ms: U53 = field(name="x")
    """Wall-clock UTC: heard later it is refused."""
    ends: U53 = field(name="e", default=0)
    """Of a revocation: number of the grant that it ends."""
    by: Reason = field(name="b", default="")
    """Who granted it, for whoever looks at the device."""
    why: Reason = field(name="w", default="")


class Ask(WireMessage, frozen=True, kw_only=True):
    """Frames that a device wants the gateway to run: QoS 0, because a late answer is worth nothing.

    Only with consent, never in a regulatory mode. Answered by `ctl`: ANSWER, WAIT or NACK.
    """

    number: Annotated[int, Meta(ge=1, le=2**53)] = field(name="k")
    """Not used again by this device."""
    manifest: Digest = field(name="d")
    """The bundle whose input the frames are."""
    variant: Text = field(name="v", default="")
    """Empty: the gateway chooses."""
    frames: Annotated[int, Meta(ge=1, le=limits.ASK_FRAMES_MAX)] = field(name="n")
    pixels: Annotated[bytes, Meta(min_length=1, max_length=limits.ASK_BYTES_MAX)] = field(name="x")
    """All frames, one after the other: the model's input plus 128, a byte a value."""


class Event(WireMessage, frozen=True, kw_only=True):
    """One transition or alarm of a device, from its durable outbox; unique by ``(boot_id, seq)``."""

    boot_id: U53 = field(name="b")
    seq: U53 = field(name="q")
    kind: Text = field(name="k")
    """``update`` (state, reason, digest set), ``alarm`` (value set), ``delta`` (one was of no use: reason,
    digest of the delta), ``debug`` (reason: ``began``, why it ended or was refused; value: the grant) or
    another word."""
    generation: U53 = field(name="g", default=0)
    deployment: Text = field(name="r", default="")
    attempt: U16 = field(name="a", default=0)
    state: UpdateState = field(name="st", default=UpdateState.IDLE)
    reason: Reason = field(name="rs", default="")
    digest: bytes = field(name="d", default=b"")
    value: int = field(name="v", default=0)


class KillList(WireMessage, frozen=True, kw_only=True):
    """Features that must not run, obeyed before the first inference; monotone version."""

    version: U53 = field(name="v")
    features: tuple[Text, ...] = field(name="f", default=())


class FlagSnapshot(WireMessage, frozen=True, kw_only=True):
    """All flags of one segment: a flagd document (JSON bytes) and its revision."""

    rev: U53 = field(name="r")
    segment: Text = field(name="sg")
    bucketing: Text = field(name="bk", default="flagd-cbor-1")
    not_after_ms: U53 = field(name="na", default=0)
    document: Annotated[bytes, Meta(max_length=limits.FLAGS_BYTES_MAX)] = field(name="d")


class TrustHead(WireMessage, frozen=True, kw_only=True):
    """The newest state of the TUF roles, retained: the timestamp role, and where the others are.

    Everything but the signed role metadata itself is a hint, and costs a fetch at most when it lies.
    """

    timestamp: Annotated[bytes, Meta(max_length=limits.TIMESTAMP_ROLE_BYTES_MAX)] = field(name="t")
    root: U32 = field(name="r")
    """Version of the newest root."""
    roots: Annotated[bytes, Meta(max_length=limits.ROOT_HINTS_BYTES_MAX)] = field(
        name="h", default=b""
    )
    """36 bytes a root, newest first: SHA-256, and the size as 32 bits, big-endian."""
    snapshot: Annotated[bytes, Meta(max_length=limits.RIDING_BYTES_MAX)] = field(
        name="s", default=b""
    )
    """The snapshot role, where it is small; else it is fetched by the digest in the timestamp."""
    targets: Annotated[bytes, Meta(max_length=limits.RIDING_BYTES_MAX)] = field(
        name="g", default=b""
    )
    """The targets role, where it is small; else it is fetched by the digest in the snapshot."""

    def root_blob(self, version: int) -> tuple[bytes, int] | None:
        """Digest and size of the root of a version, if it is among the hints."""
        at = limits.ROOT_HINT_BYTES * (self.root - version)
        hint = self.roots[at : at + limits.ROOT_HINT_BYTES] if at >= 0 else b""
        if len(hint) < limits.ROOT_HINT_BYTES:
            return None
        return hint[: limits.DIGEST_BYTES], int.from_bytes(hint[limits.DIGEST_BYTES :], "big")


class Telemetry(WireMessage, frozen=True, kw_only=True):
    """One telemetry window; unique by ``(boot_id, seq)``, gaps visible. Never a raw input.

    Histograms are unsigned LEB128 varints, one count a bin: confidence 20, entropy 16, latency 16
    (powers of sqrt 2 from 1 ms), features 8 x 10 row by row.
    """

    boot_id: U53 = field(name="b")
    seq: U53 = field(name="q")
    bundle: Digest8 = field(name="d")
    flags_rev: U53 = field(name="fr", default=0)
    frames: U32 = field(name="n")
    span_ms: U32 = field(name="s", default=0)
    confidence: bytes = field(name="c", default=b"")
    entropy: bytes = field(name="e", default=b"")
    latency: bytes = field(name="l", default=b"")
    features: bytes = field(name="f", default=b"")
    errors: dict[Text, U32] = field(name="er", default_factory=dict)
    throttled: U32 = field(name="th", default=0)
    chip_c: int = field(name="tc", default=0)
    battery_percent: Annotated[int, Meta(ge=0, le=100)] = field(name="bt", default=100)
    probe_residual: int | None = field(name="gp", default=None)
    """Golden-probe residual in permille of full scale, where a probe ran."""
    kll: bytes = field(name="kl", default=b"")
    hll: bytes = field(name="hl", default=b"")
    probe_failed: bool = field(name="gf", default=False)
    """The probe failed by the rule of its kit; the next three say how."""
    probe_worst: Annotated[int, Meta(ge=0, le=1000)] = field(name="gw", default=0)
    """Largest distance of a probability from its golden, permille."""
    probe_flips: U16 = field(name="gm", default=0)
    """Samples of the kit whose label changed."""
    probe_resembles: Text = field(name="gk", default="")
    """The kernel class whose goldens were met."""
    top: Annotated[bytes, Meta(max_length=32)] = field(name="t5", default=b"")
    """The five most frequent 32nds of full scale, as pairs (class, count) of varints."""
    memory_mib: U32 = field(name="mp", default=0)
    """Peak memory; 0 where it is not known."""
    accelerator_permille: Annotated[int, Meta(ge=0, le=1000)] = field(name="ac", default=0)
    """Share of the frames that an accelerator ran."""
    count_min: Annotated[bytes, Meta(max_length=1024)] = field(name="cm", default=b"")
    """Count-min sketch of feature rows, see devicesdk/sketches/frequency.py."""
    privacy_permille: U32 = field(name="pe", default=0)
    """Privacy mode: thousandths of epsilon; each count of confidence, entropy and features has discrete
    Laplace noise and an offset of 320,000 / epsilon-permille (rounded up) added. 0: counts are exact."""
    rules: dict[Text, U32] = field(name="ru", default_factory=dict)
    """Decisions of the run-time policy since the last window, by the rule that made them."""
    recalibration: int = field(name="rc", default=0)
    """By how many bins the confidence bound was moved; the histograms are the model's own all the same."""
    shadow: tuple[U32, ...] = field(name="sh", default=())
    """Of a window of a shadow, beside the one of what was served: frames seen by both, disagreed on,
    failed by the candidate alone, failed by production alone."""
    debug_grant: U53 = field(name="dg", default=0)
    """Debug mode: number of the grant that lets `debug` travel."""
    debug: Annotated[bytes, Meta(max_length=limits.DEBUG_ROWS_BYTES_MAX)] = field(
        name="db", default=b""
    )
    """Debug mode: eight bytes a frame (reading in 32nds, confidence bin, entropy bin, eight features of
    four bits, error code), of at most 32 frames evenly picked. Never a raw input."""
    probe_chip_c: int | None = field(name="gt", default=None)
    """Chip temperature when the probe was asked for, degrees Celsius."""
    probe_latency: Annotated[int, Meta(ge=0, le=15)] | None = field(name="gl", default=None)
    """Bin of the latency histogram of the inferences just before the probe."""
    bloom: Annotated[bytes, Meta(max_length=128)] = field(name="bf", default=b"")
    """Bloom filter of feature rows, see devicesdk/sketches/membership.py."""
