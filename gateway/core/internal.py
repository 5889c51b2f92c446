"""The small messages between the three machines of the gateway core.

Control, transfers and collect share nothing but these: the router carries each one to the machine
that its type names, within the same batch. They are values, they may come twice, and they are never
durable themselves.

Rules: after a restart control says everything that still holds again (`BlobKnown`, `BundleKnown`,
`ModelKnown`, `DeviceLabelled`, `Watching`, `Granted`, `Paused`, in this order), so that a machine may start empty;
a later `Granted` for a device replaces the earlier one, a `Revoked` ends it. A machine that keeps
rows of its own names its tables ``transfers.…``, ``collect.…``, ``experiments.…`` or ``alarms.…`` and lists them, table name to row
Struct, in a dictionary ``TABLES`` in its package's ``rows.py``.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from devicesdk.wire.errors import Nack
from gateway.core.experiment_plan import ExperimentPlan

TOKEN_STRIDE: Final = 4
CONTROL_TOKENS: Final = 1
TRANSFERS_TOKENS: Final = 2
COLLECT_TOKENS: Final = 3
"""First token of each machine; its next ones are `TOKEN_STRIDE` apart."""

ALARM_KIND: Final = "alarm"
"""Of a publish that says how an alarm stands."""

Drift = Literal["none", "data", "hardware", "both", "sensor"]
"""A verdict on a cohort: the inputs moved, the machine computes wrongly, both, or the inputs of single
devices moved."""


class Internal(msgspec.Struct, frozen=True):
    """Base of all messages between the machines."""


class BlobKnown(Internal, frozen=True):
    """To transfers: a blob of a registered bundle is in the blob store. Envelopes and hash lists are
    cut at the default chunk size, images as their manifest says."""

    blob: bytes
    """SHA-256, 32 bytes."""
    size_bytes: int
    chunk_bytes: int
    public: bool = False
    """Whether any device may fetch it, without a grant: role metadata."""


class Granted(Internal, frozen=True):
    """To transfers: this device may fetch these blobs; replaces its earlier grant."""

    device: str
    deployment: str
    manifest: bytes
    """Digest of the manifest's envelope, 32 bytes."""
    blobs: tuple[bytes, ...]
    """Everything the deployment may need: the envelope, hash lists and images. The same tuple
    object for all devices of a bundle."""
    priority: int
    """0 to 1000; the higher is served first."""


class Revoked(Internal, frozen=True):
    """To transfers: the device's grant is over; answer its next request with this code."""

    device: str
    code: Nack


class Paused(Internal, frozen=True):
    """To transfers: answer requests of this deployment with WAIT (paused), or serve them again."""

    deployment: str
    paused: bool


class DeviceLabelled(Internal, frozen=True):
    """To collect: the registry's labels of a device (region, group, hardware class, power)."""

    device: str
    labels: dict[str, str]


class BundleKnown(Internal, frozen=True):
    """To collect: the pinned histogram probabilities of a bundle's training reference."""

    bundle: bytes
    """First 8 bytes of the manifest's digest, as telemetry names it."""
    baseline: dict[str, list[float]]


class ModelKnown(Internal, frozen=True):
    """To offload: what of a registered bundle can be run here."""

    manifest: bytes
    """Digest of the manifest's envelope, 32 bytes."""
    variants: tuple[tuple[str, bytes, int], ...]
    """Name, digest of the image and multiply-accumulates of each."""


class Watching(Internal, frozen=True):
    """To collect: compare this candidate with this baseline and say `Judged` as windows come in."""

    rollout: str
    candidate: bytes
    """First 8 bytes of the manifest's digest."""
    baseline: bytes
    """The same of what most members ran before; empty when they ran nothing."""
    drain: bool = False
    """Whether the discharge of batteries is compared, too."""
    raw: bool = False
    """Whether drift is told as it is, and not only what is the candidate's own."""


class Judged(Internal, frozen=True):
    """To control: what the telemetry of one cohort says of a bundle that is being watched."""

    subject: bytes
    """The candidate's first 8 digest bytes."""
    cohort: str
    latency_p95_ms: float
    baseline_latency_p95_ms: float
    """0 while there is nothing to compare with."""
    frames: int
    drift: Drift
    score: float
    """Of the strongest finding; for people."""
    drain_percent_h: float = 0.0
    """Charge that batteries lose under the candidate, percent of full an hour; no more than is proven."""
    baseline_drain_percent_h: float = 0.0
    """0 while there is nothing to compare with."""


class ExperimentBegins(Internal, frozen=True):
    """To experiments: this plan makes sense, and its candidate is being staged."""

    plan: ExperimentPlan
    candidate: bytes
    production: bytes
    """Digests of the manifests, 32 bytes."""


class WindowSeen(Internal, frozen=True, gc=False):
    """To experiments: a telemetry window of a bundle that is tracked, counted for the first time."""

    bundle: bytes
    """First 8 bytes of the manifest's digest."""
    frames: int
    errors: int
    """Frames in error."""
    latency_us: int
    """Lower edge of the bin of its p95 latency: it was at least this."""
    shadow: tuple[int, ...]
    """Of a shadow's window: seen by both, disagreed on, failed by the candidate alone, by production
    alone; else empty."""


class FellBack(Internal, frozen=True):
    """To experiments: a device's guardrails gave the candidate up there; it may come twice."""

    experiment: str
    device: str
    staged: int
    """How many devices hold the candidate now."""


class Tracking(Internal, frozen=True):
    """To collect: say `WindowSeen` for the windows of these bundles, and no others."""

    bundles: tuple[bytes, ...]


class FlagWanted(Internal, frozen=True):
    """To control: set this flag of a segment."""

    segment: str
    flag: str
    definition: str


class StagingOver(Internal, frozen=True):
    """To control: stage no more devices for this experiment."""

    experiment: str
    why: str


class DebugGranted(Internal, frozen=True):
    """To collect: rows of debug mode of this device count under this grant, and no others do."""

    device: str
    number: int


class AlarmTold(Internal, frozen=True):
    """To control: publish how an alarm stands, retained; nothing: it stands no more."""

    topic: str
    payload: bytes


ToTransfers = BlobKnown | Granted | Revoked | Paused
ToCollect = DeviceLabelled | BundleKnown | Watching | Tracking | DebugGranted
ToControl = Judged | FlagWanted | StagingOver | AlarmTold
ToExperiments = ExperimentBegins | WindowSeen | FellBack
ToOffload = ModelKnown
