"""The kill list: features that are off everywhere, at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from devicesdk.wire import limits
from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Looked
from gateway.api.router import versioned
from gateway.runtime import verbs
from gateway.runtime.lookups import KillsView, kills_of

router = versioned("/kills", "kills")
Feature = Annotated[str, Path(min_length=1, max_length=limits.TEXT_CHARS_MAX, examples=["gauge"])]


@router.get("", **shape(KillsView))
async def list_kills(desk: Looked) -> Response:
    """Version and features of the kill list; it fits a page, because it fits one message."""
    return desk.answer(await desk.see(verbs.ListKills()))


@router.put("/{feature:path}", **shape(Said))
async def kill(desk: Asked, feature: Feature) -> Response:
    """Kill a feature everywhere; with ``If-Match``, only if the list is as it was."""
    return mutated(await desk.do(verbs.Kill(feature=feature), kills_of))


@router.delete("", **shape(Said))
async def revive_named(
    desk: Asked,
    feature: Annotated[
        str, Query(min_length=1, max_length=limits.TEXT_CHARS_MAX, examples=["gauge"])
    ],
) -> Response:
    """Let a feature live again whose name is no part of an address: ``..`` (gateway/core/names.py)."""
    return mutated(await desk.do(verbs.Kill(feature=feature, alive=True), kills_of))


@router.delete("/{feature:path}", **shape(Said))
async def revive(desk: Asked, feature: Feature) -> Response:
    """Let a feature live again."""
    return mutated(await desk.do(verbs.Kill(feature=feature, alive=True), kills_of))
