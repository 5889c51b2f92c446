"""Requests that are refused by how they come, before anybody asks who sends them.

Decides by which names this gateway may be asked, from which pages something may be changed, which bodies are
read, and how long a head may be. Leaves out tokens (desk.py) and how much of a body is read (guard.py).

Theory of operation. A token is sent by a program or by our own page, never by a browser on its own, so a page of
another site has nothing to forge with; what stands here holds also where such a page has come by a token, or
the browser is told by a stranger's DNS that the page's own name is our address (DNS rebinding).

Rules: a browser says where a request comes from by ``Sec-Fetch-Site``, and an older one by ``Origin`` (Fetch,
section 3.2): whoever says neither is no browser. A form cannot send JSON. A body has one length (RFC 9112, 6.1).
An address is no name, so no DNS can lie about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from fastapi.responses import JSONResponse
from starlette.types import Scope

from gateway.api.problems import problem

HEAD_BYTES_MAX: Final = 16 * 1024
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
VERSIONS: Final = frozenset({"1.1", "1.0"})
STREAMED: Final = "/v1/blobs/"
LOOPBACK: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_OWN: Final = frozenset({b"same-origin", b"none"})
_CLOSE: Final = {"Connection": "close"}


class Gate:
    """Looks at heads.

    Args:
        names: by which this gateway is asked, beside loopback's and addresses; ``*.`` begins a wildcard.
    """

    __slots__ = ("_below", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        said = [name.lower().rstrip(".") for name in names]
        self._names = LOOPBACK | {name for name in said if not name.startswith("*.")}
        self._below = tuple(name[1:] for name in said if name.startswith("*."))

    def refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> JSONResponse | None:
        """What is wrong with a request; None: nothing."""
        length = sum(len(name) + len(value) for name, value in scope["headers"])
        length += len(scope["raw_path"]) + len(scope["query_string"])
        if length > HEAD_BYTES_MAX:
            detail = f"expected a head of at most {HEAD_BYTES_MAX} bytes, found {length}"
            return problem(431, detail, headers=_CLOSE)
        if scope["http_version"] not in VERSIONS:
            return problem(505, "expected HTTP/1.1 or HTTP/1.0, found another", headers=_CLOSE)
        if b"transfer-encoding" in headers and (
            b"content-length" in headers or scope["http_version"] == "1.0"
        ):
            # Somebody before us may have believed the other length: what follows may be smuggled.
            return problem(400, "expected one length of the body, found two", headers=_CLOSE)
        if not self.known(headers.get(b"host", b"")):
            host = headers.get(b"host", b"")[:100].decode("latin1")
            detail = f"expected a name of this gateway, found {host!r}: name it in `hosts` of [http], or ask by address"
            return problem(421, detail, "host")
        if scope["method"] in SAFE:
            return None
        return _forged(headers) or _unreadable(scope, headers)

    def known(self, host: bytes) -> bool:
        """Whether this gateway goes by a name."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].decode().strip("[]").lower().rstrip(".")
        if name in self._names or _is_address(name):
            return True
        _, dot, parent = name.partition(".")
        return f"{dot}{parent}" in self._below


def _forged(headers: dict[bytes, bytes]) -> JSONResponse | None:
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        own = site in _OWN
    else:
        own = origin is None or origin.partition(b"://")[2].lower() == headers[b"host"].lower()
    if own:
        return None
    shown = (origin or site or b"")[:100].decode("latin1")
    return problem(403, f"expected our own page or a program, found {shown!r}", "cross-site")


def _unreadable(scope: Scope, headers: dict[bytes, bytes]) -> JSONResponse | None:
    has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
    if not has_body or scope["path"].startswith(STREAMED):
        return None
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind == b"application/json":
        return None
    shown = kind[:60].decode("latin1")
    return problem(415, f"expected `Content-Type: application/json`, found {shown!r}")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
