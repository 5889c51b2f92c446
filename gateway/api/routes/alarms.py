"""Alarms: what is so, who looks after it, and who does not want to hear of it for a while."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import Path, Query, Response
from pydantic import Field

from devicesdk.wire import limits
from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Looked
from gateway.api.models import Duration, Request
from gateway.api.paging import LIMIT, Cursor, Limit, cursor_of, number_after
from gateway.api.router import versioned
from gateway.core.alarms.views import AlarmCounts, AlarmView
from gateway.runtime import verbs
from gateway.runtime.alarm_views import AlarmsPage, alarm_of

router = versioned("/alarms", "alarms")
ID_MAX = 10**15 - 1
Id = Annotated[int, Path(ge=1, le=ID_MAX, examples=[1_790_000_000_000])]


class AlarmList(msgspec.Struct, frozen=True):
    """Alarms in the order that was asked for, and all open ones in sum."""

    alarms: list[AlarmView]
    counts: AlarmCounts
    next: str | None


class Acknowledgement(Request):
    """Somebody looks after it."""

    why: str = Field(default="", max_length=limits.REASON_CHARS_MAX, examples=["on my way"])


class Silence(Request):
    """Sinks hear nothing of it, unless it gets worse or is over."""

    lasts: Duration = Field(default="1h", description="0s ends a silence.", examples=["8h"])
    why: str = Field(
        default="", max_length=limits.REASON_CHARS_MAX, examples=["known, fixed on Monday"]
    )


@router.get("", **shape(AlarmList))
async def list_alarms(
    desk: Looked,
    order: Literal["newest", "oldest"] = "newest",
    state: Annotated[
        Literal["", "open", "raised", "acknowledged", "cleared"],
        Query(description="open: raised or acknowledged."),
    ] = "",
    kind: Annotated[str, Query(max_length=64, examples=["broker_down"])] = "",
    severity: Literal["", "warning", "critical"] = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> Response:
    """A page of alarms, the newest first or the oldest: open ones, and those that are over and kept."""
    name = f"alarms.{order}"
    found: AlarmsPage = await desk.see(
        verbs.ListAlarms(
            after=number_after(name, cursor), limit=limit, newest=order == "newest", state=state, kind=kind,
            severity=severity,
        )
    )  # fmt: skip
    then = cursor_of(name, None if found.next is None else str(found.next))
    return desk.answer(AlarmList(found.alarms, found.counts, then))


@router.get("/{alarm}", **shape(AlarmView))
async def show_alarm(desk: Looked, alarm: Id) -> Response:
    """One alarm."""
    return desk.answer(await desk.see(verbs.ShowAlarm(alarm=alarm)))


@router.post("/{alarm}/acknowledge", **shape(Said))
async def acknowledge_alarm(desk: Asked, alarm: Id, asked: Acknowledgement) -> Response:
    """Say that you look after it; with ``If-Match``, only as it was when it was looked at."""
    verb = verbs.AcknowledgeAlarm(alarm=alarm, why=asked.why)
    return mutated(await desk.do(verb, lambda core: alarm_of(core, alarm)))


@router.post("/{alarm}/silence", **shape(Said))
async def silence_alarm(desk: Asked, alarm: Id, asked: Silence) -> Response:
    """Tell webhook and MQTT nothing of it for a while; getting worse, or its end, is told."""
    verb = verbs.SilenceAlarm(alarm=alarm, lasts=asked.lasts, why=asked.why)
    return mutated(await desk.do(verb, lambda core: alarm_of(core, alarm)))
