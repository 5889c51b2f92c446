"""Blobs: arrive in parts, go on where they stopped, count when they hash to their name.

Decides the headers. ``Upload-Offset`` and ``Upload-Complete`` mean what they mean in the IETF's *Resumable Uploads for
HTTP* (draft-ietf-httpbis-resumable-upload); the part that is sent is said by ``Content-Range`` (RFC 9110, 14.4).
Leaves out files (gateway/adapters/uploads.py).

Rules: a body goes to the disk as it comes and is never held whole; what came before a connection broke is kept.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from fastapi import Header, Path, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from gateway.adapters.uploads import Part, UploadError, Uploads
from gateway.api.answers import plain, shape
from gateway.api.desk import Desk, Looked
from gateway.api.problems import problem
from gateway.api.router import versioned
from gateway.core.access.roles import Permission
from gateway.ports import BlobError, Blobs
from gateway.runtime.verbs import VerbError

router = versioned("/blobs", "blobs")
BUFFER_BYTES: Final = 1024 * 1024
READ_BYTES: Final = 256 * 1024
MEDIA: Final = "application/octet-stream"
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
_RANGE: Final = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
_STATUS: Final = {"offset": 409, "size": 422, "hash": 422, "busy": 503}
Digest = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the whole blob, hex.")
]
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {MEDIA: {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Uploaded(msgspec.Struct, frozen=True):
    """How much of a blob is here."""

    digest: str
    bytes: int
    complete: bool
    """Whole, and it hashes to its name."""


@router.head("/{sha256}", response_class=Response)
async def probe_blob(desk: Looked, sha256: Digest) -> Response:
    """How much of a blob is here: `Upload-Offset`, and whether that is all: `Upload-Complete: ?1`."""
    have, whole = await asyncio.to_thread(_uploads(desk).have, bytes.fromhex(sha256))
    return Response(headers=_headers(have, whole=whole), media_type=MEDIA)


@router.put("/{sha256}", openapi_extra=_BODY, **shape(Uploaded, 201, "It is whole."))
async def upload_blob(
    desk: Looked,
    request: Request,
    sha256: Digest,
    content_range: Annotated[
        str | None,
        Header(
            description="The part that is sent; without it: the whole.",
            examples=["bytes 0-1023/4096"],
        ),
    ] = None,
) -> Response:
    """Send a blob, or the part of it that comes next. 202: there is more to come."""
    uploads, digest = _uploads(desk), bytes.fromhex(sha256)
    if uploads.busy >= desk.service.http.uploads_max:
        raise VerbError("busy", f"{uploads.busy} uploads are under way: come later")
    first, last, size = _range_of(content_range, request)
    try:
        uploads.claim(digest)
    except UploadError as error:
        return _refused(error)
    try:
        return await _taken(uploads, digest, request, first, last, size)
    except UploadError as error:
        return _refused(error)
    finally:
        uploads.release(digest)


@router.get("/{sha256}", response_class=Response, responses={200: {"content": {MEDIA: {}}}, 206: {"description": "The part that was asked for.", "content": {MEDIA: {}}}})  # fmt: skip
async def download_blob(
    desk: Looked,
    sha256: Digest,
    wanted: Annotated[
        str | None, Header(alias="Range", description="One range.", examples=["bytes=0-1023"])
    ] = None,
) -> Response:
    """The bytes of a whole blob, or a range of them: for whoever makes deltas."""
    desk.may(Permission.PUBLISH)
    blobs, digest = desk.service.blobs, bytes.fromhex(sha256)
    size = await asyncio.to_thread(_verified, blobs, digest)
    asked = None if wanted is None else _RANGE.fullmatch(wanted)
    first, last = (0, size - 1) if asked is None else (int(asked[1]), int(asked[2] or size - 1))
    last = min(last, size - 1)
    if first > last and size:
        told = {"Content-Range": f"bytes */{size}"}
        return problem(416, f"expected a range within {size} bytes, found {wanted}", headers=told)
    headers = {"ETag": f'"{sha256}"', "Content-Length": str(last + 1 - first)}
    if asked is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    status = 200 if asked is None else 206
    return StreamingResponse(_pieces(blobs, digest, first, last + 1), status, headers, MEDIA)


@router.delete("/{sha256}", status_code=204)
async def forget_upload(desk: Looked, sha256: Digest) -> Response:
    """Throw a part of a blob away; whole blobs stay."""
    uploads, digest = _uploads(desk), bytes.fromhex(sha256)
    try:
        uploads.claim(digest)
    except UploadError as error:
        return _refused(error)
    try:
        there = await asyncio.to_thread(uploads.forget, digest)
    finally:
        uploads.release(digest)
    if not there:
        raise VerbError("unknown", f"expected a blob of which a part is here, found {sha256}")
    return Response(status_code=204)


async def _taken(
    uploads: Uploads, digest: bytes, request: Request, first: int, last: int, size: int
) -> Response:
    """Take the body in; the blob is claimed."""
    try:
        have, whole = await asyncio.to_thread(uploads.have, digest)
    except BlobError:
        have, whole = 0, False
    if whole:
        return _told(digest, have, whole=True, status=200)
    part = await asyncio.to_thread(uploads.begin, digest, first, size)
    try:
        await _written(part, request)
    finally:
        await asyncio.shield(asyncio.to_thread(part.close))
    if part.have == size:
        await asyncio.to_thread(uploads.finish, digest)
        return _told(digest, size, whole=True, status=201)
    if part.have != last + 1:
        raise UploadError(
            "size", f"expected bytes up to {last}, found {part.have - first}: go on", part.have
        )
    return _told(digest, part.have, whole=False, status=202)


async def _written(part: Part, request: Request) -> None:
    """Write the body as it comes; also what came before the sender went away."""
    buffer = bytearray()
    try:
        async for piece in request.stream():
            buffer += piece
            if len(buffer) >= BUFFER_BYTES:
                await asyncio.to_thread(part.write, bytes(buffer))
                buffer.clear()
    except ClientDisconnect:
        await asyncio.to_thread(part.write, bytes(buffer))
        raise
    await asyncio.to_thread(part.write, bytes(buffer))


def _range_of(said: str | None, request: Request) -> tuple[int, int, int]:
    """First and last byte and the size of the whole, as the headers have them."""
    if said is None:
        length = request.headers.get("content-length", "")
        if not (length.isdigit() and int(length)):
            raise VerbError(
                "invalid",
                "expected Content-Length or `Content-Range: bytes 0-1023/4096`, found neither",
            )
        return 0, int(length) - 1, int(length)
    found = _CONTENT_RANGE.fullmatch(said)
    if found is None or not int(found[1]) <= int(found[2]) < int(found[3]):
        raise VerbError("invalid", f"expected `bytes 0-1023/4096`, found {said[:60]!r}")
    return int(found[1]), int(found[2]), int(found[3])


def _uploads(desk: Desk) -> Uploads:
    """Where blobs arrive, for those who may send them."""
    desk.may(Permission.PUBLISH)
    found = desk.service.uploads
    if found is None:
        raise VerbError("stopped", "this gateway takes no uploads: its blobs come by another way")
    return found


def _verified(blobs: Blobs, digest: bytes) -> int:
    blobs.verify(digest)
    return blobs.size_bytes(digest)


async def _pieces(blobs: Blobs, digest: bytes, at: int, end: int) -> AsyncIterator[bytes]:
    while at < end:
        piece = blobs.read(digest, at, min(READ_BYTES, end - at))
        at += len(piece)
        yield piece
        await asyncio.sleep(0)


def _headers(have: int, *, whole: bool) -> dict[str, str]:
    return {"Upload-Offset": str(have), "Upload-Complete": "?1" if whole else "?0"}


def _told(digest: bytes, have: int, *, whole: bool, status: int) -> Response:
    response = plain(Uploaded(digest.hex(), have, whole), status)
    response.headers.update(_headers(have, whole=whole))
    return response


def _refused(error: UploadError) -> JSONResponse:
    headers = _headers(error.have, whole=False) if error.code in {"offset", "size"} else {}
    if error.code == "busy":
        headers["Retry-After"] = "1"
    return problem(_STATUS[error.code], str(error), f"upload-{error.code}", headers=headers)
