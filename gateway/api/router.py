"""Routers whose routes know their whole path.

Decides the version in every path, and by what name the document knows an operation. Leaves out the routes.

Rules: routes are handed to the app as they are, not included by it: of an included router FastAPI (0.165) matches every
route twice for each request, which took a quarter of the time of a small answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

VERSION: Final = "v1"


def versioned(prefix: str = "", tag: str = "") -> APIRouter:
    """A router below ``/v1``.

    Args:
        prefix: of its paths.
        tag: of its operations.
    """
    return _router(f"/{VERSION}{prefix}", tag)


def plain(tag: str) -> APIRouter:
    """A router at the root."""
    return _router("", tag)


def take(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Let an app answer their routes, the first that matches."""
    for router in routers:
        app.router.routes.extend(router.routes)


def _router(prefix: str, tag: str) -> APIRouter:
    return APIRouter(
        prefix=prefix, tags=[tag] if tag else [], generate_unique_id_function=_name,
        redirect_slashes=False,
    )  # fmt: skip


def _name(route: APIRoute) -> str:
    return route.name
