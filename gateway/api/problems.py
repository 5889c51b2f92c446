"""Errors as problem details (RFC 9457).

Decides which status a code has, and that every error of the API, those of the framework too, has this one
form. Leaves out the words, which are those of whoever refused.

Rules: a problem says what was expected, what was found and what to do; nothing of the inside is told by an
error that nobody foresaw (guard.py).
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from devicesdk.wire.timebase import SECOND
from gateway.api.limiter import TooOftenError
from gateway.core.access.tokens import AccessError
from gateway.ports import BlobError
from gateway.runtime.verbs import VerbError

MEDIA: Final = "application/problem+json"
RETRY_S: Final = 1
STATUS: Final[dict[str, int]] = {
    "invalid": 422,
    "unknown": 404,
    "refused": 409,
    "changed": 412,
    "exists": 409,
    "conflict": 409,
    "mismatch": 422,
    "forbidden": 403,
    "busy": 503,
    "stopped": 503,
}
"""By the code of a `VerbError`."""
TITLES: Final[dict[int, str]] = {
    400: "The request cannot be read",
    401: "Somebody unknown",
    403: "Not allowed",
    404: "No such thing",
    405: "Not a method of this",
    408: "Too slow",
    409: "Not as things stand",
    412: "Changed since you looked",
    413: "Too much",
    415: "Not a kind that is understood",
    416: "Not that part",
    421: "Not this gateway",
    422: "Not valid",
    428: "Say what you looked at",
    429: "Too often",
    431: "Too long a head",
    500: "The gateway failed at this",
    501: "Not known here",
    503: "Not now",
    505: "Not this HTTP",
}


HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'",
}
"""Of every answer, an error's too: what a browser may do with it."""


class Problem(BaseModel):
    """An error; RFC 9457."""

    type: str = Field(
        description="A URI reference for the kind of problem.", examples=["/problems/unknown"]
    )
    title: str
    status: int
    detail: str = Field(description="What was expected, what was found, what to do.")
    errors: list[dict[str, Any]] = Field(
        default=[], description="By field, where fields are wrong."
    )


def problem(
    status: int,
    detail: str,
    code: str = "",
    errors: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """A response that tells a problem."""
    return JSONResponse(body_of(status, detail, code, errors), status, headers, media_type=MEDIA)


def body_of(
    status: int, detail: str, code: str = "", errors: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """What such a response holds."""
    kind = f"/problems/{code}" if code else "about:blank"
    title = TITLES.get(status, "Error")
    return Problem(
        type=kind, title=title, status=status, detail=detail, errors=errors or []
    ).model_dump()


def install(app: FastAPI) -> None:
    """Answer every error of an app by a problem."""
    app.add_exception_handler(VerbError, _verb_error)
    app.add_exception_handler(AccessError, _access_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(TooOftenError, _too_often)
    app.add_exception_handler(BlobError, _no_blob)


def _verb_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, VerbError)
    status = STATUS.get(error.code, 500)
    headers = {"Retry-After": str(RETRY_S)} if status == 503 else None
    return problem(status, str(error), error.code, headers=headers)


def _access_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AccessError)
    headers = {
        "WWW-Authenticate": f'Bearer error="invalid_token", error_description="{error.code}"'
    }
    return problem(401, str(error), error.code, headers=headers)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [
        {"at": ".".join(str(word) for word in one["loc"]), "message": one["msg"]}
        for one in error.errors()
    ]
    first = found[0] if found else {"at": "?", "message": "?"}
    return problem(422, f"{first['at']}: {first['message']}", "invalid", found)


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, str(error.detail), headers=headers)


def _too_often(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TooOftenError)
    headers = {"Retry-After": str(-(-error.wait_ns // SECOND))}
    return problem(429, str(error), "too-often", headers=headers)


def _no_blob(_: Request, error: Exception) -> JSONResponse:
    return problem(404, str(error), "unknown")
