"""What a route is given: who asks, the office, and how once and as-it-was are said in HTTP.

Decides the headers (``Authorization: Bearer``, ``Idempotency-Key``, ``If-Match``, ``If-None-Match``) and who is let
in how often. Leaves out what is done.

Rules: nobody is let in without a token, wherever they come from; a tag is compared in the turn of the mutation, not
before it; whoever has no good token is slowed down by address, whoever has one by its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Header, Request, Response

from devicesdk.wire.timebase import SECOND
from gateway.adapters.uploads import Uploads
from gateway.api.answers import answered, etag, quoted
from gateway.api.crowd import peer_of
from gateway.api.guard import SPAN
from gateway.api.limiter import ASKER, Limiter, TooOftenError
from gateway.config import HttpSection
from gateway.core.access.roles import Permission
from gateway.core.access.tokens import AccessError, Asker
from gateway.core.gateway import Gateway
from gateway.ports import AlarmTally, Blobs, Tracing, Untraced
from gateway.runtime.askable import Askable
from gateway.runtime.chronicle import Chronicle
from gateway.runtime.life import Guard
from gateway.runtime.office import KEY_CHARS_MAX, Office, Once
from gateway.runtime.spans import CURRENT
from gateway.runtime.tracing import METHOD
from gateway.runtime.verbs import AnyVerb, Reading

SCHEME: Final = "bearer"
KNOWN: Final = "known"
"""Where a request keeps its `Asker`."""


class Service(msgspec.Struct, frozen=True):
    """What the API stands on."""

    office: Office
    runtime: Askable
    blobs: Blobs
    wall_ms: Callable[[], int]
    uploads: Uploads | None = None
    """Where blobs arrive; None: they come by another way."""
    http: HttpSection = HttpSection()
    """Bounds."""
    alarms: AlarmTally = msgspec.field(default_factory=AlarmTally)
    """Counts of alarms, for Prometheus."""
    chronicle: Chronicle | None = None
    """What happened lately; None: nobody remembers."""
    names: tuple[str, ...] = ()
    """Host names of the certificate."""
    tracing: Tracing = msgspec.field(default_factory=Untraced)
    """Is told of requests."""


class Entrance:
    """Lets people in, as often as they may.

    Args:
        service: knows tokens.
    """

    def __init__(self, service: Service) -> None:
        self._office, said, self.tracing = service.office, service.http, service.tracing
        self._asks = Limiter(said.requests_per_s_max, said.requests_burst_max)
        self.failures = Limiter(said.failures_per_s_max, said.failures_burst_max)
        """Of addresses: refused before they were known."""

    def enter(self, token: str | None, address: str, now_ns: int) -> Asker:
        """Who asks.

        Raises:
            AccessError: nobody who may come in.
            TooOftenError: not now.
        """
        try:
            return self._who(token)
        except AccessError:
            # A good token is let in past it: a secret of 256 bits is not guessed, and whoever shares an address with
            # an attacker must not be locked out by them.
            _slow(self.failures, peer_of(address), now_ns)
            raise

    def pace(self, asker: Asker, now_ns: int) -> None:
        """Slow somebody down who is known; raises `TooOftenError`."""
        _slow(self._asks, asker.name, now_ns)

    def _who(self, token: str | None) -> Asker:
        if token is None:
            raise AccessError("unknown", "expected `Authorization: Bearer <token>`, found none")
        return self._office.who(token)

    def still(self, token: str) -> bool:
        """Whether a token is good still."""
        try:
            self._office.who(token)
        except AccessError:
            return False
        return True


def _slow(limiter: Limiter, name: str, now_ns: int) -> None:
    wait_ns = limiter.take(name, now_ns)
    if wait_ns:
        raise TooOftenError(
            f"expected {name} to ask less often: wait {-(-wait_ns // SECOND)} s", wait_ns
        )


class Desk:
    """One request: its asker and its headers.

    Args:
        request: as it came.
        service: what it is answered from.
        asker: who asks.
        key: ``Idempotency-Key``.
        if_match: of a mutation.
    """

    __slots__ = ("_if_match", "_key", "_request", "asker", "service")

    def __init__(
        self,
        request: Request,
        service: Service,
        asker: Asker,
        key: str | None = None,
        if_match: str | None = None,
    ) -> None:
        self._request, self.service, self.asker = request, service, asker
        self._key, self._if_match = key, if_match

    async def do(self, verb: AnyVerb, look: Callable[[Gateway], Any] | None = None) -> Any:
        """Do a verb for whoever asks.

        Args:
            verb: what.
            look: what ``If-Match`` speaks of; None: nothing.
        """
        once = None if self._key is None else Once(self._key, await self._fingerprint())
        return await self.service.office.do(self.asker, verb, once, self._guard(look))

    async def see(self, verb: Reading) -> Any:
        """Answer a question of whoever asks, as values of the core."""
        return await self.service.office.see(self.asker, verb)

    def may(self, permission: Permission) -> None:
        """Raise `VerbError` unless whoever asks may do this."""
        self.service.office.may(self.asker, permission)

    def answer(self, found: Any, digest: str = "") -> Response:
        """A response with its entity tag, made of a digest where there is one; or 304."""
        none_match = self._request.headers.get("if-none-match")
        return answered(found, none_match=none_match, tag=quoted(digest) if digest else "")

    async def _fingerprint(self) -> bytes:
        request = self._request
        words = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
        return sha256(words + await request.body()).digest()

    def _guard(self, look: Callable[[Gateway], Any] | None) -> Guard | None:
        wanted = self._if_match
        if wanted is None or wanted == "*" or look is None:
            return None

        def guard(core: Gateway) -> str:
            found = etag(look(core))
            if found in [word.strip() for word in wanted.split(",")]:
                return ""
            return f"expected it to be {wanted} still, found {found}: look again, then decide"

        return guard


async def service(request: Request) -> Service:
    """The service of the app that was asked."""
    found: Service = request.app.state.service
    return found


def token_of(request: Request) -> str | None:
    """The token that a request carries (RFC 6750, 2.1); None: none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == SCHEME else None


