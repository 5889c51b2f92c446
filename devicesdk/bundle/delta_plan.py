"""Which deltas a new release gets: from which older images, and as which blobs.

Decides pairs and what of them is worth publishing. Leaves out the encoders (delta_build.py), storing blobs and
telling the gateway (whoever publishes).

Rules: a variant is compared with the variant of the same name in the newest `BASES_MAX` older releases of
the same bundle; the target alone, compressed, serves all other devices where that is worth it; a delta that
is too large for RAM comes with a hash list, as an image does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from devicesdk.bundle.chunks import build_hash_list, split
from devicesdk.bundle.delta import DELTA_SHARE_MAX
from devicesdk.bundle.delta_build import Delta, encode_full, encode_prefix, encode_words
from devicesdk.bundle.manifest import Manifest
from devicesdk.wire import limits
from devicesdk.wire.messages import DeltaRef

BASES_MAX: Final = 3
"""Older releases that a new one is compared with; devices that run an older one fetch the image."""

Images: TypeAlias = Mapping[str, bytes]
"""The images of a release by variant name."""


class Step(msgspec.Struct, frozen=True):
    """One delta as it is published."""

    ref: DeltaRef
    blobs: tuple[bytes, ...]
    """The delta, and its hash list where it has one."""


def pairs(
    manifest: Manifest, images: Images, older: Sequence[Images]
) -> Iterable[tuple[bytes, tuple[bytes, ...], int]]:
    """Each image of a release, the different images that devices may have instead, and the size of
    the chunks in which devices fetch it.

    Args:
        manifest: of the new release.
        images: its images.
        older: those of earlier releases of the same bundle, the oldest first.
    """
    chunk_bytes = {variant.name: variant.chunk_bytes for variant in manifest.variants}
    for name, size in chunk_bytes.items():
        target = images[name]
        found = (other.get(name, b"") for other in reversed(older))
        bases = dict.fromkeys(base for base in found if base and base != target)
        yield target, tuple(bases)[:BASES_MAX], size


def steps(target: bytes, bases: Iterable[bytes], chunk_bytes: int) -> Iterable[Step]:
    """The deltas to an image that are worth having; none, and devices fetch the image itself."""
    full = encode_full(target)
    usual = min(len(target), _size(full))
    if _size(full) < DELTA_SHARE_MAX * len(target):
        yield _step(full, chunk_bytes)
    for base in bases:
        best = smallest(base, target)
        if _size(best) < DELTA_SHARE_MAX * usual:
            yield _step(best, chunk_bytes)


def smallest(base: bytes, target: bytes) -> Delta:
    """The better one of the two encoders that use a base."""
    return min((encode_words(base, target), encode_prefix(base, target)), key=_size)


def _size(delta: Delta) -> int:
    return len(delta.data)


def _step(delta: Delta, chunk_bytes: int) -> Step:
    header, size = delta.header, len(delta.data)
    hashes = b""
    if size > limits.DELTA_UNHASHED_BYTES_MAX:
        hashes = build_hash_list(split(delta.data, chunk_bytes))
    ref = DeltaRef(
        encoder=int(header.encoder),
        base=header.base,
        target=header.target,
        blob=delta.digest,
        size_bytes=size,
        chunk_bytes=chunk_bytes,
        hashes=sha256(hashes).digest() if hashes else b"",
    )
    return Step(ref, (delta.data, hashes) if hashes else (delta.data,))
