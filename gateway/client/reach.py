"""Which way a command goes: over HTTP, or by the door of a state folder.

Decides the order in which the command line and the environment are believed, and where a token may come from. Leaves
out the ways themselves (http.py, door.py).

Order: ``--url``, then ``--state``, then ``FLEETDRILL_URL``, then the state folder of this directory. See
docs/adr/0020-two-ways-to-a-gateway.md for why a state folder is reached by its door.

Rules: a token is read from a file or the environment, never from the command line, where everybody on the machine
could read it; it is not sent in the clear beyond this machine unless that was said; no message shows it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from gateway.client.way import Way

STATE: Final = Path("fleetdrill-state")
URL_VARIABLE: Final = "FLEETDRILL_URL"
TOKEN_VARIABLE: Final = "FLEETDRILL_TOKEN"  # noqa: S105 - a name
TOKEN_FILE_VARIABLE: Final = "FLEETDRILL_TOKEN_FILE"  # noqa: S105 - a name
CA_VARIABLE: Final = "FLEETDRILL_CA"
TOKEN_BYTES_MAX: Final = 1_024
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Where(msgspec.Struct, frozen=True):
    """What was said of a way."""

    url: str = ""
    state: Path | None = None
    """None: not said."""
    token_file: Path | None = None
    ca: Path | None = None
    plain: bool = False
    """A token may go in the clear beyond this machine."""
    once: str = ""
    """Idempotency key of the command."""


def reach(
    where: Where,
    env: Mapping[str, str],
    entropy: Callable[[int], bytes],
    sleep: Callable[[float], object],
    answer_s_max: float | None = None,
) -> Way:
    """The way to a gateway; asks nothing yet.

    Args:
        where: what was said.
        env: the environment.
        entropy: gives so many unguessable bytes.
        sleep: waits so many seconds.
        answer_s_max: how long an answer is waited for; None: as long as is usual.

    Raises:
        ValueError: it cannot be gone, or a file cannot be read.
    """
    url = where.url or ("" if where.state is not None else env.get(URL_VARIABLE, ""))
    if not url:
        if where.once:
            raise ValueError(
                "expected --once with --url: the door of a state folder keeps no keys; look whether it was "
                "done, then ask again"
            )
        if where.token_file is not None:
            raise ValueError(f"expected --url or {URL_VARIABLE} with --token-file, found neither")
        from gateway.client.door import DoorWay

        return DoorWay(where.state or STATE)
    from gateway.client import http

    split = urlsplit(url)
    _check(url, plain=where.plain)
    secure = split.scheme == "https"
    return http.HttpWay(
        url.rstrip("/"),
        http.Secret(_token(where.token_file, env)),
        trust=_trust(where.ca, env) if secure else None,
        entropy=entropy,
        sleep=sleep,
        proxied=split.hostname not in LOOPBACK,
        key=where.once,
        answer_s_max=http.ANSWER_S_MAX if answer_s_max is None else answer_s_max,
    )


def _check(url: str, *, plain: bool) -> None:
    split = urlsplit(url)
    if split.scheme not in {"http", "https"} or not split.hostname or split.path not in {"", "/"}:
        raise ValueError(
            f"expected the URL of a gateway such as https://gateway.example:8140, found {_shown(url)}"
        )
    if split.username is not None or split.query or split.fragment:
        raise ValueError(
            "expected a URL of scheme, host and port, found more in it: a token goes into a file "
            "(--token-file) or into FLEETDRILL_TOKEN"
        )
    if split.scheme == "http" and split.hostname not in LOOPBACK and not plain:
        raise ValueError(
            f"expected https, found {_shown(url)}: anybody on the way could read the token; say --plain where "
            "nobody else is on that network"
        )


def _shown(url: str) -> str:
    """A URL without what may be a secret in it."""
    return repr(url.rpartition("@")[2].partition("?")[0])


def _token(file: Path | None, env: Mapping[str, str]) -> str:
    """The token.

    Raises:
        ValueError: there is none, or it is not the text of one, or its file cannot be read.
    """
    named = "" if env.get(TOKEN_VARIABLE) else env.get(TOKEN_FILE_VARIABLE, "")
    if file is not None or named:
        place = str(file or named)
        named_by = "--token-file" if file else TOKEN_FILE_VARIABLE
        with _readable("a token", place, named_by), Path(place).open("rb") as source:
            text = source.read(TOKEN_BYTES_MAX + 1).decode("latin1").strip()
    else:
        text, place = env.get(TOKEN_VARIABLE, "").strip(), TOKEN_VARIABLE
    if not text:
        raise ValueError(
            f"expected a token in a file (--token-file) or in {TOKEN_VARIABLE}, found none: an admin makes one "
            "by `fleetdrill token make`"
        )
    if len(text) > TOKEN_BYTES_MAX or not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(f"expected the text of a token in {place}, found something else")
    return text


def _trust(ca: Path | None, env: Mapping[str, str]) -> ssl.SSLContext:
    """Which certificates are believed: those that the machine believes, and an authority that is named.

    Raises:
        ValueError: its file cannot be read, or holds none.
    """
    file = str(ca or env.get(CA_VARIABLE, ""))
    with _readable("certificates (PEM)", file, "--ca" if ca else CA_VARIABLE):
        return ssl.create_default_context(cafile=file or None)


@contextmanager
def _readable(what: str, file: str, named_by: str) -> Iterator[None]:
    """Tell a file that cannot be read in words; an `ssl.SSLError`, which is an OSError, too."""
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(
            f"expected {what} in {file}, which {named_by} names, found something else"
        ) from error
    except OSError as error:
        raise ValueError(
            f"expected {what} in {file}, which {named_by} names, found: {(error.strerror or str(error)).lower()}: "
            "check the path"
        ) from error