async def asker(request: Request) -> Asker:
    """Who asks; looked at once in a request.

    A route's one dependency, because FastAPI takes its time for each: of a small answer, a third.

    Raises:
        AccessError: nobody who may come in.
        TooOftenError: not now.
    """
    known: Asker | None = request.scope["state"].get(KNOWN)
    if known is not None:
        return known
    entrance: Entrance = request.app.state.entrance
    address = request.client.host if request.client is not None else "?"
    now_ns = int(asyncio.get_running_loop().time() * SECOND)
    found = entrance.enter(token_of(request), address, now_ns)
    request.scope["state"][ASKER] = found.name
    entrance.pace(found, now_ns)
    request.scope["state"][KNOWN] = found
    tracing = entrance.tracing
    if tracing.on:
        span = tracing.begin(
            f"request {request.method}", {METHOD: request.method},
            caller=request.headers.get("traceparent", ""),
        )  # fmt: skip
        request.scope["state"][SPAN] = span
        CURRENT.set(span)
    return found


async def _looking(request: Request) -> Desk:
    return Desk(request, request.app.state.service, await asker(request))


async def _asking(
    request: Request,
    asker: Annotated[Asker, Depends(asker)],  # before the headers are looked at
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=KEY_CHARS_MAX,
            description="Do it once, however often it is asked.",
        ),
    ] = None,
    if_match: Annotated[
        str | None, Header(description="Only if it is still what this ETag names.")
    ] = None,
) -> Desk:
    return Desk(request, request.app.state.service, asker, idempotency_key, if_match)


Looked = Annotated[Desk, Depends(_looking)]
"""The desk of a question."""
Asked = Annotated[Desk, Depends(_asking)]
"""The desk of a mutation."""
