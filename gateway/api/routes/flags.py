"""Flags by segment; run-time policies are the flag `policy`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
from fastapi import Path, Response
from pydantic import Field

from devicesdk.wire import limits
from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Looked
from gateway.api.models import Request
from gateway.api.paging import LIMIT, Cursor, Limit, after_of, cursor_of, page
from gateway.api.router import versioned
from gateway.core.gateway import Gateway
from gateway.runtime import verbs
from gateway.runtime.lookups import SegmentBrief, SegmentView, flag_of
from gateway.runtime.verbs import VerbError

router = versioned("/flags", "flags")
SEGMENTS = "segments"
Segment = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$", examples=["all"])]
Flag = Annotated[
    str, Path(min_length=1, max_length=limits.TEXT_CHARS_MAX, examples=["dashboard.dark"])
]
SWITCH = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}


class Segments(msgspec.Struct, frozen=True):
    """Segments in the order of their names."""

    segments: list[SegmentBrief]
    next: str | None


class FlagView(msgspec.Struct, frozen=True):
    """One flag of one segment: a flagd definition."""

    segment: str
    flag: str
    definition: dict[str, Any]


class NewFlag(Request):
    """A flagd flag definition."""

    definition: dict[str, Any] = Field(max_length=16, examples=[SWITCH])


@router.get("", **shape(Segments))
async def list_segments(desk: Looked, cursor: Cursor = "", limit: Limit = LIMIT) -> Response:
    """A page of segments: revision and names of flags."""
    found = await desk.see(verbs.ListSegments())
    segments, then = page(found, lambda one: one.segment, after_of(SEGMENTS, cursor), limit)
    return desk.answer(Segments(segments, cursor_of(SEGMENTS, then)))


@router.get("/{segment}", **shape(SegmentView))
async def show_segment(desk: Looked, segment: Segment) -> Response:
    """All flags of a segment with their definitions."""
    return desk.answer(await desk.see(verbs.ShowSegment(segment=segment)))


@router.get("/{segment}/{flag:path}", **shape(FlagView))
async def show_flag(desk: Looked, segment: Segment, flag: Flag) -> Response:
    """One flag."""
    flags = (await desk.see(verbs.ShowSegment(segment=segment))).flags
    if flag not in flags:
        raise VerbError("unknown", f"expected a flag of the segment {segment}, found {flag!r}")
    return desk.answer(FlagView(segment, flag, flags[flag]))


@router.put("/{segment}/{flag:path}", **shape(Said))
async def set_flag(desk: Asked, segment: Segment, flag: Flag, asked: NewFlag) -> Response:
    """Set a flag; with ``If-Match``, only as it was when it was looked at."""

    def look(core: Gateway) -> FlagView | None:
        found = flag_of(core, segment, flag)
        return None if found is None else FlagView(segment, flag, found)

    try:
        msgspec.json.encode(asked.definition)
        json.dumps(asked.definition, allow_nan=False)  # msgspec would write null for infinity
    except (ValueError, OverflowError, RecursionError) as error:
        raise VerbError(
            "invalid", f"definition: expected JSON of numbers and text that fit, found: {error}"
        ) from error
    verb = verbs.SetFlag(segment=segment, flag=flag, definition=asked.definition)
    return mutated(await desk.do(verb, look))
