"""What operators can ask for, as values, and how each is done on a runtime.

Decides the verbs, their arguments and what is answered. Leaves out sockets (door.py) and who may ask.
Mutations are stimuli and answered when they are durable; lists of devices are pages of the durable
rows, so a fleet is never read whole.

Rules: a verb that the core refused is an error with the core's own words; a bundle is taken only when
its manifest is signed by a trusted targets key and every blob it names is here and whole, because
devices would refuse it otherwise; signing keys for manifests never come here.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from devicesdk.bundle.manifest import BlobRef, Manifest, decode_manifest
from devicesdk.bundle.trust import ROLE_TARGETS, Verifier
from devicesdk.wire import limits
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.messages import UpdatePolicy
from devicesdk.wire.timebase import MS, parse_duration
from gateway.core import effects as ask
from gateway.core import notes, rows
from gateway.core import stimuli as hear
from gateway.core.experiment_plan import ExperimentPlan, Mode
from gateway.core.experiments import notes as experiment_notes
from gateway.core.gateway import Gateway
from gateway.ports import BlobError, Blobs
from gateway.runtime.life import BusyError, NotRunningError
from gateway.runtime.publishing import PublishedDelta, check_blobs, releases_of
from gateway.runtime.runtime import Runtime

PAGE_DEVICES_MAX: Final = 1_000
BUNDLES_MAX: Final = 1_000
_PLAN_FIELDS: Final = frozenset(ExperimentPlan.__struct_fields__)
_SENTENCES: Final = {**notes.SENTENCES, **experiment_notes.SENTENCES}
ENVELOPE_BYTES_MAX: Final = limits.MANIFEST_BYTES_MAX + 1024


class VerbError(Exception):
    """A verb was not done.

    Args:
        code: ``invalid`` (ask differently), ``refused`` (the core says no), ``busy`` (ask later),
            ``stopped`` (the gateway ended before it was durable).
        message: for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Verb(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="verb"):
    """Base of all verbs; on the wire a JSON object with a key ``verb``."""


class Overview(Verb, frozen=True, kw_only=True, tag="overview"):
    """The fleet at a glance, and what the runtime counted."""


class ListDevices(Verb, frozen=True, kw_only=True, tag="device.list"):
    """A page of devices in the order of their ids."""

    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_DEVICES_MAX)] = 100


class ShowDevice(Verb, frozen=True, kw_only=True, tag="device.show"):
    """One device."""

    device: str


class EnrollDevice(Verb, frozen=True, kw_only=True, tag="device.enroll"):
    """Take a device into the registry, or change its labels."""

    device: str
    labels: dict[str, str] = {}


class PublishBundle(Verb, frozen=True, kw_only=True, tag="bundle.publish"):
    """Register a bundle whose blobs, the signed manifest among them, are in the blob store."""

    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the envelope."""
    deltas: tuple[PublishedDelta, ...] = ()
    """Ways to its images from older ones; their blobs are in the store too."""


class ListReleases(Verb, frozen=True, kw_only=True, tag="bundle.releases"):
    """The releases of a bundle that are registered, the oldest first, with their images."""

    bundle: Annotated[str, Meta(min_length=1, max_length=limits.TEXT_CHARS_MAX)]


class RegisterRole(Verb, frozen=True, kw_only=True, tag="role.register"):
    """Take role metadata into force that was signed offline and is in the blob store."""

    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the metadata."""


class CreateRollout(Verb, frozen=True, kw_only=True, tag="rollout.create"):
    """Start a staged rollout. Durations as text, such as ``20m``."""

    id: Annotated[str, Meta(min_length=1, max_length=limits.TEXT_CHARS_MAX)]
    bundle: str
    """``id@semver``."""
    waves: tuple[Annotated[float, Meta(gt=0, le=1)], ...] = (0.01, 0.10, 0.25, 1.0)
    soak: str = "20m"
    wave_timeout: str = "1d"
    expires: str = "0s"
    """How long after its wave opened a device may still begin; 0s: for ever."""
    jitter: str = "1m"
    selector: dict[str, str] = {}
    on_halt: Literal["hold", "revert"] = "revert"
    gate: hear.GatePlan = hear.GatePlan()
    policy: UpdatePolicy = UpdatePolicy()
    initial: bool = False
    """Factory state: devices are believed to run it already."""
    delta: bool = True
    """Whether devices may be told of deltas."""


class SteerRollout(Verb, frozen=True, kw_only=True, tag="rollout.steer"):
    """Pause, resume, abort or retry."""

    rollout: str
    how: Literal["pause", "resume", "abort-keep", "abort-revert", "retry"]


class ListRollouts(Verb, frozen=True, kw_only=True, tag="rollout.list"):
    """All rollouts with their waves."""


Share = Annotated[float, Meta(gt=0, le=1)]


