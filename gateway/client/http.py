"""The way to a gateway over HTTP.

Decides patience: how long an answer is waited for, when something is asked again and when not. Leaves out which
request a verb is (routes.py), which error an answer is (problems.py), and uploads (sending.py).

Rules: one idempotency key for each verb, the same whenever it is asked again, so that a retry after a lost answer
does it once; what heeds no key is asked again only where it surely was not done; a token is in one header and
nowhere else: in no message, no URL, and never sent where a redirect points to.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import msgspec

from devicesdk.wire.timebase import SECOND
from gateway.client.problems import AGAIN, error_of
from gateway.client.routes import PREFIX, Request, request_of, route_of
from gateway.client.sending import send_blob
from gateway.client.streams import MEDIA, read_events
from gateway.client.way import NoEventsError, Page, Told
from gateway.ports import BlobError
from gateway.runtime.backoff import Backoff
from gateway.runtime.knock import NoGatewayError
from gateway.runtime.verbs import AnyVerb, VerbError

TRIES_MAX: Final = 5
PACE: Final = 0.2
"""Of the gateway's own back-off (1 s to 15 s): somebody waits at a terminal."""
RETRY_AFTER_S_MAX: Final = 10.0
CONNECT_S_MAX: Final = 5.0
ANSWER_S_MAX: Final = 65.0
"""The gateway itself gives up after a minute."""
SILENCE_S_MAX: Final = 45.0
"""Of a stream of events, which says every 15 s that it is there."""
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
KEY_BYTES: Final = 16


