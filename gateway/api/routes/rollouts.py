"""Rollouts: create, look, and the verbs on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from gateway.api.desk import Asked, tagged
from gateway.api.models import Duration, Labels, Name, Request, Said, Share
from gateway.core.gateway import Gateway
from gateway.runtime import verbs
from gateway.runtime.verbs import VerbError

router = APIRouter(prefix="/rollouts", tags=["rollouts"])
Id = Annotated[str, Path(min_length=1, max_length=200)]


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
    initial: bool = Field(
        default=False, description="Factory state: devices are believed to run it already."
    )
    delta: bool = True


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
    words = {"verb": "rollout.create", **asked.model_dump()}
    return Said(**await desk.do(msgspec.convert(words, verbs.CreateRollout)))


@router.get("/{id}")
async def show_rollout(desk: Asked, response: Response, id: Id) -> Rollout:  # noqa: A002 - the resource's own word
    """One rollout."""
    found = [view for view in await desk.do(verbs.ListRollouts()) if view["id"] == id]
    if not found:
        raise VerbError("unknown", f"expected the id of a rollout, found {id!r}")
    return Rollout.model_validate(tagged(response, found[0]))


@router.post("/{id}/{how}")
async def steer_rollout(
    desk: Asked,
    id: Id,  # noqa: A002 - the resource's own word
    how: Literal["pause", "resume", "abort-keep", "abort-revert", "retry"],
) -> Said:
    """Pause, resume, abort or retry; with ``If-Match``, only as it was when it was looked at."""

    def look(core: Gateway) -> Any:
        found = [view for view in core.rollout_views() if view.id == id]
        return msgspec.to_builtins(found[0]) if found else None

    return Said(**await desk.do(verbs.SteerRollout(rollout=id, how=how), look))