class CreateExperiment(Verb, frozen=True, kw_only=True, tag="experiment.create"):
    """Compare a candidate with production; see `ExperimentPlan`. Durations as text."""

    id: Annotated[str, Meta(min_length=1, max_length=limits.TEXT_CHARS_MAX)]
    bundle: str
    production: str
    mode: Mode
    segment: str = "all"
    selector: dict[str, str] = {}
    share: Share = 1.0
    tolerated: Share = 0.02
    brake: float = 20.0
    freeze: float = 2.0
    evidence: float = 20.0
    promote: Literal["evidence", "manual"] = "evidence"
    errors: float = 0.05
    latency_ms_max: float = 0.0
    apart_permille: int = 50
    apart: float = 0.05
    look: str = "15m"
    waves: tuple[Share, ...] = (1.0,)
    soak: str = "1m"
    jitter: str = "1m"
    policy: UpdatePolicy = UpdatePolicy()


class SteerExperiment(Verb, frozen=True, kw_only=True, tag="experiment.steer"):
    """Promote, stop, freeze or thaw."""

    experiment: str
    how: Literal["promote", "stop", "freeze", "thaw"]


class ListExperiments(Verb, frozen=True, kw_only=True, tag="experiment.list"):
    """All experiments with their evidence."""


class SetFlag(Verb, frozen=True, kw_only=True, tag="flag.set"):
    """Set one flag of a segment: a flagd flag definition."""

    segment: str
    flag: str
    definition: dict[str, Any]


class GrantDebug(Verb, frozen=True, kw_only=True, tag="debug.grant"):
    """Let a device be in debug mode for a while; its owner must have agreed, on the device."""

    device: str
    lasts: str = "30m"
    by: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)]
    why: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)]


class RevokeDebug(Verb, frozen=True, kw_only=True, tag="debug.revoke"):
    """End a device's debug mode."""

    device: str
    by: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)]
    why: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)]


class ListDebug(Verb, frozen=True, kw_only=True, tag="debug.list"):
    """All grants of debug mode: who, why, when, and how they ended."""


class ShowDebug(Verb, frozen=True, kw_only=True, tag="debug.told"):
    """What a device told in debug mode."""

    device: str


class Kill(Verb, frozen=True, kw_only=True, tag="kill"):
    """Kill a feature everywhere, or revive it."""

    feature: str
    alive: bool = False


AnyVerb = (
    Overview | ListDevices | ShowDevice | EnrollDevice | PublishBundle | ListReleases | RegisterRole | CreateRollout
    | SteerRollout | ListRollouts | SetFlag | Kill | CreateExperiment | SteerExperiment | ListExperiments
    | GrantDebug | RevokeDebug | ListDebug | ShowDebug
)  # fmt: skip


