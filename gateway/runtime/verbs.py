"""What operators can ask for, as values.

Decides the verbs and their arguments. Leaves out how each is done (operator.py), sockets (door.py) and who
may ask (office.py).

Rules: a verb is a value; what it stands for is decided where it is done.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from devicesdk.wire import limits
from devicesdk.wire.messages import UpdatePolicy
from gateway.core import stimuli as hear
from gateway.core.access.roles import Role
from gateway.core.experiment_plan import Mode
from gateway.core.rehearsals.job import SEEDS_MAX
from gateway.core.zones import UTC
from gateway.runtime.publishing import PublishedDelta

PAGE_DEVICES_MAX: Final = 1_000
PAGE_ENTRIES_MAX: Final = 1_000


class VerbError(Exception):
    """A verb was not done.

    Args:
        code: ``invalid`` (ask differently), ``unknown`` (there is no such thing), ``refused`` (the core says
            no), ``changed`` (since it was looked at), ``busy`` (ask later), ``stopped`` (the gateway ended
            before it was durable).
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
    labels: dict[str, str] = {}
    """Only devices that carry all of these."""
    online: bool | None = None
    prefix: Annotated[str, Meta(max_length=limits.TEXT_CHARS_MAX)] = ""
    """Only devices whose ids begin so."""
    state: str = ""
    """Only devices that say so, such as ``downloading``."""
    version: str = ""
    """Only devices that say they run this: ``id@semver``, or a digest in hex."""


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
    start_at: str = ""
    """Nothing before this instant, such as ``2026-03-01T02:00:00Z``; empty: at once."""
    windows: tuple[str, ...] = ()
    """Maintenance windows on each device's own clock, such as ``Mon-Fri 01:00-05:00``; none: always."""
    zone: str = UTC
    """Of devices whose labels name none."""
    budgets: dict[str, int | str] = {}
    """Of each value of a label, how many may be updating or offline at once: 2, or ``10%``."""
    approvals: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    """Waves, counted from 0, that open only when somebody approves."""
    late_per_hour: Annotated[int, Meta(ge=0)] = 0
    """Devices that join when everybody has been offered: so many an hour; 0: at once."""
    late_after_gate: bool = False
    """Such devices wait until the last wave has passed its gate."""
    rehearsal: Literal["", "required"] = ""
    """``required``: it begins only when a rehearsal of exactly this plan and bundle has held."""
    unrehearsed: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)] = ""
    """Why it shall begin though it must be rehearsed and was not; somebody else must approve."""


class PreviewRollout(Verb, frozen=True, kw_only=True, tag="rollout.preview"):
    """A dry run: what a plan would do, device by device, without creating anything."""

    plan: CreateRollout
    at: str = ""
    """As it would be at this instant; empty: now."""
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_DEVICES_MAX)] = 100


class SteerRollout(Verb, frozen=True, kw_only=True, tag="rollout.steer"):
    """Pause, resume, abort or retry; or judge the open wave now and open the next."""

    rollout: str
    how: Literal["pause", "resume", "abort-keep", "abort-revert", "retry", "trigger-next"]


class ApproveRollout(Verb, frozen=True, kw_only=True, tag="rollout.approve"):
    """Let the wave open that waits for it."""

    rollout: str
    wave: Annotated[int, Meta(ge=0)] | None = None
    """The wave that was looked at; another one that waits is not approved."""
    why: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)] = ""


class DenyRollout(Verb, frozen=True, kw_only=True, tag="rollout.deny"):
    """End a rollout at the wave that waits for approval; who has the release keeps it."""

    rollout: str
    wave: Annotated[int, Meta(ge=0)] | None = None
    why: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)] = ""


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


class ListBundles(Verb, frozen=True, kw_only=True, tag="bundle.list"):
    """A page of registered bundles in the order of their names."""

    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_DEVICES_MAX)] = 100


class ShowBundle(Verb, frozen=True, kw_only=True, tag="bundle.show"):
    """One bundle."""

    bundle: str
    """``id@semver``, or its digest in hex."""


class PageRollouts(Verb, frozen=True, kw_only=True, tag="rollout.page"):
    """A page of rollouts, the oldest first or the newest."""

    after: Annotated[int, Meta(ge=0)] = 0
    """A place that an earlier page named; 0: from the beginning."""
    limit: Annotated[int, Meta(ge=1, le=PAGE_DEVICES_MAX)] = 100
    newest: bool = False


class ShowRollout(Verb, frozen=True, kw_only=True, tag="rollout.show"):
    """One rollout with its waves."""

    rollout: str


class ListSegments(Verb, frozen=True, kw_only=True, tag="flag.list"):
    """All segments with their flags."""


class ShowSegment(Verb, frozen=True, kw_only=True, tag="flag.show"):
    """The flags of one segment."""

    segment: str


class ListKills(Verb, frozen=True, kw_only=True, tag="kill.list"):
    """The kill list."""


class ShowDrift(Verb, frozen=True, kw_only=True, tag="drift.show"):
    """A page of cohorts in the order of their names, each with its verdict and newest scores."""

    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_DEVICES_MAX)] = 100


class ListScores(Verb, frozen=True, kw_only=True, tag="drift.scores"):
    """Scores of one feature of one cohort in the closed windows that are kept, the oldest first."""

    cohort: str
    feature: str


class ShowHistogram(Verb, frozen=True, kw_only=True, tag="drift.histogram"):
    """What one feature of one cohort looked like when it last spoke, beside its baseline."""

    cohort: str
    feature: str


class ShowTransfers(Verb, frozen=True, kw_only=True, tag="transfer.show"):
    """Who is served, and how much was."""


