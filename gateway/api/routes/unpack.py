"""Archives of bundles: for whoever has one file and no tool that takes it apart, such as a browser.

Decides the status of what is wrong with one. Leaves out how it came (blobs.py: an archive is uploaded like any blob) and
registering the bundle (bundles.py: `POST /v1/bundles` with the digest that is answered here).
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import Path, Response

from devicesdk.bundle.archive import BadArchive
from devicesdk.bundle.source import SourceError
from devicesdk.wire.errors import ProtocolError
from gateway.adapters.blobs import FileBlobs
from gateway.adapters.bundle_archive import Opened, open_archive
from gateway.adapters.uploads import UploadError
from gateway.api.answers import plain, shape
from gateway.api.desk import Desk, Looked
from gateway.api.problems import problem
from gateway.api.router import versioned
from gateway.core.access.roles import Permission
from gateway.runtime.verbs import VerbError

router = versioned("/archives", "bundles")
Digest = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the uploaded archive, hex.")
]
TYPE: Final = "archive"
_STATUS: Final = {"size": 413}


@router.post("/{sha256}", name="open_archive", **shape(Opened, 201, "Its blobs are here."))
async def open_uploaded(desk: Looked, sha256: Digest) -> Response:
    """Open a signed archive that was uploaded whole; then publish the digest that is answered."""
    blobs, digest = _store(desk), bytes.fromhex(sha256)
    uploads, said = desk.service.uploads, desk.service.http
    assert uploads is not None, "a store without a place for uploads"
    if uploads.busy >= said.uploads_max:
        raise VerbError("busy", f"{uploads.busy} uploads are under way: come later")
    try:
        uploads.claim(digest)
    except UploadError as error:
        raise VerbError("busy", str(error)) from error
    try:
        opened = await asyncio.to_thread(open_archive, blobs, digest, said.archive_bytes_max)
    except BadArchive as error:
        return problem(_STATUS.get(error.reason, 422), str(error), f"{TYPE}-{error.reason}")
    except (SourceError, ProtocolError) as error:
        return problem(422, str(error), TYPE)
    finally:
        uploads.release(digest)
    return plain(opened, 201)


def _store(desk: Desk) -> FileBlobs:
    """Where archives are, for those who may publish."""
    desk.may(Permission.PUBLISH)
    blobs = desk.service.blobs
    if desk.service.uploads is None or not isinstance(blobs, FileBlobs):
        raise VerbError("stopped", "this gateway takes no uploads: its blobs come by another way")
    return blobs
