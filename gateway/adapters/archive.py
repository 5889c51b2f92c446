"""The form of a backup: a folder that stands for itself, whichever engine it came from.

    manifest.json   what is in it, with the SHA-256 of each file and of itself; written last
    rows            every row: 4 bytes of length (big-endian), then MessagePack of table, key and bytes
    blobs/ab/ab..   what devices fetch, as in a state folder
    keys/           public keys; private ones only where somebody asked for them

Decides these names and that nothing is read that is not what the manifest says. Leaves out where rows come from
(backup.py) and go (restore.py).

Rules: a folder without a manifest is no backup; whatever does not hash to what was written is named and
refused; a newer form is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec

from gateway.core import rows as core_rows
from gateway.core.aside import ASIDE
from gateway.core.gateway import TABLES
from gateway.ports import StorageError

FORM: Final = 1
MANIFEST: Final = "manifest.json"
ROWS: Final = "rows"
BLOBS: Final = "blobs"
KEYS: Final = "keys"
MANIFEST_BYTES_MAX: Final = 256 * 1024 * 1024
ROW_BYTES_MAX: Final = 64 * 1024 * 1024
_LENGTH: Final = struct.Struct(">I")
_TYPES: Final[dict[str, type[Any]]] = {**TABLES, **ASIDE}


class BackupError(StorageError):
    """A backup cannot be made, read or restored; says what was found and what to do."""


class Progress(Protocol):
    """Told of work that is done, in bytes."""

    def __call__(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """So much of `what` is done."""
        ...


class Kept(msgspec.Struct, frozen=True):
    """A file of the backup; its name is relative to the folder."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    form: int
    made_ms: int
    """UTC."""
    schema: str
    """Revision of the database."""
    engine: str
    """Where the rows were; they can be restored anywhere."""
    rows: Kept
    tables: dict[str, int]
    """Rows by table."""
    blobs: tuple[Kept, ...]
    damaged: tuple[str, ...]
    """Blobs that did not hash to their names and were left out."""
    keys: tuple[Kept, ...]
    private: bool
    """Whether private keys are among them."""
    audit_entries: int
    audit_head: str
    """Digest of the audit log's last entry, hex; empty for an empty log."""


class _Signed(msgspec.Struct):
    manifest: msgspec.Raw
    sha256: str


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the last file of a backup."""
    inner = msgspec.json.encode(manifest)
    whole = _Signed(msgspec.Raw(inner), sha256(inner).hexdigest())
    (folder / MANIFEST).write_bytes(msgspec.json.encode(whole))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        BackupError: there is none, it was changed, or a newer program wrote it.
    """
    file = folder / MANIFEST
    try:
        with file.open("rb") as opened:
            whole = msgspec.json.decode(opened.read(MANIFEST_BYTES_MAX), type=_Signed)
        inner = bytes(whole.manifest)
        intact = sha256(inner).hexdigest() == whole.sha256
        form = msgspec.json.decode(inner)["form"] if intact else FORM
        if form != FORM:
            raise BackupError(
                f"expected a backup of form {FORM}, found form {form}: a newer fleetdrill wrote it; "
                "restore it with that version"
            )
        manifest = msgspec.json.decode(inner, type=Manifest) if intact else None
    except FileNotFoundError:
        raise BackupError(
            f"expected a backup in {folder}, found no {MANIFEST}: one that was not finished has none"
        ) from None
    except (msgspec.MsgspecError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise BackupError(
            f"expected the manifest of a backup in {file}, found: {error}; take another backup"
        ) from None
    if manifest is None:
        raise BackupError(
            f"expected {file} to hash to what it says, found that it was changed; take another backup"
        )
    return manifest


def check_files(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Hash every file of a backup.

    Raises:
        BackupError: one is missing or is not what was written.
    """
    files = (manifest.rows, *manifest.blobs, *manifest.keys)
    total, done = sum(file.bytes for file in files), 0
    for kept in files:
        file = folder / kept.name
        if not _inside(kept.name):
            raise BackupError(f"expected names inside {folder}, found {kept.name!r}")
        try:
            with file.open("rb") as opened:
                found = file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise BackupError(f"expected {file}, found: {error.strerror}") from None
        if found != kept.sha256:
            raise BackupError(
                f"expected {file} to hash to {kept.sha256}, found {found}: it was damaged or changed; "
                "take another backup"
            )
        done += kept.bytes
        progress("checking", done, total)


def _inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


class RowsWriter:
    """Writes the file of rows.

    Args:
        file: where.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, sha256()
        self._encode = msgspec.msgpack.Encoder().encode
        self.bytes = 0
        self.tables: dict[str, int] = {}

    def write(self, table: str, key: str, row: bytes) -> None:
        """Append a row."""
        body = self._encode((table, key, row))
        data = _LENGTH.pack(len(body)) + body
        self._file.write(data)
        self._hash.update(data)
        self.bytes += len(data)
        self.tables[table] = self.tables.get(table, 0) + 1

    def kept(self) -> Kept:
        """What was written."""
        return Kept(ROWS, self.bytes, self._hash.hexdigest())


def read_rows(file: Path) -> Iterator[tuple[str, str, Any]]:
    """The rows of a file as (table, key, row), in its order.

    Raises:
        BackupError: it is cut short, of a table that is not known, or a row cannot be decoded.
    """
    decode = msgspec.msgpack.Decoder(tuple[str, str, bytes]).decode
    with file.open("rb") as opened:
        number = 0
        while head := opened.read(_LENGTH.size):
            number += 1
            size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else ROW_BYTES_MAX + 1
            body = opened.read(size) if size <= ROW_BYTES_MAX else b""
            if len(body) != size:
                raise BackupError(
                    f"expected row {number} of {file} to be whole, found it cut short"
                )
            try:
                table, key, data = decode(body)
                kind = _TYPES.get(table)
                row = core_rows.decode(kind, data) if kind is not None else None
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise BackupError(f"expected row {number} of {file}, found: {error}") from None
            if kind is None:
                raise BackupError(
                    f"expected rows of {', '.join(sorted(_TYPES))}, found one of {table}: a newer "
                    "fleetdrill wrote this backup; restore it with that version"
                )
            yield table, key, row


def only(table: str, stored: Iterable[tuple[str, str, Any]]) -> Iterator[Any]:
    """The rows of one table."""
    return (row for name, _, row in stored if name == table)
