"""Bundles that any device of the protocol can read."""

from hashlib import sha256

import pytest

from devicesdk.bundle.chunks import HashList
from devicesdk.bundle.manifest import decode_manifest
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer, Ed25519Verifier
from devicesdk.wire import limits
from gateway.conform.parcels import CHUNKS_WANTED, chunk_bytes_for, make_parcel

SIGNER = Ed25519Signer(ROLE_TARGETS, bytes(32))
VERIFIER = Ed25519Verifier({ROLE_TARGETS: (SIGNER.public,)})


@pytest.mark.parametrize("image", [None, b"model" * 5_000])
def test_a_parcel_is_whole(image):
    parcel = make_parcel(3, SIGNER, image=image, hardware=("rpi4",))
    manifest = decode_manifest(VERIFIER.open(ROLE_TARGETS, parcel.manifest.data))
    (variant,) = manifest.variants
    assert variant.hardware == ("rpi4",)
    assert variant.image.raw == parcel.image.digest
    assert variant.hashes.raw == sha256(parcel.hashes.data).digest()
    hashes = HashList(parcel.hashes.data, variant.image.size_bytes, variant.chunk_bytes)
    first = parcel.image.data[: variant.chunk_bytes]
    assert hashes[0] == sha256(first).digest()
    assert parcel.digest == sha256(parcel.manifest.data).digest()
    assert make_parcel(4, SIGNER, image=image).image.digest != parcel.image.digest


def test_chunks_are_a_power_of_two_and_about_as_many_as_wanted():
    for size in (1, 5_000, 60_000, 3_000_000, 10**9):
        chunk_bytes = chunk_bytes_for(size)
        assert chunk_bytes & (chunk_bytes - 1) == 0
        assert 256 <= chunk_bytes <= limits.CHUNK_BYTES_MAX
        if 256 < chunk_bytes < limits.CHUNK_BYTES_MAX:
            assert CHUNKS_WANTED / 2 <= size / chunk_bytes <= CHUNKS_WANTED
