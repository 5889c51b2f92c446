"""The console: a page that browsers run, and where it is served.

Decides its address, ``/console/``, and that ``/`` and ``/console`` lead there. Leaves out everything it shows: it asks ``/v1`` like any
other client, with the token of whoever sits in front of it.

Rules: no file of another host and nothing inline, as the app's Content-Security-Policy demands; files carry entity tags
and are asked for again each time, so that an updated gateway never talks to an old page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(__file__).parent / "static"
ADDRESS: Final = "/console"


class _Files(StaticFiles):
    """Files that a browser asks for again: a 304 costs little."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount(app: FastAPI) -> None:
    """Serve the console beside an app's routes."""
    for path in ("/", ADDRESS):
        app.add_api_route(path, _to_console, include_in_schema=False)
    app.mount(ADDRESS, _Files(directory=FOLDER, html=True), name="console")


async def _to_console() -> RedirectResponse:
    return RedirectResponse(f"{ADDRESS}/")
