"""Rollouts: create, look, and the verbs on them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import Field

from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Looked
from gateway.api.models import Duration, Labels, Name, Policy, Request, Share
from gateway.api.paging import LIMIT, Cursor, Limit, cursor_of, number_after
from gateway.runtime import verbs
from gateway.runtime.rollout_views import RolloutsPage, RolloutTold, rollout_of

router = APIRouter(prefix="/rollouts", tags=["rollouts"])
Id = Annotated[str, Path(min_length=1, max_length=200, examples=["spring"])]


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
    drain_ratio: float | None = Field(default=None, gt=0)


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
    policy: Policy = Policy()
    initial: bool = Field(
        default=False, description="Factory state: devices are believed to run it already."
    )
    delta: bool = True


@router.get("", **shape(Rollouts))
async def list_rollouts(
    desk: Looked,
    order: Literal["oldest", "newest"] = "oldest",
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
    words = asked.model_dump() | {"policy": asked.policy.value}
    verb = msgspec.convert({"verb": "rollout.create", **words}, verbs.CreateRollout)
    return mutated(await desk.do(verb), 201)


@router.get("/{id}", **shape(RolloutTold))
async def show_rollout(desk: Looked, id: Id) -> Response:  # noqa: A002 - the resource's own word
    """One rollout."""
    return desk.answer(await desk.see(verbs.ShowRollout(rollout=id)))


@router.post("/{id}/{how}", **shape(Said))
async def steer_rollout(
    desk: Asked,
    id: Id,  # noqa: A002 - the resource's own word
    how: Literal["pause", "resume", "abort-keep", "abort-revert", "retry"],
) -> Response:
    """Pause, resume, abort or retry; with ``If-Match``, only as it was when it was looked at."""
    verb = verbs.SteerRollout(rollout=id, how=how)
    return mutated(await desk.do(verb, lambda core: rollout_of(core, id)))
