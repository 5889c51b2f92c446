"""Bundles and keys on the disk.

Decides how a bundle is found (an archive, or a directory as models/ has them), how it is written (whole or
not at all) and which key files are read. Leaves out what is in them.

Rules: an archive is opened in memory and nothing is unpacked; a file is written under another name first and
then renamed, so that a crash leaves no half of one; a key is read where it is needed and said nowhere.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, NamedTuple

from devicesdk.bundle.archive import ARCHIVE_BYTES_MAX, archive_name, file_reader, pack, unpack
from devicesdk.bundle.build import DEFAULT
from devicesdk.bundle.source import BUNDLE_FILE, FILE_BYTES_MAX
from devicesdk.bundle.trust import ROLE_TARGETS, Ed25519Signer
from devicesdk.inference.source import BundleSpec, decode_spec
from devicesdk.packing.errors import CannotPack

ANY_MACHINE: Final = "any"
SEED_BYTES: Final = 32
_ZIP: Final = b"PK"
_FILES: Final = ("manifest.json", "manifest.sig", "sbom.json")


class Opened(NamedTuple):
    """A bundle in memory."""

    path: Path
    members: dict[str, bytes]
    """By the archive's names."""
    archived: bool
    size_bytes: int

    def content(self, name: str) -> bytes:
        """A file by its plain name.

        Raises:
            SourceError: there is none.
        """
        return file_reader(self.members)(name, FILE_BYTES_MAX)

    def spec(self) -> BundleSpec:
        """Its description.

        Raises:
            SourceError: there is none, or it is not one.
        """
        return decode_spec(self.content(BUNDLE_FILE))


def open_bundle(path: Path) -> Opened:
    """Read an archive or a bundle directory.

    Raises:
        SourceError: it is not a bundle (`BadArchive` where it is no archive of one).
        CannotPack: there is no such file.
    """
    try:
        if path.is_dir():
            members = _of_directory(path)
            return Opened(path, members, archived=False, size_bytes=sum(map(len, members.values())))
        with path.open("rb") as file:
            packed = file.read(ARCHIVE_BYTES_MAX + 1)
    except OSError as error:
        raise CannotPack(f"expected a bundle in {path}, found: {error.strerror}") from error
    if not packed.startswith(_ZIP):
        raise CannotPack(
            f"expected a bundle's archive or directory in {path}, found a file that begins with "
            f"{packed[:8]!r}"
        )
    return Opened(path, unpack(packed), archived=True, size_bytes=len(packed))


def write_archive(members: dict[str, bytes], spec: BundleSpec, out: Path) -> Path:
    """Write an archive into a folder, or under a name that ends in ``.zip``; returns where.

    Raises:
        CannotPack: it cannot be written.
    """
    path = out
    if out.suffix != ".zip":
        machine = "-".join(spec.hardware) or ANY_MACHINE
        path = out / archive_name(spec.id, spec.version, spec.prefer[DEFAULT][0], machine)
    write(path, pack(members))
    return path


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        CannotPack: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise CannotPack(f"expected to write {path}, found: {error.strerror}") from error


def read_signer(file: Path) -> Ed25519Signer:
    """Read a targets key: 64 hex digits.

    Raises:
        CannotPack: missing, or not a key.
    """
    try:
        seed = bytes.fromhex(file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise CannotPack(
            f"expected the targets key in {file}, found: {error.strerror}; make keys with "
            "`fleetdrill keys init`"
        ) from error
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise CannotPack(f"expected {2 * SEED_BYTES} hex digits in {file}, found something else")
    return Ed25519Signer(ROLE_TARGETS, seed)


def read_public(file: Path) -> tuple[bytes, ...]:
    """Public targets keys: of a trust file, or 64 hex digits alone.

    Raises:
        CannotPack: missing, or neither.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
        words = json.loads(text)[ROLE_TARGETS] if text.startswith("{") else [text]
        keys = tuple(bytes.fromhex(word) for word in words)
    except OSError as error:
        raise CannotPack(f"expected public keys in {file}, found: {error.strerror}") from error
    except (ValueError, TypeError, KeyError):
        keys = ()
    if not keys or any(len(key) != SEED_BYTES for key in keys):
        raise CannotPack(
            f"expected trust.json of `fleetdrill keys init`, or {2 * SEED_BYTES} hex digits of a public "
            f"key, in {file}, found something else"
        )
    return keys


def _of_directory(folder: Path) -> dict[str, bytes]:
    """A directory's files by the archive's names; simulators' twins are among the variants."""
    spec = decode_spec(_read(folder / BUNDLE_FILE))
    members = {BUNDLE_FILE: _read(folder / BUNDLE_FILE)}
    shipped = (*spec.variants.values(), *spec.twins.values())
    members |= {f"variants/{one.file}": _read(folder / one.file) for one in shipped}
    members[f"kit/{spec.kit.file}"] = _read(folder / spec.kit.file)
    members |= {name: _read(folder / name) for name in _FILES if (folder / name).is_file()}
    return members


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CannotPack(f"expected a bundle's file {path}, found: {error.strerror}") from error
