"""Sends blobs in parts, and goes on where it stopped.

Decides the size of a part, and what is done where the gateway has another part of the blob than was thought. Leaves out
one request (http.py) and how parts are kept (gateway/adapters/uploads.py).

Rules: what the gateway has is asked for before anything is sent, so an interrupted command is simply given again; a
part may be sent twice, and counts once, because its place is said with it; where `STEPS_BACK_MAX` answers say another
place than was expected, somebody else sends the same, and that is said.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Protocol

import httpx

from gateway.client.problems import error_of
from gateway.client.routes import PREFIX, Request
from gateway.client.way import Told
from gateway.runtime.verbs import VerbError

PART_BYTES: Final = 1024 * 1024
STEPS_BACK_MAX: Final = 5


class Sender(Protocol):
    """Sends one request; `HttpWay`."""

    @property
    def where(self) -> str:
        """The URL."""
        ...

    def send(
        self,
        request: Request,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | memoryview | None = None,
        plain: bool = False,
    ) -> tuple[httpx.Response, bytes]:
        """Ask."""
        ...


def send_blob(sender: Sender, blob: bytes, told: Told, part_bytes: int = PART_BYTES) -> bytes:
    """Make the gateway have a blob.

    Args:
        sender: sends requests.
        blob: its bytes, at least one.
        told: is told of every byte once, also of those that were there.
        part_bytes: of one request.

    Returns:
        Its digest.

    Raises:
        VerbError: it was refused.
        NoGatewayError: nobody answers; what came is kept.
    """
    digest = sha256(blob).digest()
    path = f"{PREFIX}/blobs/{digest.hex()}"
    at, whole = _here(sender, path)
    known, back = 0, 0
    if whole:
        told(len(blob))
    while not whole:
        told(max(0, at - known))
        known = max(known, at)
        last = min(at + part_bytes, len(blob))
        there, whole = _part(sender, path, blob, at, last)
        back += there != last
        if back > STEPS_BACK_MAX:
            raise VerbError("busy", f"expected to be the one who sends {digest.hex()}: come later")
        at = there
        if whole:
            told(len(blob) - known)
    return digest


def _here(sender: Sender, path: str) -> tuple[int, bool]:
    """How much of a blob is there, and whether that is all."""
    answer, body = sender.send(Request("HEAD", path, keyed=True), plain=True)
    if answer.status_code == 404:
        return 0, False
    if answer.status_code >= 300:
        sender.send(Request("GET", path, keyed=True))  # whose answer has a body that says why
        raise error_of(sender.where, answer.status_code, "", body)
    return _offset(answer), _complete(answer)


def _part(sender: Sender, path: str, blob: bytes, at: int, end: int) -> tuple[int, bool]:
    """Send a part; how much is there then, and whether that is all."""
    headers = {
        "Content-Range": f"bytes {at}-{end - 1}/{len(blob)}",
        "Content-Type": "application/octet-stream",
    }
    request = Request("PUT", path, keyed=True)
    answer, body = sender.send(
        request, headers=headers, content=memoryview(blob)[at:end], plain=True
    )
    if answer.status_code < 300:
        return _offset(answer), _complete(answer)
    if "upload-offset" in answer.headers:  # another place than was thought: go on there
        return _offset(answer), False
    error = error_of(sender.where, answer.status_code, answer.headers.get("content-type", ""), body)
    if isinstance(error, VerbError) and error.code == "upload-busy":
        return _here(sender, path)
    raise error


def _offset(answer: httpx.Response) -> int:
    said = answer.headers.get("upload-offset", "")
    if not said.isdecimal():
        raise VerbError("broken", f"expected Upload-Offset in an answer, found {said!r}")
    return int(said)


def _complete(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("upload-complete") == "?1")
