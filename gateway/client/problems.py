"""Errors of the HTTP API, as those that the door says.

Decides which `VerbError` a problem (RFC 9457) is. Leaves out asking again (http.py) and exit codes
(gateway/commands/asking.py).

Rules: a problem's own words come first, because they say what was expected, found and to be done; an answer that is
no problem did not come from a gateway, and that is said.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.runtime.knock import NoGatewayError
from gateway.runtime.verbs import VerbError

KIND: Final = "/problems/"
AGAIN: Final = frozenset({429, 502, 503, 504})
"""Statuses that say that nothing was done, or nothing is known of it, and that asking again may help."""
_CODES: Final = {
    400: "invalid", 401: "forbidden", 403: "forbidden", 404: "unknown", 405: "invalid", 408: "busy",
    409: "refused", 412: "changed", 413: "invalid", 415: "invalid", 416: "invalid", 422: "invalid",
    429: "too-often", 500: "broken", 503: "busy",
}  # fmt: skip
_GET_A_TOKEN: Final = "; give a token that is good, by --token-file or FLEETDRILL_TOKEN"  # noqa: S105 - words
SHOWN_CHARS_MAX: Final = 200


class Problem(msgspec.Struct, frozen=True):
    """What is read of a problem."""

    detail: str
    type: str = ""
    errors: list[dict[str, Any]] = []


def error_of(url: str, status: int, media: str, body: bytes) -> Exception:
    """The error that an answer is.

    Args:
        url: of the gateway.
        status: of the answer, 300 or more.
        media: its media type.
        body: its bytes.
    """
    found = _problem(body) if media.startswith("application/problem+json") else None
    if found is None:
        return _stranger(url, status, media)
    code = found.type.removeprefix(KIND) if found.type.startswith(KIND) else ""
    if status == 401:
        return VerbError("forbidden", found.detail + _GET_A_TOKEN)
    return VerbError(code or _CODES.get(status, "refused"), _words(found))


def _words(found: Problem) -> str:
    """The detail, and each field that is wrong where there are several."""
    if len(found.errors) < 2:
        return found.detail
    wrong = [f"{one.get('at', '?')}: {one.get('message', '?')}" for one in found.errors]
    return "; ".join(wrong)


def _problem(body: bytes) -> Problem | None:
    try:
        return msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _stranger(url: str, status: int, media: str) -> NoGatewayError:
    kind = media.partition(";")[0][:SHOWN_CHARS_MAX] or "nothing"
    if 300 <= status < 400:
        return NoGatewayError(
            f"expected a gateway at {url}, found {status}, a way to elsewhere: give that URL, because a "
            "token is not sent where somebody points to"
        )
    return NoGatewayError(
        f"expected a gateway at {url}, found {status} with {kind}: is it the address of its API, without "
        "a path?"
    )
