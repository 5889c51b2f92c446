"""Little bundles to send to a foreign device.

Decides their bytes: an image (a pattern, or a file that the device accepts, made different each
time), its hash list, a manifest signed with the given targets key. Leaves out the wants that name
them (chapters.py) and how they are served (desk.py).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from devicesdk.bundle.chunks import build_hash_list, chunk_count, split
from devicesdk.bundle.manifest import BlobRef, Manifest, Variant, encode_manifest
from devicesdk.bundle.sealed import prop
from devicesdk.bundle.trust import Signer
from devicesdk.wire import limits

IMAGE_BYTES: Final = 60_000
CHUNKS_WANTED: Final = 48
"""Enough for every trick of the desk; a large image has more bytes a chunk."""
NUMBER_KEY: Final = "fleetdrill.conform"


class Blob(msgspec.Struct, frozen=True):
    """Bytes that a device may ask for."""

    data: bytes
    chunk_bytes: int

    @property
    def digest(self) -> bytes:
        """SHA-256, 32 bytes."""
        return sha256(self.data).digest()

    @property
    def chunks(self) -> int:
        """How many chunks it has."""
        return chunk_count(len(self.data), self.chunk_bytes)


class Parcel(msgspec.Struct, frozen=True):
    """A bundle: three blobs, fetched in this order."""

    manifest: Blob
    hashes: Blob
    image: Blob
    said: Manifest
    """What is inside the manifest's envelope."""

    @property
    def digest(self) -> bytes:
        """What a want names: the SHA-256 of the manifest's envelope."""
        return self.manifest.digest

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """All three."""
        return self.manifest, self.hashes, self.image


def pattern(number: int, size_bytes: int) -> bytes:
    """Bytes that look random and are a function of the number."""
    blocks = [sha256(b"%d:%d" % (number, i)).digest() for i in range(size_bytes // 32 + 1)]
    return b"".join(blocks)[:size_bytes]


def varied(image: bytes, number: int) -> bytes:
    """An ONNX file with the same model and other bytes for each number."""
    return image + prop(NUMBER_KEY, b"%d" % number)


def chunk_bytes_for(size_bytes: int) -> int:
    """The power of two that cuts a blob into about `CHUNKS_WANTED` chunks."""
    chunk_bytes = limits.CHUNK_BYTES_MIN
    while chunk_bytes < limits.CHUNK_BYTES_MAX and size_bytes > CHUNKS_WANTED * chunk_bytes:
        chunk_bytes *= 2
    return chunk_bytes


def make_parcel(
    number: int,
    signer: Signer,
    *,
    image: bytes | None = None,
    kit: str = "",
    hardware: tuple[str, ...] = ("*",),
    variant: str = "conform",
) -> Parcel:
    """A bundle that no other number makes.

    Args:
        number: from 1.
        signer: of the role targets (or, to see what the device says, of another).
        image: an ONNX file that the device accepts; None: a pattern of `IMAGE_BYTES`.
        kit: digest (hex) of a validation kit that the device has.
        hardware: classes that it fits.
        variant: name of the one variant.
    """
    data = pattern(number, IMAGE_BYTES) if image is None else varied(image, number)
    chunk_bytes = chunk_bytes_for(len(data))
    hashes = build_hash_list(split(data, chunk_bytes))
    manifest = Manifest(
        id="conform",
        version=f"1.{number}.0",
        release=number,
        variants=(
            Variant(
                name=variant,
                image=BlobRef(sha256(data).hexdigest(), len(data)),
                hashes=BlobRef(sha256(hashes).hexdigest(), len(hashes)),
                chunk_bytes=chunk_bytes,
                hardware=hardware,
            ),
        ),
        kit=kit,
    )
    envelope = signer.seal(encode_manifest(manifest))
    small = limits.CHUNK_BYTES_DEFAULT
    return Parcel(Blob(envelope, small), Blob(hashes, small), Blob(data, chunk_bytes), manifest)