class Secret:
    """A token, which no message and no `repr` shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(...)"

    def said(self) -> str:
        """As a header."""
        return f"Bearer {self._text}"


class HttpWay:
    """A way over HTTP.

    Args:
        url: of the gateway, without a path.
        token: who asks.
        trust: which certificates are believed; None: plain HTTP.
        entropy: gives so many unguessable bytes.
        sleep: waits so many seconds.
        proxied: whether proxies of the environment are used.
        key: idempotency key of the first mutation; empty: a new one.
        answer_s_max: how long an answer is waited for.
    """

    def __init__(
        self,
        url: str,
        token: Secret,
        *,
        trust: ssl.SSLContext | None,
        entropy: Callable[[int], bytes],
        sleep: Callable[[float], object],
        proxied: bool = True,
        key: str = "",
        answer_s_max: float = ANSWER_S_MAX,
    ) -> None:
        self._url, self._entropy, self._sleep, self._key = url, entropy, sleep, key
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": token.said(), "User-Agent": "fleetdrill"},
            verify=trust or False,
            timeout=httpx.Timeout(answer_s_max, connect=CONNECT_S_MAX),
            follow_redirects=False,
            trust_env=proxied,
        )

    @property
    def where(self) -> str:
        """The URL."""
        return self._url

    def ask(self, verb: AnyVerb) -> Any:
        """What a verb answers; a list is put together of its pages."""
        route = route_of(verb)
        if not route.listed:
            return self.said(request_of(verb))
        items: list[Any] = []
        after = ""
        while True:
            page = self.page(verb, after)
            items += page.found[route.listed]
            after = page.next
            if not after:
                break
        return items

    def page(self, verb: AnyVerb, after: str = "") -> Page:
        """One page of a list; `after` is a cursor."""
        route = route_of(verb)
        found = self.said(request_of(verb, after))
        take = route.take
        if take is not None:
            found[route.listed] = [take(one) for one in found[route.listed]]
        return Page(found, found.get("next") or "")

    def holds(self, digest: bytes) -> bool:
        """Whether the gateway has a blob, whole."""
        answer, _ = self.send(Request("HEAD", f"{PREFIX}/blobs/{digest.hex()}", keyed=True), plain=True)  # fmt: skip
        return answer.status_code == 200 and answer.headers.get("upload-complete") == "?1"

    def store(self, blob: bytes, told: Told) -> bytes:
        """Send a blob in parts, from where it stopped last."""
        return send_blob(self, blob, told)

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """A part of a blob."""
        request = Request("GET", f"{PREFIX}/blobs/{digest.hex()}", keyed=True)
        try:
            _, body = self.send(request, headers={"Range": f"bytes={offset}-{offset + size - 1}"})
        except VerbError as error:
            if error.code == "unknown":
                raise BlobError(str(error)) from error
            raise
        return body

    def whoami(self) -> dict[str, Any]:
        """Whose token it is."""
        found: dict[str, Any] = self.said(Request("GET", f"{PREFIX}/whoami", keyed=True))
        return found

    def events(self, last: str) -> Iterator[tuple[str, str, Any]]:
        """States as they change, over one connection."""
        headers = {"Accept": MEDIA} | ({"Last-Event-ID": last} if last else {})
        patience = httpx.Timeout(SILENCE_S_MAX, connect=CONNECT_S_MAX)
        path = f"{PREFIX}/events"
        try:
            with (
                self._explained(),
                self._client.stream("GET", path, headers=headers, timeout=patience) as answer,
            ):
                status = answer.status_code
                if status in AGAIN or status == 404:
                    raise NoEventsError(f"expected events, found {status}")
                if status != 200:
                    media = answer.headers.get("content-type", "")
                    raise error_of(self._url, status, media, answer.read())
                yield from read_events(answer.iter_lines())
        except httpx.TransportError as wrong:
            self._hopeless(wrong)
            raise self._gone(wrong, Request("GET", path), {}) from wrong

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    # -- one request ------------------------------------------------------------------------------

    def said(self, request: Request) -> Any:
        """What a request is answered, as JSON values."""
        return msgspec.json.decode(self.send(request)[1])

    def send(
        self,
        request: Request,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | memoryview | None = None,
        plain: bool = False,
    ) -> tuple[httpx.Response, bytes]:
        """Ask, and again where that may help and cannot do it twice.

        Args:
            request: what.
            headers: more of them.
            content: a body that is no JSON.
            plain: give answers that are errors back, too.

        Raises:
            VerbError: it was not done.
            NoGatewayError: nobody answers.
        """
        headers = dict(headers or {})
        if request.keyed and request.method not in {"GET", "HEAD"} and content is None:
            headers["Idempotency-Key"] = self._fresh_key()
        if request.body is not None:
            content = msgspec.json.encode(request.body)
            headers["Content-Type"] = "application/json"
        backoff = Backoff(int.from_bytes(self._entropy(8)), self._url)
        for left in range(TRIES_MAX - 1, -1, -1):
            try:
                with self._explained():
                    answer, body = self._once(request, headers, content)
                error = self._error(answer, body)
            except httpx.TransportError as wrong:
                self._hopeless(wrong)
                unsent = isinstance(wrong, httpx.ConnectError | httpx.ConnectTimeout)
                if not left or not (unsent or request.keyed):
                    raise self._gone(wrong, request, headers) from wrong
                self._sleep(PACE * backoff.next() / SECOND)
                continue
            if error is None:
                return answer, body
            if left and _later(answer, error, request):
                self._sleep(_wait_s(answer, backoff))
            elif plain:
                return answer, body
            else:
                raise error
        raise AssertionError("the last try answers or raises")

    def _once(
        self, request: Request, headers: dict[str, str], content: bytes | memoryview | None
    ) -> tuple[httpx.Response, bytes]:
        body = None if content is None else bytes(content)
        with self._client.stream(
            request.method, request.path, params=list(request.query), headers=headers, content=body
        ) as answer:
            found = bytearray()
            for piece in answer.iter_bytes():
                found += piece
                if len(found) > ANSWER_BYTES_MAX:
                    raise NoGatewayError(
                        f"expected at most {ANSWER_BYTES_MAX} bytes from {self._url}, found more"
                    )
            return answer, bytes(found)

    def _error(self, answer: httpx.Response, body: bytes) -> Exception | None:
        if answer.status_code < 300:
            return None
        return error_of(self._url, answer.status_code, answer.headers.get("content-type", ""), body)

    def _fresh_key(self) -> str:
        """The key that was given, once; then new ones."""
        given, self._key = self._key, ""
        return given or f"cli-{self._entropy(KEY_BYTES).hex()}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what asking again cannot help into words."""
        try:
            yield
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise ValueError(f"expected a URL and a token that can be sent, found: {error}") from None  # fmt: skip

    def _hopeless(self, wrong: httpx.TransportError) -> None:
        said = str(wrong)
        if isinstance(wrong, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in said:
            raise ValueError(
                f"expected a certificate of {self._url} that is trusted, found: {said}: name its authority "
                "by --ca"
            ) from wrong

    def _gone(self, wrong: Exception, request: Request, headers: dict[str, str]) -> NoGatewayError:
        """Nobody answers, and what to do about it."""
        key = headers.get("Idempotency-Key", "")
        kind = str(wrong) or type(wrong).__name__
        said = f"expected a gateway at {self._url}, found none that answers ({kind})"
        if isinstance(wrong, httpx.ConnectError | httpx.ConnectTimeout):
            return NoGatewayError(
                f"{said}: does it run, and is this its address (--url, or FLEETDRILL_URL)? `make serve` starts one "
                "to play with"
            )
        if key:
            return NoGatewayError(
                f"{said}: it may be done; ask the same again with --once {key}, which does it once"
            )
        if request.method == "GET":
            return NoGatewayError(f"{said}: ask again")
        return NoGatewayError(f"{said}: it may be done: look before you ask again")


def _later(answer: httpx.Response, error: Exception, request: Request) -> bool:
    """Whether asking again may help, and cannot do it twice."""
    if isinstance(error, VerbError) and error.code == "conflict":
        return True  # the same key is under way: its answer comes
    if answer.status_code == 503 and isinstance(error, VerbError) and error.code == "busy":
        return True
    if answer.status_code == 429:
        return True
    return answer.status_code in AGAIN and request.keyed


def _wait_s(answer: httpx.Response, backoff: Backoff) -> float:
    """How long until the next try: as long as the gateway says, and a little apart from others."""
    said = answer.headers.get("retry-after", "")
    asked = float(said) if said.isdecimal() else 0.0
    return min(asked, RETRY_AFTER_S_MAX) + PACE * backoff.next() / SECOND
