"""A bundle as it is published: its manifest, signed, and all its blobs.

Decides where the signature comes from: a key that is given, or the bundle itself, be it an archive or a folder. Leaves out
sending (bundles.py) and building (devicesdk/bundle, devicesdk/packing).

Rule: a signing key is read here and goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devicesdk.bundle.manifest import Manifest


def sealed(bundle: Path, key: Path | None) -> tuple[Manifest, bytes, dict[bytes, bytes]]:
    """A bundle's manifest, the digest of its envelope, signed now or by its builder, and all blobs.

    Raises:
        ValueError: it is not whole, or nobody signed it.
    """
    from devicesdk.bundle.archive import SIGNATURE_FILE, file_reader
    from devicesdk.bundle.build import build_bundle, with_envelope
    from devicesdk.bundle.source import read_release
    from devicesdk.bundle.trust import ROLE_TARGETS
    from devicesdk.wire import limits
    from gateway.adapters.keys import key_file, read_signer

    if not bundle.exists():
        raise ValueError(
            f"expected a bundle's archive or its folder at {bundle}, found neither: check the path; "
            "`fleetdrill bundle build` makes one"
        )
    members = _members(bundle) if bundle.is_file() else {}
    release = read_release(file_reader(members) if members else reader(bundle))
    built = build_bundle(*release)
    if key is not None:
        expected = key_file(key.parent, ROLE_TARGETS)
        if key.name != expected.name:
            raise ValueError(f"expected the targets key, {expected}, found {key}")
        signer = read_signer(key.parent, ROLE_TARGETS)
        return built.manifest, *built.sealed(signer)
    envelope = members.get(SIGNATURE_FILE)
    if envelope is None and (bundle / SIGNATURE_FILE).is_file():
        envelope = reader(bundle)(SIGNATURE_FILE, limits.MANIFEST_BYTES_MAX + 1024)
    if envelope is None:
        raise ValueError(f"expected --key, or an archive that is signed, found {bundle} unsigned")
    return built.manifest, *with_envelope(*release, envelope)


def _members(archive: Path) -> dict[str, bytes]:
    from devicesdk.bundle.archive import ARCHIVE_BYTES_MAX, unpack

    with archive.open("rb") as file:
        return unpack(file.read(ARCHIVE_BYTES_MAX + 1))


def reader(directory: Path) -> Callable[[str, int], bytes]:
    """Read files of a bundle's folder by name, each up to a size; also of an archive that was unpacked."""
    from devicesdk.bundle.archive import FOLDERS

    def read(name: str, bytes_max: int) -> bytes:
        places = (directory, *(directory / folder for folder in FOLDERS))
        place = next((place for place in places if (place / name).is_file()), directory)
        try:
            with (place / name).open("rb") as file:
                return file.read(bytes_max)
        except OSError as error:
            raise ValueError(
                f"expected a bundle's file {directory / name}, found: {error.strerror}"
            ) from error

    return read
