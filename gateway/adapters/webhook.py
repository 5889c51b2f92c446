"""Posts events to a webhook.

Decides what is sent and which answers mean what. Leaves out what waits, and when it is tried again (runtime/courier.py).

The headers and the signature are those of Standard Webhooks 1.0.0 (standardwebhooks.com), so that receivers need no code
of ours: ``webhook-id``, ``webhook-timestamp`` (seconds since 1970, UTC) and ``webhook-signature``, which is
``v1,`` and base64 of HMAC-SHA256 over id, timestamp and body with points between.

Rules: the secret is never logged, and of the address its scheme and host alone, because people put tokens into
paths; redirects are not followed: a signed body goes where it was meant to go or nowhere; no proxy is taken from the
environment; of an answer the status alone is read.
"""

from __future__ import annotations

import asyncio
import enum
import ssl
import stat
from base64 import b64decode, b64encode
from binascii import Error
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from gateway.adapters.keys import refuse_open
from gateway.config import ConfigError

SECRET_BYTES_MIN: Final = 24
"""As the standard asks for."""
SECRET_BYTES_MAX: Final = 64
PREFIX: Final = "whsec_"
_STRANGERS: Final = stat.S_IRWXO | stat.S_IWGRP
"""Orchestrators hand secrets to a group."""
REFUSED: Final = frozenset({400, 413, 415, 422})
"""It is this event that the receiver does not want: it will not want it later."""


STEPS: Final = 3
"""Of an attempt: connecting, sending, hearing. One that dribbles for longer has failed."""


class WebhookError(ConfigError):
    """The webhook cannot be used as it is configured."""


class Posted(enum.Enum):
    """What came of an attempt."""

    TAKEN = enum.auto()
    LATER = enum.auto()
    """Nobody answered, or not well: try again."""
    REFUSED = enum.auto()
    """Never with this event."""


def read_secret(file: str) -> bytes:
    """The secret in a file: ``whsec_`` and base64, as the standard writes it.

    Raises:
        WebhookError: missing, open to others, or not a secret.
    """
    hint = f'make one: (umask 077; echo "{PREFIX}$(openssl rand -base64 32)" > webhook.secret)'
    if not file:
        raise WebhookError(f"expected webhook_secret_file beside webhook_url, found none: {hint}")
    path = Path(file)
    try:
        text = path.read_text().strip()
        secret = b64decode(text.removeprefix(PREFIX), validate=True)
    except OSError as error:
        raise WebhookError(f"expected the webhook's secret in {path}, found: {error}") from None
    except (Error, ValueError):
        secret = b""
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise WebhookError(
            f"expected {PREFIX} and base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes in {path}, found "
            f"something else: {hint}"
        )
    refuse_open(path, _STRANGERS)
    return secret


def signature(secret: bytes, event: str, at_s: int, payload: bytes) -> str:
    """The header ``webhook-signature``."""
    signed = f"{event}.{at_s}.".encode() + payload
    return "v1," + b64encode(digest(secret, signed, sha256)).decode()


class Webhook:
    """One receiver.

    Args:
        url: where events are posted.
        secret: of the signature.
        timeout_s: of each step of an attempt.
        ca: PEM file of who vouches for the receiver; empty: the system's authorities.

    Raises:
        WebhookError: the address or the file cannot be used.
    """

    def __init__(self, url: str, secret: bytes, timeout_s: float, ca: str = "") -> None:
        parts = _parts(url)
        try:
            context = ssl.create_default_context(cafile=ca or None)
        except OSError as error:
            raise WebhookError(f"expected certificates in {ca}, found: {error}") from None
        self._url, self._secret, self._timeout_s = url, secret, timeout_s
        self.shown = f"{parts.scheme}://{parts.hostname}"
        """The address as it may be logged."""
        self._client = httpx.AsyncClient(
            timeout=timeout_s, follow_redirects=False, trust_env=False, verify=context
        )

    async def post(self, event: str, payload: bytes, at_s: int) -> tuple[Posted, str]:
        """Try once; what came of it, and words for the log.

        Args:
            event: its id.
            payload: JSON.
            at_s: now, seconds since 1970, UTC.
        """
        headers = {
            "content-type": "application/json",
            "user-agent": "fleetdrill",
            "webhook-id": event,
            "webhook-timestamp": str(at_s),
            "webhook-signature": signature(self._secret, event, at_s, payload),
        }
        try:
            asked = self._client.stream("POST", self._url, content=payload, headers=headers)
            async with asyncio.timeout(STEPS * self._timeout_s), asked as answer:
                status = answer.status_code
        except Exception as error:  # noqa: BLE001 - what an answer breaks here must not end all alarms
            return Posted.LATER, type(error).__name__
        if 200 <= status < 300:
            return Posted.TAKEN, f"HTTP {status}"
        return (Posted.REFUSED if status in REFUSED else Posted.LATER), f"HTTP {status}"

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


def _parts(url: str) -> SplitResult:
    """An address, taken apart; its words are not told, because tokens may be among them.

    Raises:
        WebhookError: nothing can be sent there.
    """
    try:
        parts = urlsplit(url)
        # As it will be read when something is sent.
        good = parts.scheme in ("http", "https") and bool(parts.hostname and httpx.URL(url).host)
        good = good and " " not in url and parts.port != 0
        found = f"scheme {parts.scheme!r}"
    except (ValueError, httpx.InvalidURL) as error:
        good, found = False, type(error).__name__
    if not good:
        raise WebhookError(f"expected webhook_url to be like https://host/path, found {found}")
    return parts
