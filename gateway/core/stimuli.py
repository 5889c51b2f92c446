"""Everything that can happen to the gateway core.

The twin of effects.py. A host (the asyncio runtime, or the world's virtual one) hands each to
`Gateway.handle` with the instant it happened. API mutations are stimuli like any other.

Rules: a stimulus carries facts, never advice; bytes from the broker are unverified; an inbound
message may come twice (the broker redelivers what was not acknowledged).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from devicesdk.bundle.manifest import Manifest
from devicesdk.wire.messages import DeltaRef, UpdatePolicy
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.pace import Pace


class Stimulus(msgspec.Struct, frozen=True):
    """Base of all stimuli."""


class Started(Stimulus, frozen=True):
    """The process runs, its rows were restored; `wall_ms` is UTC. The first stimulus: durable instants
    are UTC, because `now` has another origin after a restart."""

    wall_ms: int


class DeadlineReached(Stimulus, frozen=True):
    """The instant that `Gateway.deadline` named has come (or passed)."""


class BrokerUp(Stimulus, frozen=True):
    """Connected to the broker and subscribed. Before the first one nothing is published; each one
    makes all earlier tokens void and publishes again what is left in the outbox."""

    session_present: bool


class BrokerDown(Stimulus, frozen=True):
    """The connection to the broker is gone."""

    reason: str


class Arrived(Stimulus, frozen=True, gc=False):
    """A message from a device arrived."""

    kind: str
    """`devicesdk.wire.topics` kind: have, link, get, ev, tel or ask."""
    device: str
    payload: bytes
    retained: bool = False


class PubAcked(Stimulus, frozen=True, gc=False):
    """The broker took the QoS 1 publish with this token."""

    token: int


class Inferred(Stimulus, frozen=True, gc=False):
    """Answer to `Infer`."""

    job: int
    outputs: bytes
    """Little-endian float32; empty: it could not be run."""


class Enroll(Stimulus, frozen=True):
    """The operator's registry knows this device and its labels (region, group, hardware class, power).

    Raises (from `handle`):
        BadTopic: the id cannot be one topic level.
    """

    device: str
    labels: dict[str, str]


class RegisterBundle(Stimulus, frozen=True):
    """A bundle was stored: its manifest envelope and all blobs are in the blob store."""

    manifest: Manifest
    digest: bytes
    """SHA-256 of the envelope's bytes: the manifest's name on the wire."""
    envelope_bytes: int


class RegisterDelta(Stimulus, frozen=True):
    """A delta (and its hash list, where it has one) is in the blob store; both images belong to bundles
    that were registered before."""

    delta: DeltaRef


class RegisterRole(Stimulus, frozen=True):
    """Metadata of a TUF role that was signed offline: a root, the first or the next one, or targets."""

    data: bytes


class GatePlan(msgspec.Struct, frozen=True):
    """What must hold between waves. A sequential test stops a wave early when failures tip it."""

    failures: float = 0.02
    """Tolerated failure share p0 of the e-process; 1: failures stop no wave early."""
    evidence: float = 20.0
    """Halt when the e-value exceeds this (Ville: false stop <= 1 / evidence)."""
    quorum: float = 0.9
    """Share of a wave that must have ended before it can be judged good."""
    latency_p95_ratio: float | None = None
    """Candidate's p95 latency over the running version's, per hardware class; None: not judged."""
    drift: bool = False
    """Whether a hardware or data drift verdict on the candidate halts."""
    drain_ratio: float | None = None
    """How fast the candidate empties batteries, over the running version, per hardware class; None: not
    judged."""
    drift_raw: bool = False
    """With `drift`: a verdict halts whoever's fault it is, the weather's, too; no comparison is made."""


class RolloutPlan(msgspec.Struct, frozen=True):
    """A staged rollout: cumulative wave shares, soak, gate, and what a halt does."""

    id: str
    bundle: str
    """``id@semver``."""
    waves: tuple[float, ...] = (0.01, 0.10, 0.25, 1.0)
    soak_ns: int = 20 * 60 * 10**9
    gate: GatePlan = GatePlan()
    selector: tuple[tuple[str, str], ...] = ()
    """Labels a device must carry, all of them."""
    jitter_ms: int = 60_000
    policy: UpdatePolicy = UpdatePolicy()
    on_halt: Literal["hold", "revert"] = "revert"
    wave_timeout_ns: int = 24 * 3600 * 10**9
    initial: bool = False
    """Factory state: devices are believed to run it already (no wave, no offer)."""
    delta: bool = True
    """Whether its wants may name deltas."""
    stage: bool = False
    """Stage only: devices install the bundle beside what they run, and rest."""
    expires_ns: int = 0
    """How long after its wave opened a device may still begin; 0: for ever."""
    pace: Pace | None = None
    """When devices may be offered it, and how many at once; None: at once, as many as waves allow."""


class CreateRollout(Stimulus, frozen=True):
    """Start a rollout now."""

    plan: RolloutPlan


class SteerRollout(Stimulus, frozen=True):
    """A verb on a running rollout."""

    rollout: str
    verb: Literal["pause", "resume", "abort-keep", "abort-revert", "retry", "trigger-next"]


class DecideWave(Stimulus, frozen=True):
    """A person lets the wave open that waits for approval, or ends the rollout there."""

    rollout: str
    approved: bool
    wave: int | None = None
    """Index into the plan's shares of the wave that is meant; None: whichever waits."""
    why: str = ""


