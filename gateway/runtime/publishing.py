"""What a publisher does beside storing a bundle: the deltas to it from what the gateway has already.

Decides which older releases a new one is compared with, and stores what comes of that. Leaves out the
encoders (devicesdk/bundle) and which device is offered which delta (the core). Runs in the publisher's
process, never in the gateway's: it takes seconds of a processor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from devicesdk.bundle.delta_plan import BASES_MAX, pairs, steps
from devicesdk.bundle.manifest import Manifest
from devicesdk.wire import limits
from devicesdk.wire.messages import DeltaRef
from gateway.ports import BlobError, Blobs

Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class PublishedDelta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `DeltaRef` as JSON has it: digests in hex."""

    encoder: Annotated[int, Meta(ge=1, le=255)]
    base: Hex | None = None
    target: Hex
    blob: Hex
    size_bytes: Annotated[int, Meta(ge=1, le=limits.BLOB_BYTES_MAX)]
    chunk_bytes: Annotated[int, Meta(ge=limits.CHUNK_BYTES_MIN, le=limits.CHUNK_BYTES_MAX)]
    hashes: Hex | None = None

    @classmethod
    def of(cls, ref: DeltaRef) -> PublishedDelta:
        """As JSON."""
        return cls(
            encoder=ref.encoder,
            base=ref.base.hex() or None,
            target=ref.target.hex(),
            blob=ref.blob.hex(),
            size_bytes=ref.size_bytes,
            chunk_bytes=ref.chunk_bytes,
            hashes=ref.hashes.hex() or None,
        )

    @property
    def ref(self) -> DeltaRef:
        """As a want has it."""
        return DeltaRef(
            encoder=self.encoder,
            base=bytes.fromhex(self.base or ""),
            target=bytes.fromhex(self.target),
            blob=bytes.fromhex(self.blob),
            size_bytes=self.size_bytes,
            chunk_bytes=self.chunk_bytes,
            hashes=bytes.fromhex(self.hashes or ""),
        )


def releases_of(bundle: str, rows: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The releases of a bundle by their durable rows, the oldest first: version, release, and the
    image of each variant."""
    found = [row.manifest for _, row in rows if row.manifest.id == bundle]
    return [
        {
            "version": manifest.version,
            "release": manifest.release,
            "images": {
                v.name: {"digest": v.image.digest, "bytes": v.image.size_bytes}
                for v in manifest.variants
            },
        }
        for manifest in sorted(found, key=lambda manifest: manifest.release)
    ]


def make_deltas(
    manifest: Manifest,
    images: Mapping[str, bytes],
    releases: list[dict[str, Any]],
    read: Callable[[bytes, int, int], bytes],
    put: Callable[[bytes], bytes],
) -> tuple[PublishedDelta, ...]:
    """Make and store the deltas to a release.

    Args:
        manifest: of the new release.
        images: its images by variant.
        releases: what `releases_of` says of the older ones.
        read: reads an image that is in the blob store.
        put: stores a blob.
    """
    older = [
        {name: _image(read, said) for name, said in release["images"].items()}
        for release in releases[-BASES_MAX:]
        if release["version"] != manifest.version
    ]
    published = []
    for pair in pairs(manifest, images, older):
        for step in steps(*pair):
            for blob in step.blobs:
                put(blob)
            published.append(PublishedDelta.of(step.ref))
    return tuple(published)


def _image(read: Callable[[bytes, int, int], bytes], said: dict[str, Any]) -> bytes:
    """An older image; empty where the store lost it, and then there is no delta from it."""
    try:
        return read(bytes.fromhex(said["digest"]), 0, said["bytes"])
    except BlobError:
        return b""


def check_blobs(blobs: Blobs, delta: PublishedDelta) -> DeltaRef:
    """A delta whose blobs are here and whole; hashes them.

    Raises:
        BlobError: they are not.
    """
    ref = delta.ref
    blobs.verify(ref.blob)
    found = blobs.size_bytes(ref.blob)
    if found != ref.size_bytes:
        raise BlobError(f"expected a delta of {ref.size_bytes} bytes, found {found}: make it again")
    if ref.hashes:
        blobs.verify(ref.hashes)
    return ref
