"""The gateway's own app over a rehearsed gateway: the same routes, the same console, and a player beside them.

Decides what is put on top of the app (gateway/api/app.py): the player's routes and its module, who may come in, and that nothing can
be changed. Leaves out all answers.

Rules: only this machine asks, by a name of this machine: a page of somebody else's that has its own name point here (DNS
rebinding) is refused. The page gets a token of the role viewer, as unguessable as any, from a script that no other page can load;
whoever has it may look and play. Every mutation of the gateway's API is refused before it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from devicesim.console import routes
from devicesim.console.player import Player
from devicesim.console.runtime import REFUSAL, RehearsedRuntime
from gateway.adapters.blobs import FileBlobs
from gateway.api.app import make_app
from gateway.api.desk import Service
from gateway.api.problems import problem
from gateway.api.router import VERSION
from gateway.config import HttpSection
from gateway.console import ADDRESS as CONSOLE
from gateway.console import FOLDER as PAGE
from gateway.runtime.office import Office

STATIC: Final = Path(__file__).parent / "static"
HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
LOOKING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
QUESTIONS: Final = ("/v1/rollouts/preview",)
"""Asked by POST, and change nothing."""
_BEFORE: Final = '<script type="module" src="js/main.js">'
_MORE: Final = (
    '<link rel="stylesheet" href="/player/player.css">\n'
    '  <script src="/player/token.js"></script>\n'
    '  <script type="module" src="/player/player.js"></script>\n  '
)
HTTP: Final = HttpSection(requests_per_s_max=1_000.0, requests_burst_max=2_000)


class Closed:
    """Middleware: lets questions through that come from this machine.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = dict(scope["headers"]).get(b"host", b"").decode("latin1")
        if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
            told = problem(
                403, f"expected to be asked as 127.0.0.1 or localhost, found {host[:100]!r}",
                "forbidden",
            )  # fmt: skip
        elif scope["method"] not in LOOKING and not _harmless(scope["path"]):
            told = problem(409, REFUSAL, "rehearsal")
        else:
            await self._app(scope, receive, send)
            return
        await told(scope, receive, send)


def _harmless(path: str) -> bool:
    return path in QUESTIONS or path.startswith(f"/{VERSION}{routes.ADDRESS}/")


def make_rehearsal(
    player: Player, office: Office, runtime: RehearsedRuntime, blobs: FileBlobs
) -> FastAPI:
    """The app of one rehearsal.

    Args:
        player: plays the run.
        office: answers of it.
        runtime: the same, and knows the page's token.
        blobs: none are in it.
    """
    app = make_app(
        Service(
            office=office,
            runtime=runtime,
            blobs=blobs,
            wall_ms=runtime.wall_ms,
            http=HTTP,
            chronicle=player.memory,
        )
    )
    app.state.player = player
    app.include_router(routes.router, prefix=f"/{VERSION}")
    index = (PAGE / "index.html").read_text()
    assert _BEFORE in index, "the console's page begins otherwise now"
    page = index.replace(_BEFORE, _MORE + _BEFORE).encode()
    script = f'sessionStorage.setItem("fleetdrill.token", "{runtime.token}");\n'.encode()

    async def show(_: Request) -> Response:
        return Response(page, headers={"Cache-Control": "no-store"}, media_type="text/html")

    async def token(_: Request) -> Response:
        headers = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"}
        return Response(script, headers=headers, media_type="text/javascript")

    first = [
        Route(f"{CONSOLE}/", show),
        Route(f"{CONSOLE}/index.html", show),
        Route("/player/token.js", token),
    ]
    app.router.routes[:0] = first
    app.mount("/player", StaticFiles(directory=STATIC), name="player")
    app.user_middleware.append(Middleware(Closed))  # inside of what is around every request
    return app
