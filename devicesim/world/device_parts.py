"""What a virtual device is made of, and what all of them share.

Decides the bundles of collaborators that are handed to `DeviceHost`: `Workshop` (one a world) and
`Parts` (one a device), and how an installed model is found, judged by its kit, and run. Leaves out
how they are made (assemble.py) and what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from devicesdk.agent import stimuli as hear
from devicesdk.agent.agent import Identity
from devicesdk.agent.config import AgentConfig
from devicesdk.bundle.chunks import RememberingDigests
from devicesdk.bundle.trust import Verifier
from devicesdk.bundle.trusted_set import Anchor
from devicesdk.inference.kit import KERNEL_DEFAULT, KERNEL_SATURATING
from devicesdk.wire.hardship import CALM, Hardship
from devicesdk.wire.topics import DEVICE_KINDS, Topics
from devicesim.entropy import Stream
from devicesim.models.body import Body
from devicesim.models.clock import DeviceClock
from devicesim.models.link import Link
from devicesim.models.profile import Profile
from devicesim.world.deltas import DeltaBench
from devicesim.world.flash import ChunkPool, Flash
from devicesim.world.inference import InferencePool, Readings
from devicesim.world.kernel import Kernel
from devicesim.world.ledger import Ledger
from devicesim.world.senses import AnySpec, DataStream
from devicesim.world.trace import Trace
from devicesim.world.watch import Watch

if TYPE_CHECKING:
    from devicesim.world.device_host import DeviceHost
    from devicesim.world.path import Path


class KitJudgement(msgspec.Struct, frozen=True):
    """What the kit said of a model on a device."""

    passed: bool
    reason: str
    worst_permille: int


class Shot(msgspec.Struct, frozen=True, gc=False):
    """A burst handed to the pool, and its results: `devicesdk.agent.stimuli.Readings`, computed when first
    looked at; rows come out in the order that the agent's contract names."""

    handle: Readings

    def first(self, frames: int) -> Shot:
        """The results of the first `frames`; the rest was cut."""
        if frames < self.handle.frames:
            self.handle.cut(frames)
        return self

    def rows(self) -> list[list[int]]:
        """One row a frame: reading, confidence bin, entropy bin, eight feature bins, error."""
        return self.handle.lists()

    def discard(self) -> None:
        """Nobody will look at them; they were executed all the same, so they are not cut."""


class Model(msgspec.Struct, frozen=True):
    """One variant of one bundle, as installed on devices."""

    name: str
    digest: bytes
    """SHA-256 of the image: what the pool knows it by."""
    macs: int
    precision: str
    memory_mib: int
    latency_ms_max: float
    memory_mib_max: float
    kit_samples: int
    pool: InferencePool
    also: tuple[str, ...] = ()
    """Lighter variants that travel in the image."""
    confidence: bytes = b""
    """Its reference histogram, as a slot has it."""

    def judge_kit(self, kernel: str, latency_ns: int) -> KitJudgement:
        """Run the validation kit as this kernel class computes it and hold it against the budgets."""
        outcome = self.pool.run_kit(self.digest, kernel)
        reason = ""
        if not outcome.passed:
            reason = "nan" if outcome.not_finite else "deviation"
        elif latency_ns > self.latency_ms_max * 1e6:
            reason = "latency"
        elif self.memory_mib > self.memory_mib_max:
            reason = "memory"
        return KitJudgement(not reason, reason, min(outcome.worst_permille, 2**31))

    def probe(self, slot: str, kernel: str) -> hear.ProbeRan:
        """Run the kit as a golden probe; the pool remembers each kernel class's outcome."""
        outcome = self.pool.run_kit(self.digest, kernel)
        return hear.ProbeRan(
            slot,
            outcome.passed,
            outcome.residual_permille,
            outcome.worst_permille,
            outcome.argmax_mismatches,
            outcome.resembles,
        )

    def submit(self, kernel: str, spec: AnySpec, side: int = 0) -> Shot:
        """Hand a burst to the pool."""
        return Shot(self.pool.submit(self.digest, spec, kernel, side))


class ModelShelf:
    """All models that devices may run, by (manifest digest, variant name)."""

    __slots__ = ("_models", "get")

    def __init__(self) -> None:
        self._models: dict[tuple[bytes, str], Model] = {}
        self.get: Callable[[tuple[bytes, str]], Model] = self._models.__getitem__
        """Find one; KeyError: a device runs something that no bundle of this world contains."""

    def put(self, manifest: bytes, variant: str, model: Model) -> None:
        """Add one."""
        self._models[manifest, variant] = model


