"""Events as they happen, and metrics for Prometheus."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Header, Request, Response
from prometheus_client import generate_latest

from gateway.api.desk import Entrance, Looked, token_of
from gateway.api.events import MEDIA, Beacon, EventStream
from gateway.api.router import plain, versioned
from gateway.core.access.roles import Permission

router = versioned(tag="fleet")
metrics_router = plain("health")
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
EXAMPLE: Final = 'event: kills\nid: 7\ndata: {"kills":{"version":1,"features":["gauge"]}}\n\n'


@router.get("/events", response_class=Response, responses={200: {"description": "Events until one of both ends it.", "content": {MEDIA: {"schema": {"type": "string"}, "example": EXAMPLE}}}})  # fmt: skip
async def events(
    request: Request,
    desk: Looked,
    last_event_id: Annotated[
        str | None,
        Header(max_length=64, description="Any: every state is told again, as to a new listener."),
    ] = None,
) -> Response:
    """States, whenever they change: `fleet`, `rollouts`, `experiments`, `flags`, `kills`, `alarms`, `approvals`; every one at first. With them, `clock`. A token with a scope is told no `approvals`."""
    del last_event_id
    desk.may(Permission.READ)
    beacon: Beacon = request.app.state.beacon
    entrance: Entrance = request.app.state.entrance
    token = token_of(request) or ""
    service = desk.service
    return EventStream(
        beacon, service.http.events_beat_s, lambda: entrance.still(token), service.wall_ms,
        scoped=bool(desk.asker.labels),
    )  # fmt: skip


@metrics_router.get("/metrics", response_class=Response, responses={200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}})  # fmt: skip
async def metrics(request: Request, desk: Looked) -> Response:
    """The runtime's counters and the API's own."""
    desk.may(Permission.READ)
    return Response(generate_latest(request.app.state.registry), media_type=TEXT)