class ListAlarms(Verb, frozen=True, kw_only=True, tag="alarm.list"):
    """A page of alarms, the newest first or the oldest."""

    after: Annotated[int, Meta(ge=0)] = 0
    """The last id of the page before; 0: from the beginning."""
    limit: Annotated[int, Meta(ge=1, le=PAGE_DEVICES_MAX)] = 100
    newest: bool = True
    state: Literal["", "open", "raised", "acknowledged", "cleared"] = ""
    kind: str = ""
    severity: Literal["", "warning", "critical"] = ""


class ShowAlarm(Verb, frozen=True, kw_only=True, tag="alarm.show"):
    """One alarm."""

    alarm: int


class AcknowledgeAlarm(Verb, frozen=True, kw_only=True, tag="alarm.ack"):
    """Say that somebody looks after an alarm."""

    alarm: int
    why: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)] = ""
    by: str = ""
    """Filled in by the office, with the name of whoever asks."""


class SilenceAlarm(Verb, frozen=True, kw_only=True, tag="alarm.silence"):
    """Tell sinks nothing of an alarm for a while, unless it gets worse or is over."""

    alarm: int
    lasts: str = "1h"
    """Such as ``8h``; ``0s`` ends a silence."""
    why: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)] = ""
    by: str = ""
    """Filled in by the office, with the name of whoever asks."""


LookUp = (
    ListBundles | ShowBundle | ListSegments | ShowSegment | ListKills | ShowDrift | ListScores | ShowTransfers
    | PageRollouts | ShowRollout | ShowHistogram | ListAlarms | ShowAlarm
)  # fmt: skip
"""Questions that lookups.py answers."""


class MakeToken(Verb, frozen=True, kw_only=True, tag="token.make"):
    """Make a token; its text is answered once and not kept."""

    name: str
    role: Role
    lasts: str = "90d"
    labels: dict[str, str] = {}
    """Scope; empty: the whole fleet."""


class RevokeToken(Verb, frozen=True, kw_only=True, tag="token.revoke"):
    """End a token."""

    name: str


class ListTokens(Verb, frozen=True, kw_only=True, tag="token.list"):
    """All tokens, ended ones too; nothing of their secrets."""


class RehearsePlan(Verb, frozen=True, kw_only=True, tag="rehearsal.plan"):
    """Rehearse a plan in the simulator, with the fleet's shape and the bundle's own bytes."""

    plan: CreateRollout
    seeds: Annotated[int, Meta(ge=0, le=SEEDS_MAX)] = 0
    """How many virtual fleets; 0: as configured."""


class RehearseRollout(Verb, frozen=True, kw_only=True, tag="rehearsal.rollout"):
    """The same for a rollout that was created already."""

    rollout: str
    seeds: Annotated[int, Meta(ge=0, le=SEEDS_MAX)] = 0


class ListRehearsals(Verb, frozen=True, kw_only=True, tag="rehearsal.list"):
    """Rehearsals that are kept, the newest first."""

    rollout: str = ""
    """Only those of plans with this id; empty: all."""


class ShowRehearsal(Verb, frozen=True, kw_only=True, tag="rehearsal.show"):
    """One rehearsal with its verdict."""

    number: int


class ShowShape(Verb, frozen=True, kw_only=True, tag="rehearsal.shape"):
    """The fleet as counts of devices that are alike: what a rehearsal is made of."""


class CancelRehearsal(Verb, frozen=True, kw_only=True, tag="rehearsal.cancel"):
    """End a rehearsal that waits or runs, without a verdict."""

    number: Annotated[int, Meta(ge=1)]
    why: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)] = ""


RehearsalWish = RehearsePlan | RehearseRollout | CancelRehearsal
"""Verbs about rehearsals that change something."""
Rehearsal = RehearsalWish | ListRehearsals | ShowRehearsal | ShowShape
"""Verbs about rehearsals."""


class ListApprovals(Verb, frozen=True, kw_only=True, tag="approval.list"):
    """Requests that wait for a second person, and those decided lately."""


class Decide(Verb, frozen=True, kw_only=True, tag="approval.decide"):
    """Approve (and do) or deny what somebody else asked for."""

    number: int
    approve: bool
    why: Annotated[str, Meta(max_length=limits.REASON_CHARS_MAX)] = ""


class ReadLog(Verb, frozen=True, kw_only=True, tag="audit.list"):
    """A page of the audit log, the oldest entry first."""

    after: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=PAGE_ENTRIES_MAX)] = 100


CoreVerb = (
    Overview | ListDevices | ShowDevice | EnrollDevice | PublishBundle | ListReleases | RegisterRole | CreateRollout
    | SteerRollout | ListRollouts | SetFlag | Kill | CreateExperiment | SteerExperiment | ListExperiments
    | GrantDebug | RevokeDebug | ListDebug | ShowDebug | LookUp | PreviewRollout | ApproveRollout | DenyRollout
    | AcknowledgeAlarm | SilenceAlarm
)  # fmt: skip
Clerical = MakeToken | RevokeToken | ListTokens | ListApprovals | Decide | ReadLog | Rehearsal
"""Verbs of which the core knows nothing: the office does them alone."""
AnyVerb = CoreVerb | Clerical
Reading = (
    Overview | ListDevices | ShowDevice | ListReleases | ListRollouts | ListExperiments | ListDebug | ShowDebug
    | LookUp
    | PreviewRollout
)  # fmt: skip
"""Verbs that change nothing."""
Plain = (
    EnrollDevice | CreateRollout | SteerRollout | SetFlag | Kill | CreateExperiment | SteerExperiment
    | GrantDebug | RevokeDebug | ApproveRollout | DenyRollout | AcknowledgeAlarm | SilenceAlarm
)  # fmt: skip
Mutation = PublishBundle | RegisterRole | Plain
"""Verbs that are stimuli; `Plain` ones, of no more than one."""
