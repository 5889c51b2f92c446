"""Routers whose routes know their whole path.

Decides the version in every path, by what name the document knows an operation, and that who asks is looked at first.
Leaves out the routes.

Rules: of what a stranger sent nothing is read; routes are handed to the app as they are, not included by it: of an included router FastAPI (0.165) matches every
route twice for each request, which took a quarter of the time of a small answer.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute

from gateway.api.desk import asker

VERSION: Final = "v1"


class KnownRoute(APIRoute):
    """A route for those who are known: FastAPI reads a body before it asks a dependency who sent it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request; raises `AccessError` or `TooOftenError` before it is read."""
        answer = super().get_route_handler()

        async def look_first(request: Request) -> Response:
            await asker(request)
            return await answer(request)

        return look_first


def versioned(prefix: str = "", tag: str = "") -> APIRouter:
    """A router below ``/v1``.

    Args:
        prefix: of its paths.
        tag: of its operations.
    """
    return _router(f"/{VERSION}{prefix}", tag, KnownRoute)


def plain(tag: str) -> APIRouter:
    """A router at the root."""
    return _router("", tag, APIRoute)


def take(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Let an app answer their routes, the first that matches."""
    for router in routers:
        app.router.routes.extend(router.routes)


def _router(prefix: str, tag: str, route: type[APIRoute]) -> APIRouter:
    return APIRouter(
        prefix=prefix, tags=[tag] if tag else [], generate_unique_id_function=_name,
        redirect_slashes=False, route_class=route,
    )  # fmt: skip


def _name(route: APIRoute) -> str:
    return route.name
