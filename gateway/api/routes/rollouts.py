"""Rollouts: create, look, and the verbs on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from devicesdk.wire import limits
from devicesdk.wire.messages import UpdatePolicy
from gateway.api.desk import Asked, tagged
from gateway.api.models import Duration, Labels, Name, Request, Said, Share
from gateway.core.gateway import Gateway
from gateway.core.pace import BUDGETS_MAX, LABEL_CHARS_MAX, LATE_PER_HOUR_MAX, WINDOWS_MAX
from gateway.core.zones import UTC
from gateway.runtime import verbs
from gateway.runtime.verbs import VerbError

router = APIRouter(prefix="/rollouts", tags=["rollouts"])
Id = Annotated[str, Path(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Percent = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?%$", max_length=16)]
Budget = Count | Percent


class Gate(Request):
    """What must hold between waves; a sequential test stops a wave early when failures tip it."""

    failures: float = Field(default=0.02, gt=0, le=1, description="Tolerated share of failures.")
    evidence: float = Field(
        default=20.0, ge=1, description="Halts past it; false alarms are at most 1 / this."
    )
    quorum: Share = 0.9
    latency_p95_ratio: float | None = Field(default=None, gt=0)
    drift: bool = False
    drain_ratio: float | None = Field(default=None, gt=0)


class Policy(Request):
    """What a device itself looks at before it acts; the defaults ask for nothing."""

    battery_percent_min: int = Field(default=0, ge=0, le=100)
    chip_c_max: int = Field(default=150, ge=-50, le=150, description="Degrees Celsius.")
    plugged: bool = Field(default=False, description="Only while on external power.")
    trial_ms: int = Field(default=60_000, ge=0, le=2**32 - 1)


class NewRollout(Request):
    """A staged rollout."""

    id: Name
    bundle: str = Field(examples=["gauge@1.1.0"], min_length=3, max_length=200)
    waves: list[Share] = Field(default=[0.01, 0.10, 0.25, 1.0], min_length=1, max_length=32)
    soak: Duration = "20m"
    wave_timeout: Duration = "1d"
    jitter: Duration = "1m"
    selector: Labels = {}
    on_halt: Literal["hold", "revert"] = "revert"
    gate: Gate = Gate()
    initial: bool = Field(
        default=False, description="Factory state: devices are believed to run it already."
    )
    delta: bool = True
    policy: Policy = Field(default_factory=lambda: Policy(), description="When a device may act.")
    start_at: str = Field(
        default="",
        max_length=64,
        description="Nothing before this instant; empty: at once.",
        examples=["2026-03-01T02:00:00Z"],
    )
    windows: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[],
        max_length=WINDOWS_MAX,
        examples=[["Mon-Fri 01:00-05:00"]],
        description="Maintenance windows on each device's own clock; none: always.",
    )
    zone: str = Field(
        default=UTC,
        max_length=64,
        examples=["Europe/Berlin"],
        description="Time zone of devices whose label tz names none.",
    )
    budgets: dict[Annotated[str, Field(max_length=LABEL_CHARS_MAX)], Budget] = Field(
        default={},
        max_length=BUDGETS_MAX,
        examples=[{"site": 2, "region": "10%"}],
        description="Of each value of a label, how many may be updating or offline at once.",
    )
    approvals: list[Annotated[int, Field(ge=0, le=31)]] = Field(
        default=[], max_length=32, description="Waves, from 0, that open when somebody approves."
    )
    late_per_hour: int = Field(
        default=0,
        ge=0,
        le=LATE_PER_HOUR_MAX,
        description="Devices that join when everybody has been offered: so many an hour; 0: at once.",
    )
    late_after_gate: bool = Field(
        default=False, description="Such devices wait until the last wave has passed its gate."
    )


class DryRun(NewRollout):
    """A plan to be looked at."""

    at: str = Field(default="", max_length=64, description="As at this instant; empty: now.")
    after: str = Field(default="", max_length=200, description="Devices with a later id only.")
    limit: int = Field(default=100, ge=1, le=verbs.PAGE_DEVICES_MAX)


class WavePreview(BaseModel):
    """One wave that would have devices in it."""

    index: int
    share: float
    size: int
    approval: bool = Field(description="Whether it would wait for somebody to approve.")
    at_once: int
    waiting: dict[str, int] = Field(description="Devices by what they would wait for.")


class DevicePreview(BaseModel):
    """One device."""

    id: str
    wave: int = Field(description="From 0; -1: left out.")
    why: str


class Preview(BaseModel):
    """What a plan would do."""

    refusal: str = Field(description="Why it would be refused or would wait; empty: it would run.")
    starts_at_ns: int = Field(description="UTC.")
    ends: list[str] = Field(description="Rollouts that it would supersede.")
    waves: list[WavePreview]
    left_out: dict[str, int] = Field(description="Devices that it is not for, by the reason.")
    devices: list[DevicePreview]
    next: str | None = Field(description="Ask with after=this for the next page of devices.")


class Decision(Request):
    """On the wave that waits for approval."""

    wave: int | None = Field(default=None, ge=0, description="The wave that was looked at.")
    why: str = Field(default="", max_length=limits.REASON_CHARS_MAX)


class Wave(BaseModel):
    """One wave; counts of devices."""

    share: float
    size: int
    offered: int
    exposed: int
    committed: int
    failed: int
    rolled_back: int
    rejected: int
    superseded: int
    stopped: int
    reverted: int
    unreached: int
    e_value: float = Field(description="Evidence against the release.")
    verdict: str
    staged: int


class Rollout(BaseModel):
    """One rollout."""

    id: str
    bundle: str
    state: str
    why: str
    waves: list[Wave]
    approval: int | None = Field(default=None, description="Wave that waits for approval.")
    late: int = Field(default=0, description="Devices that came late and wait.")


class Rollouts(BaseModel):
    """All rollouts, the oldest first."""

    rollouts: list[Rollout]


@router.get("")
async def list_rollouts(desk: Asked, response: Response) -> Rollouts:
    """All rollouts with their waves."""
    found = await desk.do(verbs.ListRollouts())
    return Rollouts.model_validate(tagged(response, {"rollouts": found}))


@router.post("", status_code=201)
async def create_rollout(desk: Asked, asked: NewRollout) -> Said:
    """Start a staged rollout."""
    return Said(**await desk.do(_verb(asked.model_dump())))


@router.post("/preview")
async def preview_rollout(desk: Asked, asked: DryRun) -> Preview:
    """A dry run: which devices would come in which wave, and who is left out and why."""
    words = asked.model_dump()
    page = {name: words.pop(name) for name in ("at", "after", "limit")}
    return Preview.model_validate(await desk.do(verbs.PreviewRollout(plan=_verb(words), **page)))


def _verb(words: dict[str, Any]) -> verbs.CreateRollout:
    """The verb that a plan stands for."""
    policy = UpdatePolicy(**words.pop("policy"))
    return msgspec.structs.replace(msgspec.convert(words, verbs.CreateRollout), policy=policy)


@router.get("/{id}")
async def show_rollout(desk: Asked, response: Response, id: Id) -> Rollout:  # noqa: A002 - the resource's own word
    """One rollout."""
    found = [view for view in await desk.do(verbs.ListRollouts()) if view["id"] == id]
    if not found:
        raise VerbError("unknown", f"expected the id of a rollout, found {id!r}")
    return Rollout.model_validate(tagged(response, found[0]))


@router.post("/{id}/approve")
async def approve_rollout(desk: Asked, id: Id, asked: Decision) -> Said:  # noqa: A002 - the resource's own word
    """Let the wave open that waits for it; with ``wave``, only that one."""
    return Said(**await desk.do(verbs.ApproveRollout(rollout=id, wave=asked.wave, why=asked.why)))


@router.post("/{id}/deny")
async def deny_rollout(desk: Asked, id: Id, asked: Decision) -> Said:  # noqa: A002 - the resource's own word
    """End a rollout at the wave that waits for approval; who has the release keeps it."""
    return Said(**await desk.do(verbs.DenyRollout(rollout=id, wave=asked.wave, why=asked.why)))


@router.post("/{id}/{how}")
async def steer_rollout(
    desk: Asked,
    id: Id,  # noqa: A002 - the resource's own word
    how: Literal["pause", "resume", "abort-keep", "abort-revert", "retry", "trigger-next"],
) -> Said:
    """Pause, resume, abort or retry, or open the next wave now; with ``If-Match``, only as it was when it was looked at."""

    def look(core: Gateway) -> Any:
        found = [view for view in core.rollout_views() if view.id == id]
        return msgspec.to_builtins(found[0]) if found else None

    return Said(**await desk.do(verbs.SteerRollout(rollout=id, how=how), look))
