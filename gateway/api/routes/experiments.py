"""Experiments: compare a candidate with production."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Path, Response
from pydantic import Field

from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Looked
from gateway.api.models import Duration, Labels, Name, Policy, Request, Share
from gateway.api.paging import LIMIT, Cursor, Limit, after_of, cursor_of, page
from gateway.api.router import versioned
from gateway.core.experiments.experiments import ExperimentView
from gateway.core.gateway import Gateway
from gateway.runtime import verbs
from gateway.runtime.verbs import VerbError

router = versioned("/experiments", "experiments")
EXPERIMENTS = "experiments"
Id = Annotated[str, Path(min_length=1, max_length=200, examples=["night-reader"])]


class Experiments(msgspec.Struct, frozen=True):
    """Experiments in the order of their ids."""

    experiments: list[ExperimentView]
    next: str | None


class NewExperiment(Request):
    """A candidate beside production."""

    id: Name = Field(examples=["night-reader"])
    bundle: str = Field(description="The candidate.", examples=["gauge@1.2.0"], max_length=200)
    production: str = Field(examples=["gauge@1.1.0"], max_length=200)
    mode: Literal["shadow", "interleaved", "bandit"]
    segment: str = Field(default="all", min_length=1, max_length=64)
    selector: Labels = {}
    share: Share = 1.0
    tolerated: Share = 0.02
    brake: float = Field(default=20.0, gt=1, description="E-value that stops it.")
    freeze: float = Field(default=2.0, gt=1)
    evidence: float = Field(default=20.0, gt=1, description="E-value that promotes.")
    promote: Literal["evidence", "manual"] = "evidence"
    errors: float = Field(default=0.05, ge=0, lt=1)
    latency_ms_max: float = Field(default=0.0, ge=0)
    apart_permille: int = Field(default=50, ge=0, le=1000)
    apart: float = Field(default=0.05, ge=0, lt=1)
    look: Duration = "15m"
    waves: list[Share] = Field(default=[1.0], min_length=1, max_length=32)
    soak: Duration = "1m"
    jitter: Duration = "1m"
    policy: Policy = Policy()


@router.get("", **shape(Experiments))
async def list_experiments(desk: Looked, cursor: Cursor = "", limit: Limit = LIMIT) -> Response:
    """A page of experiments with their evidence."""
    found = sorted(await desk.see(verbs.ListExperiments()), key=_id)
    views, then = page(found, _id, after_of(EXPERIMENTS, cursor), limit)
    return desk.answer(Experiments(views, cursor_of(EXPERIMENTS, then)))


@router.post("", **shape(Said, 201, "It has begun."))
async def create_experiment(desk: Asked, asked: NewExperiment) -> Response:
    """Stage a candidate beside production and begin to compare the two."""
    words = asked.model_dump() | {"policy": asked.policy.value}
    verb = msgspec.convert({"verb": "experiment.create", **words}, verbs.CreateExperiment)
    return mutated(await desk.do(verb), 201)


@router.get("/{id}", **shape(ExperimentView))
async def show_experiment(desk: Looked, id: Id) -> Response:  # noqa: A002 - the resource's own word
    """One experiment."""
    found = [view for view in await desk.see(verbs.ListExperiments()) if view.id == id]
    if not found:
        raise VerbError("unknown", f"expected the id of an experiment, found {id!r}")
    return desk.answer(found[0])


@router.post("/{id}/{how}", **shape(Said))
async def steer_experiment(
    desk: Asked,
    id: Id,  # noqa: A002 - the resource's own word
    how: Literal["promote", "stop", "freeze", "thaw"],
) -> Response:
    """Promote, stop, freeze or thaw; with ``If-Match``, only as it was when it was looked at."""

    def look(core: Gateway) -> Any:
        return next((view for view in core.experiment_views() if view.id == id), None)

    return mutated(await desk.do(verbs.SteerExperiment(experiment=id, how=how), look))


def _id(view: ExperimentView) -> str:
    return view.id
