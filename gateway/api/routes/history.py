"""What happened lately: of one device and of one rollout, since this gateway started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import Path, Response

from gateway.api.answers import shape
from gateway.api.desk import Desk, Looked
from gateway.api.router import versioned
from gateway.api.routes.devices import Device
from gateway.core.gateway import Gateway
from gateway.runtime import verbs
from gateway.runtime.chronicle import Happened, Point, Window
from gateway.runtime.operator import told

router = versioned()
T = TypeVar("T")


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
    chronicle = desk.service.chronicle
    if chronicle is None:
        return desk.answer(DeviceHistory(device, 0, [], []))
    events, windows = await _read(
        desk, lambda _: (chronicle.events(device), chronicle.windows(device))
    )
    return desk.answer(DeviceHistory(device, chronicle.since_ms, events, windows))


@router.get("/rollouts/{id}/history", tags=["rollouts"], **shape(RolloutHistory))
async def show_rollout_history(
    desk: Looked,
    id: Annotated[str, Path(min_length=1, max_length=200, examples=["spring"])],  # noqa: A002 - the resource's own word
) -> Response:
    """A rollout's counts by time since this gateway started."""
    await desk.see(verbs.ShowRollout(rollout=id))
    chronicle = desk.service.chronicle
    if chronicle is None:
        return desk.answer(RolloutHistory(id, 0, []))
    points = await _read(desk, lambda _: chronicle.points(id))
    return desk.answer(RolloutHistory(id, chronicle.since_ms, points))


async def _read(desk: Desk, look: Callable[[Gateway], T]) -> T:
    """Look between two turns, when all that is remembered is durable.

    Raises:
        VerbError: not now.
    """
    with told():
        return await desk.service.runtime.read(look)
