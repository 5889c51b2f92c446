"""The fleet at a glance, chunks on their way, and drift by cohort."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Query, Response

from gateway.api.answers import shape
from gateway.api.desk import Looked
from gateway.api.paging import LIMIT, Cursor, Limit, after_of, cursor_of, number_after, page
from gateway.api.router import versioned
from gateway.runtime import verbs
from gateway.runtime.drift_views import DriftPage, HistogramTold, ScoreAt
from gateway.runtime.lookups import FleetView, TransfersView

router = versioned()
COHORTS, SCORES = "drift", "scores"


class Scores(msgspec.Struct, frozen=True):
    """Scores by time; the oldest first."""

    scores: list[ScoreAt]
    next: str | None


@router.get("/fleet", tags=["fleet"], **shape(FleetView))
async def show_fleet(desk: Looked) -> Response:
    """Devices, versions, revisions, and what the runtime counted."""
    return desk.answer(await desk.see(verbs.Overview()))


@router.get("/transfers", tags=["transfers"], **shape(TransfersView))
async def show_transfers(desk: Looked) -> Response:
    """Devices that are being served, rounds and bytes."""
    return desk.answer(await desk.see(verbs.ShowTransfers()))


@router.get("/drift", tags=["drift"], **shape(DriftPage))
async def show_drift(desk: Looked, cursor: Cursor = "", limit: Limit = LIMIT) -> Response:
    """A page of cohorts with verdict, alarms and the newest score of each feature."""
    found: DriftPage = await desk.see(verbs.ShowDrift(after=after_of(COHORTS, cursor), limit=limit))
    return desk.answer(msgspec.structs.replace(found, next=cursor_of(COHORTS, found.next)))


@router.get("/drift/series", tags=["drift"], **shape(Scores))
async def list_drift_scores(
    desk: Looked,
    cohort: Annotated[str, Query(min_length=1, max_length=512, description="Its name.")],
    feature: Annotated[str, Query(min_length=1, max_length=128, examples=["confidence"])],
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> Response:
    """Scores of one feature of one cohort in the closed windows that are kept, the oldest first."""
    after = f"{number_after(SCORES, cursor):015d}"
    found = await desk.see(verbs.ListScores(cohort=cohort, feature=feature))
    scores, then = page(found, lambda score: f"{score.window:015d}", after, limit)
    return desk.answer(Scores(scores, cursor_of(SCORES, then)))


@router.get("/drift/histogram", tags=["drift"], **shape(HistogramTold))
async def show_histogram(
    desk: Looked,
    cohort: Annotated[str, Query(min_length=1, max_length=512, description="Its name.")],
    feature: Annotated[str, Query(min_length=1, max_length=128, examples=["confidence"])],
) -> Response:
    """One feature of one cohort as it was last, beside its baseline."""
    return desk.answer(await desk.see(verbs.ShowHistogram(cohort=cohort, feature=feature)))
