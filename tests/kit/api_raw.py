"""HTTP spoken by hand, for what no client library would send."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import msgspec

PATIENCE_S = 60.0


class Told(msgspec.Struct):
    """One answer; `status` 0: the connection ended without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """The problem that it tells; fails where it does not."""
        assert self.headers.get("content-type") == "application/problem+json", self
        told = json.loads(self.body)
        assert told["status"] == self.status, told
        assert told["detail"], told
        return dict(told)


async def spoken(
    url: str, *pieces: bytes, pause_s: float = 0.0, tls: ssl.SSLContext | None = None
) -> bytes:
    """What is answered to bytes that come piece by piece, until the connection ends."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, ssl=tls)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def first_of(answer: bytes) -> Told:
    """The first answer of a connection."""
    if not answer:
        return Told(0, {}, b"")
    head, _, rest = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    headers = {name.lower(): value for name, _, value in pairs}
    length = int(headers.get("content-length", len(rest)))
    return Told(int(first.split()[1]), headers, rest[:length])


async def asked(
    url: str,
    line: str,
    *headers: str,
    body: bytes = b"",
    token: str = "",
    host: str | None = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Told:
    """The answer to one request.

    Args:
        url: of the gateway.
        line: such as ``GET /v1/fleet``.
        headers: as they stand on the wire.
        body: whatever follows.
        token: of whoever asks.
        host: the Host header; None: no such header.
        tls: for https.
    """
    lines = [f"{line} HTTP/1.1" if " HTTP/" not in line else line]
    lines += [] if host is None else [f"Host: {host}"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [*headers, "Connection: close", "", ""]
    return first_of(await spoken(url, "\r\n".join(lines).encode("latin1") + body, tls=tls))
