"""How verbs are done on a runtime.

Decides what is checked before the core is asked, and what is answered. Leaves out the verbs (verbs.py), who may
ask and what is written down of it (office.py).
Mutations are stimuli and answered when they are durable; lists of devices are pages of the durable
rows, so a fleet is never read whole.

Rules: a verb that the core refused is an error with the core's own words; a bundle is taken only when
its manifest is signed by a trusted targets key and every blob it names is here and whole, because
devices would refuse it otherwise; signing keys for manifests never come here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from devicesdk.bundle.manifest import BlobRef, Manifest, decode_manifest
from devicesdk.bundle.trust import ROLE_TARGETS, Verifier
from devicesdk.wire import limits
from devicesdk.wire.errors import ProtocolError
from devicesdk.wire.timebase import DAY, MS, parse_duration
from gateway.core import effects as ask
from gateway.core import notes, rows
from gateway.core import stimuli as hear
from gateway.core.alarms import notes as alarm_notes
from gateway.core.experiment_plan import ExperimentPlan
from gateway.core.experiments import notes as experiment_notes
from gateway.core.gateway import Gateway
from gateway.core.pace import Pace, pace_of, read_budgets, read_instant, read_windows
from gateway.ports import BlobError, Blobs
from gateway.runtime.askable import Askable
from gateway.runtime.life import (
    BusyError,
    Guard,
    GuardError,
    Notes,
    NotRunningError,
    Record,
)
from gateway.runtime.lookups import Lookups, WrittenDevices
from gateway.runtime.publishing import PublishedDelta, check_blobs, releases_of
from gateway.runtime.verbs import (
    AcknowledgeAlarm,
    ApproveRollout,
    CoreVerb,
    CreateExperiment,
    CreateRollout,
    DenyRollout,
    EnrollDevice,
    GrantDebug,
    Kill,
    ListDebug,
    ListDevices,
    ListExperiments,
    ListReleases,
    ListRollouts,
    Mutation,
    Overview,
    Plain,
    PreviewRollout,
    PublishBundle,
    Reading,
    RegisterRole,
    RevokeDebug,
    SetFlag,
    ShowAlarm,
    ShowDebug,
    ShowDevice,
    SilenceAlarm,
    SteerExperiment,
    SteerRollout,
    VerbError,
)  # fmt: skip
from gateway.runtime.written import Page

BUNDLES_MAX: Final = 1_000
SPAN_NS_MAX: Final = 3_660 * DAY
ENVELOPE_BYTES_MAX: Final = limits.MANIFEST_BYTES_MAX + 1024
_PLAN_FIELDS: Final = frozenset(ExperimentPlan.__struct_fields__)
_SENTENCES: Final = {**notes.SENTENCES, **experiment_notes.SENTENCES, **alarm_notes.SENTENCES}


class Prepared(msgspec.Struct, frozen=True):
    """A mutation that was looked at and may be handed to the core."""

    stimuli: tuple[hear.AnyStimulus, ...]
    more: dict[str, Any] = {}
    """What is answered beside what the core says."""

    def result(self, said: Sequence[ask.Note], refusal: Exception | None = None) -> dict[str, Any]:
        """What is answered.

        Raises:
            VerbError: the core refused, with a note or (`refusal`) to look at it at all.
        """
        if refusal is not None:
            with told():
                raise refusal
        for note in said:
            if note.kind.endswith("refused") or note.kind == notes.FULL:
                raise VerbError("refused", _sentence(note))
        return {"said": self.sentences(said), **self.more}

    @staticmethod
    def sentences(said: Sequence[ask.Note]) -> list[str]:
        """What the core noted, for people."""
        return [_sentence(note) for note in said]


class Operator:
    """Does verbs on a runtime.

    Args:
        runtime: where they are done.
        blobs: where published blobs must be.
        verifier: knows the targets keys.
    """

    def __init__(self, runtime: Askable, blobs: Blobs, verifier: Verifier) -> None:
        self._runtime, self._blobs, self._verifier = runtime, blobs, verifier
        self._lookups = Lookups(runtime)

    async def do(self, verb: CoreVerb) -> Any:
        """Do it; returns what can be written as JSON.

        Raises:
            VerbError: it was not done.
        """
        if isinstance(verb, Reading):
            return await self.look(verb)
        prepared = await self.prepare(verb)
        return prepared.result(await self.submit(prepared))

    async def look(self, verb: Reading) -> Any:
        """Answer a question; returns what can be written as JSON.

        Raises:
            VerbError: there is no answer.
        """
        found = await self.see(verb)
        if isinstance(found, Page):
            found = WrittenDevices(found.raws, found.next)
        return msgspec.json.decode(msgspec.json.encode(found))

    async def see(self, verb: Reading) -> Any:
        """As `look`, as values of the core: for those who write them down themselves.

        Raises:
            VerbError: there is no answer.
        """
        with told():
            return await self._found(verb)

    async def prepare(self, verb: Mutation) -> Prepared:
        """Check all of a mutation that can be checked without the core.

        Raises:
            VerbError: it cannot be done.
        """
        with told():
            match verb:
                case PublishBundle():
                    return await self._publish(bytes.fromhex(verb.digest), verb.deltas)
                case RegisterRole():
                    return self._register_role(bytes.fromhex(verb.digest))
                case AcknowledgeAlarm() | SilenceAlarm():
                    await self._lookups.answer(ShowAlarm(alarm=verb.alarm))  # or it is unknown
                    return Prepared((_stimulus(verb),))
                case _:
                    return Prepared((_stimulus(verb),))

    async def submit(
        self, prepared: Prepared, record: Record | None = None, guard: Guard | None = None
    ) -> Notes:
        """Hand a mutation to the core; returns what it noted when that is durable.

        Raises:
            VerbError: it was not done, or nobody knows.
        """
        with told():
            return await self._runtime.submit(*prepared.stimuli, record=record, guard=guard)

    async def _found(self, verb: Reading) -> Any:
        match verb:
            case Overview():
                return await self._lookups.fleet()
            case ListDevices():
                return await self._lookups.devices(verb)
            case ShowDevice(device=device):
                return await self._device(device)
            case ListReleases(bundle=bundle):
                rows_of = await self._runtime.page(rows.BUNDLE, "", BUNDLES_MAX)
                return releases_of(bundle, rows_of)
            case PreviewRollout():
                plan, at = rollout_plan(verb.plan), read_instant(verb.at) or self._runtime.wall_ns()
                return await self._runtime.read(
                    lambda core: core.preview(plan, at, verb.after, verb.limit)
                )
            case ListRollouts() | ListExperiments() | ListDebug() | ShowDebug():
                return await self._runtime.read(lambda core: _views(core, verb))
            case _:
                return await self._lookups.answer(verb)

    async def _device(self, device: str) -> Any:
        view = await self._runtime.read(lambda core: core.twin_view(device))
        if view is None:
            raise VerbError("unknown", f"expected a device that is known, found {device!r}")
        return view

    async def _publish(self, digest: bytes, deltas: tuple[PublishedDelta, ...]) -> Prepared:
        loop = asyncio.get_running_loop()
        manifest, size = await loop.run_in_executor(None, self._checked, digest)
        refs = [await loop.run_in_executor(None, check_blobs, self._blobs, d) for d in deltas]
        known: list[hear.AnyStimulus] = [hear.RegisterBundle(manifest, digest, size)]
        known += [hear.RegisterDelta(ref) for ref in refs]
        return Prepared(tuple(known), {"bundle": manifest.name, "digest": digest.hex()})

    def _register_role(self, digest: bytes) -> Prepared:
        size = self._blobs.size_bytes(digest)
        if size > limits.TARGETS_ROLE_BYTES_MAX:
            most = limits.TARGETS_ROLE_BYTES_MAX
            raise VerbError("invalid", f"expected at most {most} bytes of metadata, found {size}")
        return Prepared((hear.RegisterRole(self._blobs.read(digest, 0, size)),))

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


@contextmanager
def told() -> Iterator[None]:
    """Turn what goes wrong into a `VerbError`."""
    try:
        yield
    except BusyError as error:
        raise VerbError("busy", str(error)) from error
    except NotRunningError as error:
        raise VerbError("stopped", str(error)) from error
    except GuardError as error:
        raise VerbError(error.code, str(error)) from error
    except (ProtocolError, BlobError, ValueError) as error:
        raise VerbError("invalid", str(error)) from error


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


def _stimulus(verb: Plain) -> hear.AnyStimulus:
    """The mutation that a verb stands for."""
    match verb:
        case EnrollDevice():
            return hear.Enroll(verb.device, verb.labels)
        case CreateRollout():
            return hear.CreateRollout(rollout_plan(verb))
        case SteerRollout() | ApproveRollout() | DenyRollout():
            return _steered(verb)
        case SetFlag():
            text = msgspec.json.encode(verb.definition, order="deterministic").decode()
            return hear.SetFlag(verb.segment, verb.flag, text)
        case Kill():
            return hear.Kill(verb.feature, verb.alive)
        case CreateExperiment():
            return hear.CreateExperiment(_experiment(verb))
        case SteerExperiment():
            return hear.SteerExperiment(verb.experiment, verb.how)
        case GrantDebug() | RevokeDebug():
            return _debugged(verb)
        case AcknowledgeAlarm() | SilenceAlarm():
            return _attended(verb)


def _debugged(verb: GrantDebug | RevokeDebug) -> hear.AnyStimulus:
    if isinstance(verb, GrantDebug):
        return hear.GrantDebug(verb.device, _span(verb.lasts), verb.by, verb.why)
    return hear.RevokeDebug(verb.device, verb.by, verb.why)


def _attended(verb: AcknowledgeAlarm | SilenceAlarm) -> hear.AnyStimulus:
    if isinstance(verb, AcknowledgeAlarm):
        return hear.AcknowledgeAlarm(verb.alarm, verb.by, verb.why)
    return hear.SilenceAlarm(verb.alarm, _span(verb.lasts), verb.by, verb.why)


def _span(text: str) -> int:
    """A duration, nanoseconds; instants that far away still fit their rows."""
    found = parse_duration(text)
    if found > SPAN_NS_MAX:
        raise VerbError("invalid", f"expected a duration of at most ten years, found {text!r}")
    return found


def _steered(verb: SteerRollout | ApproveRollout | DenyRollout) -> hear.AnyStimulus:
    if isinstance(verb, SteerRollout):
        return hear.SteerRollout(verb.rollout, verb.how)
    approved = isinstance(verb, ApproveRollout)
    return hear.DecideWave(verb.rollout, approved, verb.wave, verb.why)


def rollout_plan(verb: CreateRollout) -> hear.RolloutPlan:
    """The plan that a verb stands for; raises ValueError or `VerbError`."""
    return hear.RolloutPlan(
        id=verb.id,
        bundle=verb.bundle,
        waves=verb.waves,
        soak_ns=_span(verb.soak),
        gate=verb.gate,
        selector=tuple(sorted(verb.selector.items())),
        jitter_ms=_span(verb.jitter) // MS,
        policy=verb.policy,
        on_halt=verb.on_halt,
        wave_timeout_ns=_span(verb.wave_timeout),
        expires_ns=_span(verb.expires),
        initial=verb.initial,
        delta=verb.delta,
        pace=_pace(verb),
    )


def _pace(verb: CreateRollout) -> Pace | None:
    return pace_of(
        Pace(
            start_at_ns=read_instant(verb.start_at),
            windows=read_windows(verb.windows),
            zone=verb.zone,
            budgets=read_budgets(verb.budgets),
            approvals=tuple(sorted(set(verb.approvals))),
            late_per_hour=verb.late_per_hour,
            late_after_gate=verb.late_after_gate,
        )
    )


def _experiment(verb: CreateExperiment) -> ExperimentPlan:
    """The plan: fields of the same name, durations read."""
    same = {name: getattr(verb, name) for name in verb.__struct_fields__ if name in _PLAN_FIELDS}
    return ExperimentPlan(
        **{
            **same,
            "selector": tuple(sorted(verb.selector.items())),
            "look_ns": _span(verb.look),
            "soak_ns": _span(verb.soak),
            "jitter_ms": _span(verb.jitter) // MS,
        }
    )


def _sentence(note: ask.Note) -> str:
    pattern = _SENTENCES.get(note.kind, "{subject} ({a}, {b})")
    return pattern.format(subject=note.subject or "nothing", a=note.a, b=note.b)
