"""Debug mode: who may look into a device, why and until when."""

from __future__ import annotations

import msgspec
from fastapi import Response
from pydantic import Field

from devicesdk.wire import limits
from gateway.api.answers import Said, mutated, shape
from gateway.api.desk import Asked, Desk, Looked
from gateway.api.models import Duration, Request
from gateway.api.paging import LIMIT, Cursor, Limit, after_of, cursor_of, page
from gateway.api.router import versioned
from gateway.api.routes.devices import Device
from gateway.core.collect.debugged import DebugWindowView
from gateway.core.control.debugging import DebugView
from gateway.runtime import verbs

router = versioned("/debug-grants", "debug")
GRANTS, TOLD = "debug-grants", "debug-told"


class Grants(msgspec.Struct, frozen=True):
    """Grants of debug mode, the oldest first."""

    grants: list[DebugView]
    next: str | None


class Told(msgspec.Struct, frozen=True):
    """What a device told in debug mode, window by window."""

    windows: list[DebugWindowView]
    next: str | None


class NewGrant(Request):
    """Ask for debug mode; the device's owner must have agreed, on the device."""

    device: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$", examples=["kiosk-1"])
    lasts: Duration = "30m"
    why: str = Field(min_length=1, max_length=limits.REASON_CHARS_MAX, examples=["reads 3 for 8"])


class Reason(Request):
    """Why."""

    why: str = Field(min_length=1, max_length=limits.REASON_CHARS_MAX, examples=["found it"])


@router.get("", **shape(Grants))
async def list_debug_grants(desk: Looked, cursor: Cursor = "", limit: Limit = LIMIT) -> Response:
    """A page of grants: who, why, when, and how they ended."""
    found = sorted(await desk.see(verbs.ListDebug()), key=_key)
    grants, then = page(found, _key, after_of(GRANTS, cursor), limit)
    return desk.answer(Grants(grants, cursor_of(GRANTS, then)))


@router.post("", **shape(Said, 201, "It is granted."))
async def grant_debug(desk: Asked, asked: NewGrant) -> Response:
    """Let a device be in debug mode for a while."""
    verb = verbs.GrantDebug(device=asked.device, lasts=asked.lasts, by=_by(desk), why=asked.why)
    return mutated(await desk.do(verb), 201)


@router.post("/{device}/revoke", **shape(Said))
async def revoke_debug(desk: Asked, device: Device, asked: Reason) -> Response:
    """End a device's debug mode."""
    return mutated(await desk.do(verbs.RevokeDebug(device=device, by=_by(desk), why=asked.why)))


@router.get("/{device}/told", **shape(Told))
async def show_debug_told(
    desk: Looked, device: Device, cursor: Cursor = "", limit: Limit = LIMIT
) -> Response:
    """A page of what a device told in debug mode, by grant, boot and window."""
    found = sorted(await desk.see(verbs.ShowDebug(device=device)), key=_window_key)
    windows, then = page(found, _window_key, after_of(TOLD, cursor), limit)
    return desk.answer(Told(windows, cursor_of(TOLD, then)))


def _by(desk: Desk) -> str:
    return desk.asker.name[: limits.REASON_CHARS_MAX]


def _key(view: DebugView) -> str:
    return f"{view.granted_ms:015d}/{view.device}/{view.number:09d}"


def _window_key(view: DebugWindowView) -> str:
    return f"{view.grant:012d}/{view.boot_id:020d}/{view.seq:020d}"