_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(DEVICE_KINDS)}


def _kind(stimulus: hear.Arrived) -> int:
    return _KIND_NUMBERS.get(stimulus.kind, -1)


_DETAILS: Final[dict[type[Any], tuple[str, Callable[[Any], int] | None]]] = {
    hear.Booted: ("boot", lambda s: s.boot_id),
    hear.DeadlineReached: ("deadline", None),
    hear.BearerChanged: ("bearer", lambda s: int(s.up)),
    hear.Connected: ("connected", lambda s: int(s.session_present)),
    hear.ConnectFailed: ("connect failed", None),
    hear.Disconnected: ("disconnected", None),
    hear.Subscribed: ("subscribed", lambda s: len(s.codes)),
    hear.Arrived: ("arrived", _kind),
    hear.PubAcked: ("acknowledged", attrgetter("token")),
    hear.FileRead: ("file read", lambda s: -1 if s.data is None else len(s.data)),
    hear.FileHashed: ("file hashed", None),
    hear.DeltaApplied: ("delta applied", lambda s: int(s.ok)),
    hear.KitRan: ("kit ran", lambda s: int(s.passed)),
    hear.ProbeRan: ("probe ran", lambda s: s.residual_permille),
    hear.FramesRan: ("frames ran", attrgetter("frames")),
    hear.FramesTaken: ("frames taken", lambda s: s.frames),
    hear.ConditionsChanged: ("conditions", lambda s: s.conditions.chip_c),
    hear.StorageFailed: ("storage failed", None),
}


class Workshop:
    """What all devices of a world share."""

    __slots__ = (
        "_notes", "chunks", "deltas", "digests", "kernel", "ledger", "make_path", "models", "stimulus_rows", "topics", "trace", "watch",
    )  # fmt: skip

    def __init__(
        self,
        kernel: Kernel,
        trace: Trace,
        ledger: Ledger,
        watch: Watch,
        models: ModelShelf,
        topics: Topics,
        make_path: Callable[[Workshop, Parts, DeviceHost], Path],
    ) -> None:
        self.kernel, self.trace, self.ledger, self.make_path = kernel, trace, ledger, make_path
        self.watch, self.models, self.topics = watch, models, topics
        self.chunks = ChunkPool()
        self.deltas = DeltaBench()
        self.digests = RememberingDigests()
        number = trace.vocabulary.number
        self.stimulus_rows = {
            kind: (number(name), detail) for kind, (name, detail) in _DETAILS.items()
        }
        self._notes: dict[str, int] = {}

    def note_code(self, kind: str) -> int:
        """The trace's number for a note of an agent."""
        code = self._notes.get(kind)
        if code is None:
            code = self._notes[kind] = self.trace.vocabulary.number(kind)
        return code


class Parts:
    """What is one device's own."""

    __slots__ = (
        "accelerator_permille", "anchor", "body", "clock", "config", "flash", "gauge", "group", "hardship", "identity", "index", "kernel_faults", "labels",
        "link", "luck", "metered", "profile", "registered", "seed", "stands_for", "topic_of", "verifier",
    )  # fmt: skip

    def __init__(
        self,
        *,
        index: int,
        identity: Identity,
        group: str,
        labels: dict[str, str],
        profile: Profile,
        config: AgentConfig,
        verifier: Verifier,
        seed: int,
        link: Link,
        luck: Stream,
        body: Body,
        clock: DeviceClock,
        flash: Flash,
        gauge: DataStream,
        topics: Topics,
        anchor: Anchor | None = None,
    ) -> None:
        self.index, self.identity, self.group, self.labels = index, identity, group, labels
        self.profile, self.config, self.verifier, self.seed = profile, config, verifier, seed
        self.link, self.luck, self.body, self.clock = link, luck, body, clock
        self.flash, self.gauge = flash, gauge
        self.anchor = anchor
        self.kernel_faults = 0
        self.accelerator_permille = 1000 if profile.processor.accelerator else 0
        self.metered = False
        """Whether the link is paid by the byte."""
        self.registered = labels
        """Labels as the gateway's registry has them."""
        self.hardship: Hardship = CALM
        """Asked at the named places of host and agent."""
        self.stands_for = 1
        """Frames that the body pays for each one that is rehearsed."""
        self.topic_of = {kind: topics.device(identity.device, kind) for kind in DEVICE_KINDS}

    def kernel_class(self) -> str:
        """How this device's int8 kernels compute now."""
        return KERNEL_SATURATING if self.kernel_faults else KERNEL_DEFAULT
