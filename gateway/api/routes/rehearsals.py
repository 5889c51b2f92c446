"""Rehearsals: ask for one, see how far it is, read its verdict and its report."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import Path, Query, Response
from pydantic import Field
from starlette.responses import FileResponse

from devicesdk.wire.limits import REASON_CHARS_MAX
from gateway.api.answers import Said, mutated, plain, shape
from gateway.api.desk import Asked, Desk, Looked
from gateway.api.models import Request
from gateway.api.router import versioned
from gateway.api.routes.rollouts import Id, NewRollout, verb_of
from gateway.core.access.roles import Permission
from gateway.core.control.shape import Shape
from gateway.core.rehearsals.job import SEEDS_MAX
from gateway.runtime import verbs
from gateway.runtime.rehearsal_views import RehearsalsTold, RehearsalTold

router = versioned(tag="rehearsals")
Number = Annotated[int, Path(ge=1, le=10**12)]
SANDBOX: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A report that is opened where it was served may run nothing."""


class RehearsalAsked(msgspec.Struct, frozen=True):
    """A rehearsal waits."""

    number: int
    said: list[str]


class NewRehearsal(NewRollout):
    """A plan to be rehearsed: that of a rollout, word for word."""

    seeds: int = Field(
        default=0, ge=0, le=SEEDS_MAX, description="How many virtual fleets; 0: as configured."
    )


class Wish(Request):
    """How a rollout is to be rehearsed."""

    seeds: int = Field(default=0, ge=0, le=SEEDS_MAX)


class Cancelling(Request):
    """Why a rehearsal shall end."""

    why: str = Field(default="", max_length=REASON_CHARS_MAX)


@router.get("/rehearsals", **shape(RehearsalsTold))
async def list_rehearsals(
    desk: Looked, rollout: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Rehearsals that are kept, the newest first, and whether rollouts must be rehearsed."""
    return desk.answer(await _see(desk, verbs.ListRehearsals(rollout=rollout)))


@router.post("/rehearsals", **shape(RehearsalAsked, 202, "It waits for its turn."))
async def rehearse_plan(desk: Asked, asked: NewRehearsal) -> Response:
    """Rehearse a plan before it is created: the fleet's shape and the bundle's own bytes go into the simulator."""
    words = asked.model_dump()
    seeds = words.pop("seeds")
    return plain(await desk.do(verbs.RehearsePlan(plan=verb_of(asked, words), seeds=seeds)), 202)


@router.get("/rehearsals/shape", **shape(Shape))
async def show_shape(desk: Looked) -> Response:
    """The fleet as counts of devices that are alike: no ids."""
    return desk.answer(await _see(desk, verbs.ShowShape()))


@router.get("/rehearsals/{number}", **shape(RehearsalTold))
async def show_rehearsal(desk: Looked, number: Number) -> Response:
    """One rehearsal with its verdict."""
    return desk.answer(await _see(desk, verbs.ShowRehearsal(number=number)))


@router.post("/rehearsals/{number}/cancel", **shape(Said))
async def cancel_rehearsal(desk: Asked, number: Number, asked: Cancelling) -> Response:
    """End a rehearsal that waits or runs, without a verdict: its process has ended when this answers."""
    return mutated(await desk.do(verbs.CancelRehearsal(number=number, why=asked.why)))


@router.get(
    "/rehearsals/{number}/reports/{seed}",
    response_class=Response,
    responses={200: {"description": "HTML that needs nothing else.", "content": {"text/html": {}}}},
)
async def download_report(
    desk: Looked, number: Number, seed: Annotated[int, Path(ge=0, le=2**62)]
) -> Response:
    """The report of one virtual fleet, to be saved."""
    desk.may(Permission.READ)
    path = desk.service.office.rehearsals.report(number, seed)
    name = f"rehearsal-{number}-{seed}.html"
    return FileResponse(
        path, media_type="text/html", filename=name, headers={"Content-Security-Policy": SANDBOX}
    )


@router.post("/rollouts/{id}/rehearse", **shape(RehearsalAsked, 202, "It waits for its turn."))
async def rehearse_rollout(desk: Asked, id: Id, asked: Wish) -> Response:  # noqa: A002 - the resource's own word
    """Rehearse a rollout that was created already, as it would go from its beginning."""
    return plain(await desk.do(verbs.RehearseRollout(rollout=id, seeds=asked.seeds)), 202)


async def _see(
    desk: Desk, verb: verbs.ListRehearsals | verbs.ShowRehearsal | verbs.ShowShape
) -> object:
    """Answer a question as values."""
    desk.may(Permission.READ)
    return await desk.service.office.rehearsals.see(verb)
