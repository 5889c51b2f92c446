"""The app: routes under /v1, health beside them.

Decides what is mounted where, and the headers that every answer carries. Leaves out the routes, and listening
(server.py).

Rules: an answer says what may be done with it (no sniffing, no framing, no caching of what needs a token); a body
larger than `BODY_BYTES_MAX` is refused before it is read, except where a route streams it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response

from gateway.api import problems
from gateway.api.desk import Service
from gateway.api.problems import Problem, problem
from gateway.api.routes import health, rollouts

BODY_BYTES_MAX: Final = 256 * 1024
"""Of a JSON body, bytes."""
STREAMED: Final = ("/v1/blobs/",)
VERSION: Final = "v1"
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}
_ERRORS: Final = {
    code: {"model": Problem, "description": problems.TITLES[code]}
    for code in (401, 403, 404, 409, 412, 413, 422, 429, 503)
}
ROUTERS: Final[tuple[APIRouter, ...]] = (rollouts.router,)

Next = Callable[[Request], Awaitable[Response]]


def make_app(service: Service) -> FastAPI:
    """The app of one gateway."""
    app = FastAPI(
        title="fleetdrill gateway",
        version=VERSION,
        summary="Models and flags for a fleet: ask for what should be, see what is.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.service = service
    problems.install(app)
    app.middleware("http")(_guarded)
    app.include_router(health.router)
    for router in ROUTERS:
        app.include_router(router, prefix=f"/{VERSION}", responses=_ERRORS)  # type: ignore[arg-type]
    return app


async def _guarded(request: Request, go_on: Next) -> Response:
    """Refuse what is too long, and put the headers on whatever is answered."""
    length = request.headers.get("content-length", "0")
    if not request.url.path.startswith(STREAMED) and (
        not length.isdigit() or int(length) > BODY_BYTES_MAX
    ):
        response: Response = problem(
            413, f"expected at most {BODY_BYTES_MAX} bytes, found {length}"
        )
    else:
        response = await go_on(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if "authorization" in request.headers:
        response.headers.setdefault("Cache-Control", "no-store")
    return response
