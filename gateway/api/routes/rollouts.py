"""Rollouts: create, look, and the verbs on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Path, Response
from pydantic import Field

from devicesdk.wire import limits
from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Desk, Looked
from gateway.api.models import Duration, Labels, Name, Order, Policy, Request, Share
from gateway.api.paging import LIMIT, Cursor, Limit, cursor_of, number_after
from gateway.api.router import versioned
from gateway.core.control.preview import Preview
from gateway.core.pace import BUDGETS_MAX, LABEL_CHARS_MAX, LATE_PER_HOUR_MAX, WINDOWS_MAX
from gateway.core.zones import UTC
from gateway.runtime import verbs
from gateway.runtime.rollout_views import RolloutsPage, RolloutTold, rollout_of

router = versioned("/rollouts", "rollouts")
Id = Annotated[str, Path(min_length=1, max_length=200, examples=["spring"])]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Percent = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?%$", max_length=16)]
Budget = Count | Percent


class Rollouts(msgspec.Struct, frozen=True):
    """Rollouts in the order that was asked for."""

    rollouts: list[RolloutTold]
    next: str | None


class Gate(Request):
    """What must hold between waves; a sequential test stops a wave early when failures tip it."""

    failures: float = Field(default=0.02, gt=0, le=1, description="Tolerated share of failures.")
    evidence: float = Field(
        default=20.0, ge=1, description="Halts past it; false alarms are at most 1 / this."
    )
    quorum: Share = 0.9
    latency_p95_ratio: float | None = Field(default=None, gt=0)
    drift: bool = False
    drift_raw: bool = Field(
        default=False, description="Any verdict of drift halts, the weather's too."
    )
    drain_ratio: float | None = Field(default=None, gt=0)


class NewRollout(Request):
    """A staged rollout."""

    id: Name
    bundle: str = Field(examples=["gauge@1.1.0"], min_length=3, max_length=200)
    waves: list[Share] = Field(default=[0.01, 0.10, 0.25, 1.0], min_length=1, max_length=32)
    soak: Duration = "20m"
    wave_timeout: Duration = "1d"
    expires: Duration = Field(
        default="0s", description="A device may begin so long after its wave; 0s: for ever."
    )
    jitter: Duration = "1m"
    selector: Labels = {}
    on_halt: Literal["hold", "revert"] = "revert"
    gate: Gate = Gate()
    policy: Policy = Policy()
    initial: bool = Field(
        default=False, description="Factory state: devices are believed to run it already."
    )
    delta: bool = True
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
    rehearsal: Literal["", "required"] = Field(
        default="", description="required: only when a rehearsal of exactly this has held."
    )
    unrehearsed: str = Field(
        default="",
        max_length=limits.REASON_CHARS_MAX,
        description="Why it shall begin without the rehearsal that is required; somebody else must approve.",
    )


class DryRun(NewRollout):
    """A plan to be looked at."""

    at: str = Field(default="", max_length=64, description="As at this instant; empty: now.")
    after: str = Field(default="", max_length=200, description="Devices with a later id only.")
    limit: int = Field(default=100, ge=1, le=verbs.PAGE_DEVICES_MAX)


class Decision(Request):
    """On the wave that waits for approval."""

    wave: int | None = Field(default=None, ge=0, description="The wave that was looked at.")
    why: str = Field(default="", max_length=limits.REASON_CHARS_MAX)


@router.get("", **shape(Rollouts))
async def list_rollouts(
    desk: Looked,
    order: Order = "oldest",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> Response:
    """A page of rollouts with their waves, the oldest first or the newest."""
    name = f"rollouts.{order}"
    place = number_after(name, cursor)
    verb = verbs.PageRollouts(after=place, limit=limit, newest=order == "newest")
    found: RolloutsPage = await desk.see(verb)
    then = None if found.next is None else str(found.next)
    return desk.answer(Rollouts(found.rollouts, cursor_of(name, then)))


@router.post("", **shape(Said, 201, "It has begun."))
async def create_rollout(desk: Asked, asked: NewRollout) -> Response:
    """Start a staged rollout."""
    return mutated(await desk.do(verb_of(asked, asked.model_dump())), 201)


@router.post("/preview", **shape(Preview))
async def preview_rollout(desk: Asked, asked: DryRun) -> Response:
    """A dry run: which devices would come in which wave, and who is left out and why."""
    words = asked.model_dump()
    page = {name: words.pop(name) for name in ("at", "after", "limit")}
    return desk.answer(await desk.see(verbs.PreviewRollout(plan=verb_of(asked, words), **page)))


def verb_of(asked: NewRollout, words: dict[str, Any]) -> verbs.CreateRollout:
    """The verb that a plan stands for."""
    words = {"verb": "rollout.create", **words, "policy": asked.policy.value}
    return msgspec.convert(words, verbs.CreateRollout)


@router.get("/{id}", **shape(RolloutTold))
async def show_rollout(desk: Looked, id: Id) -> Response:  # noqa: A002 - the resource's own word
    """One rollout."""
    return desk.answer(await desk.see(verbs.ShowRollout(rollout=id)))


@router.post("/{id}/approve", **shape(Said))
async def approve_rollout(desk: Asked, id: Id, asked: Decision) -> Response:  # noqa: A002 - the resource's own word
    """Let the wave open that waits for it; with ``wave``, only that one."""
    verb = verbs.ApproveRollout(rollout=id, wave=asked.wave, why=asked.why)
    return await _done(desk, verb, id)


@router.post("/{id}/deny", **shape(Said))
async def deny_rollout(desk: Asked, id: Id, asked: Decision) -> Response:  # noqa: A002 - the resource's own word
    """End a rollout at the wave that waits for approval; who has the release keeps it."""
    verb = verbs.DenyRollout(rollout=id, wave=asked.wave, why=asked.why)
    return await _done(desk, verb, id)


@router.post("/{id}/{how}", **shape(Said))
async def steer_rollout(
    desk: Asked,
    id: Id,  # noqa: A002 - the resource's own word
    how: Literal["pause", "resume", "abort-keep", "abort-revert", "retry", "trigger-next"],
) -> Response:
    """Pause, resume, abort or retry, or judge the open wave now and open the next; with ``If-Match``, only as it was when it was looked at."""
    verb = verbs.SteerRollout(rollout=id, how=how)
    return await _done(desk, verb, id)


async def _done(desk: Desk, verb: verbs.AnyVerb, rollout: str) -> Response:
    """Do what is asked of a rollout; ``If-Match`` speaks of the rollout as it is shown."""
    return mutated(await desk.do(verb, lambda core: rollout_of(core, rollout)))
