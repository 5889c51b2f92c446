"""A bundle's archive that somebody uploaded: opened, and its contents put into the store.

Decides what of an archive becomes blobs: those that its manifest names, and the signed envelope around it. Leaves out the
format (devicesdk/bundle/archive.py), and whether the signature is trusted: whoever registers the bundle looks at that.

Rules: nothing is written before all of the archive was judged; an archive without a signature is refused, because the
key that could sign it is never here; deltas are made where the publisher is, not here. Calls wait for a disk: threads
other than the loop's make them.
"""

from __future__ import annotations

import msgspec

from devicesdk.bundle.archive import SIGNATURE_FILE, BadArchive, file_reader, unpack
from devicesdk.bundle.build import with_envelope
from devicesdk.bundle.source import SourceError, read_release
from gateway.adapters.blobs import FileBlobs


class Opened(msgspec.Struct, frozen=True):
    """A bundle whose blobs are in the store, ready to be registered."""

    bundle: str
    """``id@version``."""
    digest: str
    """SHA-256 of its signed envelope, hex."""
    bytes: int
    """Of all its blobs."""


def open_archive(blobs: FileBlobs, digest: bytes, bytes_max: int) -> Opened:
    """Put a bundle's blobs into the store, and take the archive out of it.

    Args:
        blobs: where the archive is.
        digest: of the archive.
        bytes_max: of the archive.

    Raises:
        BlobError: it is not here.
        BadArchive: ``size``: it is larger than that; and whatever else makes it no archive.
        SourceError: it is not signed, or its files are not those that were signed.
        ProtocolError: what should be a signature is none.
    """
    size = blobs.size_bytes(digest)
    if size > bytes_max:
        raise BadArchive(
            "size",
            f"expected an archive of at most {bytes_max} bytes, found {size}: publish it with `fleetdrill bundle "
            "publish`, which opens it where it is",
        )
    members = unpack(blobs.whole(digest))
    envelope = members.get(SIGNATURE_FILE)
    if envelope is None:
        raise SourceError(
            "expected an archive that is signed, found one that is not: build it with --key targets.key, or publish it "
            "with `fleetdrill bundle publish --key targets.key`; the key itself never comes here"
        )
    release, images = read_release(file_reader(members))
    try:
        name, found = with_envelope(release, images, envelope)
    except IndexError:
        raise SourceError(
            "expected a signed manifest with a variant, found one without: build the bundle again"
        ) from None
    for blob in found.values():
        blobs.put(blob)
    blobs.discard(digest)
    return Opened(
        f"{release.id}@{release.version}", name.hex(), sum(len(blob) for blob in found.values())
    )
