"""What is found beside an image: how its bundle says it is run, and its validation kit.

Decides what of an opened model's metadata is believed (the image's digest was verified, so all or
nothing), and what of a bundle directory belongs to one image. Leaves out how it got there
(devicesdk/bundle/sealed.py) and running it (runner.py).
"""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec

from devicesdk.bundle.sealed import DESCRIPTION_KEY, KIT_KEY, VARIANT_KEY
from devicesdk.inference.kit import KIT_BYTES_MAX
from devicesdk.inference.source import BundleSpec, directory_reader, load_any


class SealError(ValueError):
    """The image carries something in place of what it should."""


class Beside(msgspec.Struct, frozen=True):
    """What is known of one image."""

    variant: str
    spec: BundleSpec
    kit: bytes
    """The kit's file; `devicesdk.inference.kit.unpack_kit` reads it."""


def unseal(metadata: dict[str, str]) -> Beside | None:
    """Read an opened model's metadata; None: it was never sealed.

    Raises:
        SealError: damaged, or written for another version of this program.
    """
    if not {VARIANT_KEY, DESCRIPTION_KEY, KIT_KEY} <= metadata.keys():
        return None
    text = metadata[KIT_KEY]
    if len(text) > 2 * KIT_BYTES_MAX:
        raise SealError(f"expected a kit of at most {KIT_BYTES_MAX} bytes, found a larger one")
    try:
        spec = msgspec.json.decode(metadata[DESCRIPTION_KEY], type=BundleSpec)
        kit = base64.b64decode(text, validate=True)
    except ValueError as error:  # msgspec's and base64's errors are both
        raise SealError(
            f"expected a bundle's description and kit in the image, found: {error}; build it again"
        ) from error
    if metadata[VARIANT_KEY] not in spec.variants:
        raise SealError(
            f"expected a variant out of {sorted(spec.variants)}, found {metadata[VARIANT_KEY]!r}"
        )
    return Beside(metadata[VARIANT_KEY], spec, kit)


def beside_in(folder: Path, image: bytes) -> Beside | None:
    """What a bundle directory knows of the image with this digest; None: it is not of this bundle.

    Raises:
        SourceError: the directory is incomplete or altered.
        OSError: it cannot be read.
    """
    source = load_any(directory_reader(folder))
    for name in source.models:
        if source.digest(name) == image:
            kit = (folder / source.spec.kit.file).read_bytes()
            return Beside(name, source.spec, kit)
    return None
