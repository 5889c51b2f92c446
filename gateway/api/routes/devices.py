"""Devices: pages with filters, one twin, and the registry's labels."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import Path, Query, Response

from devicesdk.wire import limits
from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Looked
from gateway.api.models import Labels, Request
from gateway.api.paging import LIMIT, Cursor, Limit, after_of, cursor_of
from gateway.api.router import versioned
from gateway.core.control.views import TwinView
from gateway.core.gateway import Gateway
from gateway.runtime import verbs
from gateway.runtime.lookups import WrittenDevices
from gateway.runtime.verbs import VerbError
from gateway.runtime.written import Page

router = versioned("/devices", "devices")
DEVICES = "devices"
LABELS_MAX = 16
Device = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$",
        description="Its id: 1 to 64 letters, digits and . _ : -",
        examples=["kiosk-1"],
    ),
]
State = Literal[
    "idle", "offered", "waiting", "downloading", "downloaded", "verified", "staged", "trial", "committed",
    "rolled_back", "failed", "rejected", "canceled", "timed_out", "superseded",
]  # fmt: skip
"""Of `UpdateState`, by name."""


class LabelsView(msgspec.Struct, frozen=True):
    """What the registry says of a device."""

    device: str
    labels: dict[str, str]


class NewLabels(Request):
    """All labels of a device: others are taken away."""

    labels: Labels


class Devices(msgspec.Struct, frozen=True):
    """A page of devices in the order of their ids."""

    devices: list[TwinView]
    next: str | None


@router.get("", **shape(Devices))
async def list_devices(
    desk: Looked,
    label: Annotated[
        list[Annotated[str, Query(max_length=300, pattern="^[^:]+:")]],
        Query(
            max_length=LABELS_MAX,
            description="`name:value`; all of them.",
            examples=[["region:eu"]],
        ),
    ] = [],  # noqa: B006 - FastAPI copies defaults
    online: Annotated[bool | None, Query(description="Whether it is connected.")] = None,
    state: Annotated[State | None, Query(description="What it says it does.")] = None,
    version: Annotated[
        str, Query(max_length=200, description="What it runs: `id@semver`, or a digest in hex.")
    ] = "",
    prefix: Annotated[
        str,
        Query(
            max_length=limits.TEXT_CHARS_MAX, description="How its id begins.", examples=["kiosk-"]
        ),
    ] = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> Response:
    """A page of devices in the order of their ids; with a filter it may be short and still have a `next`."""
    found: Page = await desk.see(
        verbs.ListDevices(
            after=after_of(DEVICES, cursor), limit=limit, online=online, state=state or "",
            version=version, prefix=prefix, labels=dict(word.split(":", 1) for word in label),
        )
    )  # fmt: skip
    after = cursor_of(DEVICES, found.next)
    return desk.answer(WrittenDevices(found.raws, after), found.tag(after or ""))


@router.get("/{device}", **shape(TwinView))
async def show_device(desk: Looked, device: Device) -> Response:
    """One device: what is wanted of it, what it says."""
    return desk.answer(await desk.see(verbs.ShowDevice(device=device)))


@router.get("/{device}/labels", **shape(LabelsView))
async def show_labels(desk: Looked, device: Device) -> Response:
    """What the registry says of a device; its ETag changes with the labels alone."""
    view = await desk.see(verbs.ShowDevice(device=device))
    return desk.answer(LabelsView(device, view.labels))


@router.put("/{device}/labels", **shape(Said))
async def enroll_device(desk: Asked, device: Device, asked: NewLabels) -> Response:
    """Take a device into the registry, or give it other labels."""

    def look(core: Gateway) -> LabelsView | None:
        view = core.twin_view(device)
        return None if view is None else LabelsView(device, view.labels)

    if any(len(name) > 128 or len(value) > 256 for name, value in asked.labels.items()):
        raise VerbError("invalid", "expected names of 128 and values of 256 characters at most")
    return mutated(await desk.do(verbs.EnrollDevice(device=device, labels=asked.labels), look))
