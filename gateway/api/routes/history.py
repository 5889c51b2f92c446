"""What happened lately: of one device and of one rollout, since this gateway started."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Response

from gateway.api.answers import shape
from gateway.api.desk import Looked
from gateway.api.routes.devices import Device
from gateway.runtime import verbs
from gateway.runtime.chronicle import Happened, Point, Window

router = APIRouter()


class DeviceHistory(msgspec.Struct, frozen=True):
    """What is remembered of a device; bounded, the oldest first."""

    device: str
    since_ms: int
    """Nothing older is remembered, UTC; 0: nothing is."""
    events: list[Happened]
    windows: list[Window]


class RolloutHistory(msgspec.Struct, frozen=True):
    """What is remembered of a rollout's progress; bounded, the oldest first."""

    rollout: str
    since_ms: int
    points: list[Point]


@router.get("/devices/{device}/history", tags=["devices"], **shape(DeviceHistory))
async def show_device_history(desk: Looked, device: Device) -> Response:
    """Connections, updates, heat and charge of a device since this gateway started, the newest of them."""
    await desk.see(verbs.ShowDevice(device=device))  # who may not see it is told so here
    chronicle, runtime = desk.service.chronicle, desk.service.runtime
    if chronicle is None:
        return desk.answer(DeviceHistory(device, 0, [], []))
    events, windows = await runtime.read(
        lambda _: (chronicle.events(device), chronicle.windows(device))
    )
    return desk.answer(DeviceHistory(device, chronicle.since_ms, events, windows))


@router.get("/rollouts/{id}/history", tags=["rollouts"], **shape(RolloutHistory))
async def show_rollout_history(
    desk: Looked,
    id: Annotated[str, Path(min_length=1, max_length=200, examples=["spring"])],  # noqa: A002 - the resource's own word
) -> Response:
    """A rollout's counts by time since this gateway started."""
    await desk.see(verbs.ShowRollout(rollout=id))
    chronicle, runtime = desk.service.chronicle, desk.service.runtime
    if chronicle is None:
        return desk.answer(RolloutHistory(id, 0, []))
    points = await runtime.read(lambda _: chronicle.points(id))
    return desk.answer(RolloutHistory(id, chronicle.since_ms, points))
