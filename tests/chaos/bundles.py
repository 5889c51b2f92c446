"""Releases for a campaign: the two shipped gauges in turn, each with a number and bytes of its own.

Every release has other bytes, or a device would find its image in the other slot and fetch nothing.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from devicesdk.bundle.build import build_bundle
from devicesdk.bundle.sealed import prop
from devicesdk.bundle.source import BUNDLE_FILE, read_release
from devicesdk.bundle.trust import Signer

MODELS = Path(__file__).parents[2] / "models"
VARIANT = "int8-rr"
"""What a device of the default class takes."""
VERSIONS = ("1.0.0", "1.1.0")


class Published(NamedTuple):
    """A release, ready to be put into a blob store."""

    name: str
    digest: bytes
    """Of the signed manifest."""
    image: bytes
    """Digest of the image that devices take."""
    image_bytes: int
    chunk_bytes: int
    blobs: dict[bytes, bytes]


def release(number: int, signer: Signer, padding_bytes: int) -> Published:
    """Build release `number`: of 1.0.0 when odd, of 1.1.0 when even; larger by about `padding_bytes`."""
    source = VERSIONS[(number - 1) % len(VERSIONS)]
    folder = MODELS / "gauge" / source
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    said = json.loads(files[BUNDLE_FILE])
    said["version"], said["release"] = f"{source.rpartition('.')[0]}.{number}", number
    record = said["variants"][VARIANT]
    model = files[record["file"]] + prop("padding", _text(number, padding_bytes))
    record["bytes"], record["sha256"] = len(model), sha256(model).hexdigest()
    files[record["file"]] = model
    files[BUNDLE_FILE] = json.dumps(said).encode()
    built = build_bundle(*read_release(lambda name, most: files[name][:most]))
    digest, blobs = built.sealed(signer)
    variant = built.manifest.variant_for("default", 1024)
    assert variant is not None, "expected a variant for devices of the default class"
    assert variant.name == VARIANT, f"expected {VARIANT}, found {variant.name}"
    image = variant.image
    return Published(
        built.manifest.name, digest, image.raw, image.size_bytes, variant.chunk_bytes, blobs
    )


def _text(number: int, size: int) -> bytes:
    """Text that differs from chunk to chunk and from release to release."""
    words = (sha256(b"%d/%d" % (number, i)).hexdigest() for i in range(size // 64 + 1))
    return "".join(words)[:size].encode()
