"""What a route is given: who asks, the office, and how once and as-it-was are said in HTTP.

Decides the headers (``Authorization: Bearer``, ``Idempotency-Key``, ``If-Match``) and entity tags. Leaves out
what is done.

Rules: nobody is let in without a token, wherever they come from; an entity tag is the hash of what was
answered, so what looks the same is the same; a tag is compared in the turn of the mutation, not before it.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Header, Request, Response
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from gateway.core.access.tokens import AccessError, Asker
from gateway.core.gateway import Gateway
from gateway.ports import Blobs
from gateway.runtime.life import Guard
from gateway.runtime.office import KEY_CHARS_MAX, Office, Once
from gateway.runtime.runtime import Runtime
from gateway.runtime.verbs import AnyVerb

TAG_HEX: Final = 32
_BEARER = HTTPBearer(auto_error=False, description="A token: `fleetdrill token make`.")


class Service(msgspec.Struct, frozen=True):
    """What the API stands on."""

    office: Office
    runtime: Runtime
    blobs: Blobs
    wall_ms: Callable[[], int]


def service(request: Request) -> Service:
    """The service of the app that was asked."""
    found: Service = request.app.state.service
    return found


def asker(
    service: Annotated[Service, Depends(service)],
    said: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Asker:
    """Who asks.

    Raises:
        AccessError: nobody who may come in.
    """
    if said is None:
        raise AccessError("unknown", "expected `Authorization: Bearer <token>`, found none")
    return service.office.who(said.credentials)


class Desk:
    """One request: its asker and its headers."""

    def __init__(
        self,
        request: Request,
        service: Annotated[Service, Depends(service)],
        asker: Annotated[Asker, Depends(asker)],
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
    ) -> None:
        self._request, self.service, self.asker = request, service, asker
        self._key, self._if_match = idempotency_key, if_match

    async def do(self, verb: AnyVerb, look: Callable[[Gateway], Any] | None = None) -> Any:
        """Do a verb for whoever asks.

        Args:
            verb: what.
            look: what ``If-Match`` speaks of; None: nothing.
        """
        once = None if self._key is None else Once(self._key, await self._fingerprint())
        return await self.service.office.do(self.asker, verb, once, self._guard(look))

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


Asked = Annotated[Desk, Depends(Desk)]


def etag(found: Any) -> str:
    """The entity tag of something that is answered."""
    return f'"{sha256(msgspec.json.encode(found)).hexdigest()[:TAG_HEX]}"'


def tagged(response: Response, found: Any) -> Any:
    """Set the entity tag of what is answered."""
    response.headers["ETag"] = etag(found)
    return found