class Operator:
    """Does verbs on a runtime.

    Args:
        runtime: where they are done.
        blobs: where published blobs must be.
        verifier: knows the targets keys.
    """

    def __init__(self, runtime: Runtime, blobs: Blobs, verifier: Verifier) -> None:
        self._runtime, self._blobs, self._verifier = runtime, blobs, verifier

    async def do(self, verb: AnyVerb) -> Any:
        """Do it; returns what can be written as JSON.

        Raises:
            VerbError: it was not done.
        """
        try:
            return msgspec.to_builtins(await self._done(verb))
        except BusyError as error:
            raise VerbError("busy", str(error)) from error
        except NotRunningError as error:
            raise VerbError("stopped", str(error)) from error
        except (ProtocolError, BlobError, ValueError) as error:
            raise VerbError("invalid", str(error)) from error

    async def _done(self, verb: AnyVerb) -> Any:
        match verb:
            case Overview():
                return await self._overview()
            case ListDevices():
                return await self._devices(verb)
            case ShowDevice(device=device):
                return await self._device(device)
            case PublishBundle():
                return await self._publish(bytes.fromhex(verb.digest), verb.deltas)
            case ListReleases(bundle=bundle):
                rows_of = await self._runtime.page(rows.BUNDLE, "", BUNDLES_MAX)
                return releases_of(bundle, rows_of)
            case RegisterRole():
                return await self._register_role(bytes.fromhex(verb.digest))
            case ListRollouts() | ListExperiments() | ListDebug() | ShowDebug():
                return await self._runtime.read(lambda core: _views(core, verb))
            case _:
                return await self._submit(_stimulus(verb))

    async def _submit(self, stimulus: hear.AnyStimulus) -> dict[str, Any]:
        """Submit a mutation; returns what the core said of it."""
        said = await self._runtime.submit(stimulus)
        for note in said:
            if note.kind.endswith("refused") or note.kind == notes.FULL:
                raise VerbError("refused", _sentence(note))
        return {"said": [_sentence(note) for note in said]}

    async def _overview(self) -> dict[str, Any]:
        fleet = await self._runtime.read(lambda core: core.overview())
        return {
            "fleet": fleet,
            "connected": self._runtime.connected,
            "counters": self._runtime.counters,
        }

    async def _devices(self, verb: ListDevices) -> dict[str, Any]:
        page = await self._runtime.page(rows.DEVICE, verb.after, verb.limit)
        names = [key for key, _ in page]
        views = await self._runtime.read(lambda core: [core.twin_view(name) for name in names])
        full = len(names) == verb.limit
        return {"devices": views, "next": names[-1] if full else None}

    async def _device(self, device: str) -> Any:
        view = await self._runtime.read(lambda core: core.twin_view(device))
        if view is None:
            raise VerbError("invalid", f"expected a device that is known, found {device!r}")
        return view

    async def _publish(self, digest: bytes, deltas: tuple[PublishedDelta, ...]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        manifest, size = await loop.run_in_executor(None, self._checked, digest)
        refs = [await loop.run_in_executor(None, check_blobs, self._blobs, d) for d in deltas]
        answer = await self._submit(hear.RegisterBundle(manifest, digest, size))
        for ref in refs:
            answer["said"] += (await self._submit(hear.RegisterDelta(ref)))["said"]
        return {**answer, "bundle": manifest.name, "digest": digest.hex()}

    async def _register_role(self, digest: bytes) -> dict[str, Any]:
        size = self._blobs.size_bytes(digest)
        if size > limits.TARGETS_ROLE_BYTES_MAX:
            most = limits.TARGETS_ROLE_BYTES_MAX
            raise VerbError("invalid", f"expected at most {most} bytes of metadata, found {size}")
        return await self._submit(hear.RegisterRole(self._blobs.read(digest, 0, size)))

    def _checked(self, digest: bytes) -> tuple[Manifest, int]:
        """The manifest of an envelope, when all that it names is here; hashes every blob."""
        self._blobs.verify(digest)
        envelope = self._blobs.read(digest, 0, ENVELOPE_BYTES_MAX)
        manifest = decode_manifest(self._verifier.open(ROLE_TARGETS, envelope))
        for variant in manifest.variants:
            self._check_blob(variant.image)
            self._check_blob(variant.hashes)
        return manifest, len(envelope)

    def _check_blob(self, blob: BlobRef) -> None:
        self._blobs.verify(blob.raw)
        found = self._blobs.size_bytes(blob.raw)
        if found != blob.size_bytes:
            raise VerbError(
                "invalid",
                f"expected {blob.size_bytes} bytes in blob {blob.digest} as the manifest says, "
                f"found {found}: build the bundle again",
            )


def _views(core: Gateway, verb: ListRollouts | ListExperiments | ListDebug | ShowDebug) -> Any:
    """What is read of the core."""
    match verb:
        case ListRollouts():
            return core.rollout_views()
        case ListExperiments():
            return core.experiment_views()
        case ListDebug():
            return core.debug_views()
        case ShowDebug(device=device):
            return core.debug_told(device)


def _stimulus(
    verb: EnrollDevice
    | CreateRollout
    | SteerRollout
    | SetFlag
    | Kill
    | CreateExperiment
    | SteerExperiment
    | GrantDebug
    | RevokeDebug,
) -> hear.AnyStimulus:
    """The mutation that a verb stands for."""
    match verb:
        case EnrollDevice():
            return hear.Enroll(verb.device, verb.labels)
        case CreateRollout():
            return hear.CreateRollout(_plan(verb))
        case SteerRollout():
            return hear.SteerRollout(verb.rollout, verb.how)
        case SetFlag():
            text = msgspec.json.encode(verb.definition, order="deterministic").decode()
            return hear.SetFlag(verb.segment, verb.flag, text)
        case Kill():
            return hear.Kill(verb.feature, verb.alive)
        case CreateExperiment():
            return hear.CreateExperiment(_experiment(verb))
        case SteerExperiment():
            return hear.SteerExperiment(verb.experiment, verb.how)
        case GrantDebug():
            return hear.GrantDebug(verb.device, parse_duration(verb.lasts), verb.by, verb.why)
        case RevokeDebug():
            return hear.RevokeDebug(verb.device, verb.by, verb.why)


def _plan(verb: CreateRollout) -> hear.RolloutPlan:
    return hear.RolloutPlan(
        id=verb.id,
        bundle=verb.bundle,
        waves=verb.waves,
        soak_ns=parse_duration(verb.soak),
        gate=verb.gate,
        selector=tuple(sorted(verb.selector.items())),
        jitter_ms=parse_duration(verb.jitter) // MS,
        policy=verb.policy,
        on_halt=verb.on_halt,
        wave_timeout_ns=parse_duration(verb.wave_timeout),
        expires_ns=parse_duration(verb.expires),
        initial=verb.initial,
        delta=verb.delta,
    )


def _experiment(verb: CreateExperiment) -> ExperimentPlan:
    """The plan: fields of the same name, durations read."""
    same = {name: getattr(verb, name) for name in verb.__struct_fields__ if name in _PLAN_FIELDS}
    return ExperimentPlan(
        **{
            **same,
            "selector": tuple(sorted(verb.selector.items())),
            "look_ns": parse_duration(verb.look),
            "soak_ns": parse_duration(verb.soak),
            "jitter_ms": parse_duration(verb.jitter) // MS,
        }
    )


def _sentence(note: ask.Note) -> str:
    pattern = _SENTENCES.get(note.kind, "{subject} ({a}, {b})")
    return pattern.format(subject=note.subject, a=note.a, b=note.b)