class CreateExperiment(Stimulus, frozen=True):
    """Stage a candidate beside production and begin to compare the two."""

    plan: ExperimentPlan


class SteerExperiment(Stimulus, frozen=True):
    """A verb on an experiment that runs."""

    experiment: str
    verb: Literal["promote", "stop", "freeze", "thaw"]


class SetFlag(Stimulus, frozen=True):
    """Set one flag of a segment: a flagd flag definition (JSON text)."""

    segment: str
    flag: str
    definition: str


class GrantDebug(Stimulus, frozen=True):
    """Let a device be in debug mode for a while."""

    device: str
    for_ns: int
    by: str
    """Who asks."""
    why: str


class RevokeDebug(Stimulus, frozen=True):
    """End a device's debug mode."""

    device: str
    by: str
    why: str


class Kill(Stimulus, frozen=True):
    """Kill (or with `alive` revive) a feature on all devices."""

    feature: str
    alive: bool = False


class Reading(msgspec.Struct, frozen=True):
    """What was seen of one subject."""

    subject: str
    value: int
    words: str = ""
    """More for people."""


class Observed(Stimulus, frozen=True):
    """What the host sees of a condition that the core cannot see: all subjects of a kind that may be bad; whoever
    is not named is well."""

    kind: str
    """One of `gateway.core.alarms.rules.KINDS`."""
    readings: tuple[Reading, ...]


class AcknowledgeAlarm(Stimulus, frozen=True):
    """Somebody looks after an alarm."""

    alarm: int
    by: str
    why: str = ""


class SilenceAlarm(Stimulus, frozen=True):
    """Sinks are not told of an alarm for a while; 0 ns: they are again."""

    alarm: int
    for_ns: int
    by: str
    why: str = ""


class AlarmDelivered(Stimulus, frozen=True):
    """The webhook took an event, or gave it up."""

    event: int
    dropped: str = ""
    """Why it was given up."""


AnyStimulus = (
    Started
    | DeadlineReached
    | BrokerUp
    | BrokerDown
    | Arrived
    | PubAcked
    | Inferred
    | Enroll
    | RegisterBundle
    | RegisterDelta
    | RegisterRole
    | CreateRollout
    | SteerRollout
    | DecideWave
    | CreateExperiment
    | SteerExperiment
    | SetFlag
    | Kill
    | GrantDebug
    | RevokeDebug
    | Observed
    | AcknowledgeAlarm
    | SilenceAlarm
    | AlarmDelivered
)
